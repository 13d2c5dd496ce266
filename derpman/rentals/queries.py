"""Selects behind pages about rentals."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from derpman.kit.paging import page
from derpman.kit.work import UnitOfWork
from derpman.rentals.models import Rental, RentalTerm
from derpman.rentals.states import RentalStatus


def expired(work: UnitOfWork, *, limit: int) -> Sequence[int]:
    """Return ids of rentals that are not ended though their time is over, the longest due first."""
    return work.session.scalars(
        select(Rental.id)
        .where(Rental.status.in_((RentalStatus.ACTIVE, RentalStatus.SUSPENDED)))
        .where(Rental.expires_at <= work.now)
        .order_by(Rental.expires_at)
        .limit(limit)
    ).all()


def notices_due(work: UnitOfWork, *, limit: int) -> Sequence[int]:
    """Return ids of rentals with a notice that is due, the longest due first."""
    return work.session.scalars(
        select(Rental.id)
        .where(Rental.next_notice_at <= work.now)
        .order_by(Rental.next_notice_at)
        .limit(limit)
    ).all()


def changes_due(work: UnitOfWork, *, limit: int) -> Sequence[int]:
    """Return ids of rentals whose earlier purchase is over, the longest due first."""
    return work.session.scalars(
        select(Rental.id)
        .where(Rental.terms_until <= work.now)
        .order_by(Rental.terms_until)
        .limit(limit)
    ).all()


def rentals_of(
    work: UnitOfWork, *, user_id: int, before: int | None, limit: int
) -> tuple[list[Rental], int | None]:
    """Return a user's rentals, newest first."""
    return page(
        work.session, select(Rental).where(Rental.user_id == user_id), Rental.id, before, limit
    )


def terms_of(work: UnitOfWork, *, rental_ids: Sequence[int]) -> list[RentalTerm]:
    """Return what was bought for rentals, in the order of the spans."""
    found = select(RentalTerm).where(RentalTerm.rental_id.in_(rental_ids))
    return list(work.session.scalars(found.order_by(RentalTerm.rental_id, RentalTerm.number)))
