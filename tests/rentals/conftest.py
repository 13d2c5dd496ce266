"""Serials to activate, and servers to activate them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from derpman.kit.work import Edge
from derpman.rentals import service
from derpman.rentals.models import Rental
from derpman.serials import service as serials
from tests.conftest import Person

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
