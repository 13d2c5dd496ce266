"""Carl with an active rental on three servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from derpman.containers.models import Placement
from derpman.kit.work import Edge
from derpman.rentals import service as rentals
from derpman.rentals.models import Rental
from derpman.serials import service as serials
from tests.conftest import Person


@pytest.fixture
def rent(edge: Edge, add_server: Callable[..., int]) -> Callable[[Person], Rental]:
    """Give somebody a rental of 30 days."""
    for _ in range(3):
        add_server()

    def make(person: Person) -> Rental:
        [serial] = edge(serials.generate, duration_days=30)
        return edge(rentals.activate, code=serial.code, user_id=person.id)

    return make


@pytest.fixture
def rental(rent: Callable[[Person], Rental], carl: Person) -> Rental:
    return rent(carl)


@pytest.fixture
def relays(edge: Edge, rental: Rental) -> list[Placement]:
    from derpman.containers import service as containers

    return edge.read(containers.placements_of, rental_id=rental.id)
