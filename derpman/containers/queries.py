"""Selects behind lists of containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select

from derpman.containers.models import Admission, Placement
from derpman.containers.states import REACHED, Observed, Wanted
from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork


def placements(
    work: UnitOfWork,
    *,
    user_id: int | None = None,
    server_id: int | None = None,
    wanted: Wanted | None = None,
    observed: Observed | None = None,
    is_differing: bool | None = None,
    before: int | None = None,
    limit: int,
    sort: str | None = None,
) -> tuple[list[Placement], int | None]:
    """Return a page of placements, newest first, and where the next page begins."""
    found = select(Placement)
    if user_id is not None:
        found = found.where(Placement.user_id == user_id)
    if server_id is not None:
        found = found.where(Placement.server_id == server_id)
    if wanted is not None:
        found = found.where(Placement.wanted == wanted)
    if observed is not None:
        found = found.where(Placement.observed == observed)
    if is_differing is not None:
        same = or_(
            *(
                and_(Placement.wanted == wish, Placement.observed == fact)
                for wish, fact in REACHED.items()
            )
        )
        found = found.where(~same if is_differing else same)
    return page(work.session, found, Placement.id, before, limit, sort)


def counts(work: UnitOfWork) -> list[tuple[Wanted, Observed, int]]:
    """Return how many relays there are of each wish and fact, without those that are gone."""
    rows = work.session.execute(
        select(Placement.wanted, Placement.observed, func.count())
        .where(Placement.gone_at.is_(None))
        .group_by(Placement.wanted, Placement.observed)
        .order_by(Placement.wanted, Placement.observed)
    )
    return [(wanted, observed, count) for wanted, observed, count in rows]


def live_of(work: UnitOfWork, *, user_ids: Sequence[int]) -> Sequence[Placement]:
    """Return the placements of users that are not released, by slot, the oldest first."""
    return work.session.scalars(
        select(Placement)
        .where(Placement.user_id.in_(user_ids), Placement.wanted != Wanted.RELEASED)
        .order_by(Placement.slot, Placement.generation)
    ).all()


@dataclass(frozen=True)
class Owner:
    """Whose a relay is, and where it is."""

    placement_id: int
    server_id: int
    user_id: int
    rental_id: int
    created_at: datetime


def owners(work: UnitOfWork, *, placement_ids: Sequence[int]) -> list[Owner]:
    """Return whose relays are, also of those that are gone."""
    rows = work.session.execute(
        select(
            Placement.id,
            Placement.server_id,
            Placement.user_id,
            Placement.rental_id,
            Placement.created_at,
        ).where(Placement.id.in_(placement_ids))
    )
    return [Owner(*row) for row in rows]


def users_on(work: UnitOfWork, *, server_id: int) -> Sequence[int]:
    """Return the users who have a relay on a server."""
    return work.session.scalars(
        select(Placement.user_id)
        .where(Placement.server_id == server_id, Placement.wanted != Wanted.RELEASED)
        .where(Placement.gone_at.is_(None))
        .distinct()
        .order_by(Placement.user_id)
    ).all()


def admitted_keys(work: UnitOfWork, *, user_id: int) -> set[str]:
    """Return the node keys that a user's relays let in."""
    return set(work.session.scalars(select(Admission.node_key).where(Admission.user_id == user_id)))


def others_run(work: UnitOfWork, *, relay_id: int) -> bool:
    """Tell whether the relays of a customer's other slots are ready, those that should run."""
    mine = work.session.execute(
        select(Placement.user_id, Placement.slot).where(Placement.id == relay_id)
    ).one_or_none()
    if mine is None:
        return True
    lacking = select(Placement.id).where(
        Placement.user_id == mine.user_id,
        Placement.slot != mine.slot,
        Placement.wanted == Wanted.RUNNING,
        Placement.gone_at.is_(None),
        Placement.observed != Observed.READY,
    )
    return work.session.scalar(lacking.limit(1)) is None
