"""How much each relay may send in all: written down by `traffic`, enforced by the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import case, select, update

from derpman.containers.models import Placement
from derpman.containers.states import Wanted
from derpman.finance.models import OverQuota
from derpman.kit.work import UnitOfWork
from derpman.servers import service as servers

BATCH = 100


@dataclass(frozen=True)
class Quota:
    """What a relay's node lets it send over all its starts, and what it does then."""

    quota_bytes: int
    at_quota: OverQuota
    throttle_bytes_per_second: int


NAMES = ("quota_bytes", "at_quota", "throttle_bytes_per_second")


def set_quotas(work: UnitOfWork, *, quotas: Mapping[int, Quota]) -> None:
    """Give relays their quotas, by placement; only nodes of those that differ are told."""
    if not quotas:
        return
    known = work.session.execute(
        select(
            Placement.id,
            Placement.server_id,
            Placement.quota_bytes,
            Placement.at_quota,
            Placement.throttle_bytes_per_second,
        )
        .where(Placement.id.in_(quotas), Placement.wanted != Wanted.RELEASED)
        .order_by(Placement.id)
    ).all()
    differing = [
        row
        for row in known
        if (row.quota_bytes, row.at_quota, row.throttle_bytes_per_second)
        != tuple(getattr(quotas[row.id], name) for name in NAMES)
    ]
    if not differing:
        return
    servers.touch(work, server_ids=[row.server_id for row in differing])
    for start in range(0, len(differing), BATCH):
        ids = [row.id for row in differing[start : start + BATCH]]
        values = {
            name: case({id_: getattr(quotas[id_], name) for id_ in ids}, value=Placement.id)
            for name in NAMES
        }
        work.session.execute(
            update(Placement)
            .where(Placement.id.in_(ids))
            .values(values)
            .execution_options(synchronize_session=False)
        )
