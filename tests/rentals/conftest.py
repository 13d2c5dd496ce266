"""Serials to activate, and servers to activate them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from derpman.kit.work import Edge
from derpman.rentals import service
from derpman.rentals.models import Rental
from derpman.serials import service as serials
from tests.conftest import MovableClock, Person
from tests.rentals.lives import Life

NewCode = Callable[..., str]
Activate = Callable[..., Rental]


@pytest.fixture
def servers(add_server: Callable[..., int]) -> list[int]:
    return [add_server() for _ in range(3)]


@pytest.fixture
def new_code(edge: Edge) -> NewCode:
    """Return a fresh code; of 30 days unless said otherwise."""

    def make(days: int = 30, **more: Any) -> str:
        return edge(serials.generate, duration_days=days, **more)[0].code

    return make


@pytest.fixture
def activate(edge_of: Callable[..., Edge], new_code: NewCode) -> Activate:
    """Activate a serial as somebody himself."""

    def run(person: Person, code: str | None = None) -> Rental:
        return edge_of(person.actor)(service.activate, code=code or new_code(), user_id=person.id)

    return run


@pytest.fixture
def life(
    edge: Edge,
    edge_of: Callable[..., Edge],
    clock: MovableClock,
    servers: list[int],
    carl: Person,
    new_code: NewCode,
) -> Life:
    edge_of(carl.actor)(service.activate, code=new_code(180), user_id=carl.id)
    life = Life(edge, clock, carl)
    life.nodes_say_ready()
    return life
