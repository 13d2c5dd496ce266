"""Selects behind pages about rentals."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from derpman.kit.work import UnitOfWork
from derpman.rentals.models import Rental
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
