"""Customers with an ACL."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from derpman.acl.models import AclVersion
from derpman.containers.models import Placement
from derpman.kit.work import Edge
from derpman.rentals import service as rentals
from derpman.rentals.models import Rental
from derpman.serials import service as serials
from tests.conftest import Person

Activate = Callable[[Person], Rental]
Issue = Callable[..., AclVersion]


@pytest.fixture
def servers(add_server: Callable[..., int]) -> list[int]:
    return [add_server() for _ in range(3)]


@pytest.fixture
def activate(edge: Edge, edge_of: Callable[..., Edge], servers: list[int]) -> Activate:
    """Spend a new serial of 180 days as somebody himself: longer than an ACL lives."""

    def run(person: Person) -> Rental:
        code = edge(serials.generate, duration_days=180)[0].code
        return edge_of(person.actor)(rentals.activate, code=code, user_id=person.id)

    return run


@pytest.fixture
def issue(edge_of: Callable[..., Edge]) -> Issue:
    """Make the next version of somebody's present relays, each with another port when asked."""
    from derpman.acl import service
    from derpman.containers import service as containers

    def run(person: Person, *, ports: int = 0, reason: str = "generated") -> AclVersion:
        def verb(work):
            placements: list[Placement] = containers.placements_of(work, user_id=person.id)
            for placement in placements:
                placement.port += ports
            rental_id = placements[0].rental_id
            return service.issue(
                work, user_id=person.id, rental_id=rental_id, placements=placements, reason=reason
            )

        return edge_of(person.actor)(verb)

    return run
