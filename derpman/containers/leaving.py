"""What becomes of the relays of an account that ends: nobody is let in, and no key is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from derpman.containers import service
from derpman.containers.models import Admission, Placement
from derpman.containers.states import WANTED_TRANSITIONS, Wanted
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.servers import service as servers
from derpman.servers.states import ServerStatus


@dataclass(frozen=True)
class Waiting:
    """A server that has not yet proved a relay gone."""

    server_id: int
    region: str
    address: str
    released_at: datetime | None
    is_in_touch: bool


def release_many(work: UnitOfWork, *, rental_ids: Sequence[int]) -> None:
    """Give up the relays of many rentals, in a few statements."""
    rows = work.session.execute(
        select(Placement.id, Placement.user_id, Placement.server_id, Placement.wanted)
        .where(Placement.rental_id.in_(rental_ids), Placement.wanted != Wanted.RELEASED)
        .order_by(Placement.id)
    ).all()
    if not rows:
        return
    for wanted in {row.wanted for row in rows}:
        next_state(WANTED_TRANSITIONS, wanted, "release")
    servers.give_back_many(work, counts=Counter(row.server_id for row in rows))
    work.session.execute(
        update(Placement)
        .where(Placement.id.in_([row.id for row in rows]), Placement.wanted != Wanted.RELEASED)
        .values(wanted=Wanted.RELEASED, released_at=work.now)
        .execution_options(synchronize_session=False)
    )
    service.withdraw(work, user_ids={row.user_id for row in rows})
    work.wake("live")


def forget_devices(work: UnitOfWork, *, user_id: int) -> None:
    """Let none of a user's devices in any more; he has no relays, so that no node need be told."""
    work.session.execute(delete(Admission).where(Admission.user_id == user_id))


def waiting_for(work: UnitOfWork, *, user_id: int) -> list[Waiting]:
    """Return the servers that have not yet proved the relays of a user gone, one for each relay.

    A server that an operator has removed is gone with all that was on it.
    """
    rows = work.session.execute(
        select(Placement.server_id, Placement.address, Placement.released_at)
        .where(Placement.user_id == user_id, Placement.gone_at.is_(None))
        .order_by(Placement.server_id, Placement.id)
    ).all()
    ids = {row.server_id for row in rows}
    removed = {one for one in ids if servers.get(work, one).status is ServerStatus.REMOVED}
    regions = servers.regions_of(work, server_ids=ids)
    contacts = servers.contacts(work, server_ids=ids)
    return [
        Waiting(
            server_id=row.server_id,
            region=regions.get(row.server_id, ""),
            address=row.address,
            released_at=row.released_at,
            is_in_touch=row.server_id in contacts and contacts[row.server_id].is_in_touch,
        )
        for row in rows
        if row.server_id not in removed
    ]


def destroy_keys(work: UnitOfWork, *, user_id: int) -> None:
    """Destroy the private keys and mesh keys of a user's relays, which nothing serves any more."""
    work.session.execute(
        update(Placement)
        .where(Placement.user_id == user_id)
        .values(private_key="", mesh_key="")
        .execution_options(synchronize_session=False)
    )
