"""Carl with an active rental, an emulated tailnet of his, and what pushes to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import undefer

from derpman.acl.models import AclVersion
from derpman.containers import service as containers
from derpman.kit.outgoing import Outgoing
from derpman.kit.work import Edge
from derpman.rentals import service as rentals
from derpman.rentals.models import Rental
from derpman.serials import service as serials
from derpman.settings import Settings
from derpman.tailnets import push, service
from derpman.tailnets.models import AclPush, TailnetLink
from derpman.tailnets.pusher import Pusher
from derpman.tailnets.service import LinkFacts
from derpman.tailnets.states import LinkKind
from derpman.wiring import System
from tests.conftest import Person
from tests.system.emulators.headscale import Headscale
from tests.system.emulators.tailscale import Tailscale

ANY = Outgoing(allow_private=True, timeout=30)
IMPATIENT = replace(ANY, timeout=0.5)
"""Where the other side is silent: the test is the sooner over."""


@pytest.fixture
def there() -> Iterator[Tailscale]:
    """Carl's tailnet at Tailscale, emulated."""
    with Tailscale() as emulator:
        yield emulator


@pytest.fixture
def scale() -> Iterator[Headscale]:
    """Carl's headscale, emulated."""
    with Headscale() as emulator:
        yield emulator


@pytest.fixture
def system(system: System, there: Tailscale) -> System:
    """An installation that may ask what is on loopback, and takes the emulator for Tailscale."""
    values = {**system.settings.model_dump(), "allow_private_links": True}
    values["tailscale_api_url"] = there.url
    settings = Settings(_env_file=None, **values)  # pyright: ignore[reportCallIssue] # it is taken
    return System(settings, system.engine, system.vault, system.wake, system.clock)


@pytest.fixture
def rental(edge: Edge, add_server: Callable[..., int], carl: Person) -> Rental:
    for _ in range(3):
        add_server()
    [serial] = edge(serials.generate, duration_days=180)
    return edge(rentals.activate, code=serial.code, user_id=carl.id)


@pytest.fixture
def link(edge_of: Callable[..., Edge], carl: Person, there: Tailscale) -> Callable[..., int]:
    """Link Carl's tailnet: `link(wants_push=True)`; return the link's id."""

    def make(**more: Any) -> int:
        facts: dict[str, Any] = {
            "kind": LinkKind.TAILSCALE,
            "client_id": there.client_id,
            "secret": there.client_secret,
            "wants_push": True,
            **more,
        }
        return edge_of(carl.actor)(service.create, facts=LinkFacts(**facts), outgoing=ANY).id

    return make


@pytest.fixture
def pusher(edge: Edge, there: Tailscale) -> Pusher:
    return Pusher(edge, ANY, there.url)


@pytest.fixture
def do(edge_of: Callable[..., Edge], carl: Person) -> Edge:
    """An edge that acts for Carl."""
    return edge_of(carl.actor)


@pytest.fixture
def pushed(edge: Edge, carl: Person) -> Callable[[int], AclPush]:
    """Return a push of Carl's as it is now, by its id."""
    return lambda push_id: edge.read(push.get, user_id=carl.id, push_id=push_id)


@pytest.fixture
def link_now(edge: Edge, carl: Person) -> Callable[[], TailnetLink | None]:
    return lambda: edge.read(service.find, user_id=carl.id)


@pytest.fixture
def next_version(edge: Edge, carl: Person, rental: Rental) -> Callable[..., AclVersion]:
    """Make Carl's next ACL version, with other ports."""
    from derpman.acl import service as acl

    def make(ports: int = 100) -> AclVersion:
        def verb(work):
            placements = containers.placements_of(work, rental_id=rental.id)
            for placement in placements:
                placement.port += ports
            return acl.issue(
                work,
                user_id=carl.id,
                rental_id=rental.id,
                placements=placements,
                reason="generated",
            )

        return edge(verb)

    return make


def sealed_secret(edge: Edge, link_id: int) -> str:
    """Return what is stored of a link's secret."""
    with edge.sessions.reading() as session:
        return session.get_one(TailnetLink, link_id, options=[undefer(TailnetLink.secret)]).secret
