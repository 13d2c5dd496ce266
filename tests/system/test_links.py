"""A linked tailnet through real processes: a worker dies between writing and its commit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from derpman.kit.db import engine_for
from derpman.servers.models import Server, ServerLink, Transport
from derpman.servers.states import ServerStatus
from tests.drills._panel import Account, Panel
from tests.system.emulators.api_server import Request
from tests.system.emulators.tailscale import Tailscale
from tests.system.processes import wait_until

pytestmark = pytest.mark.system
SECONDS = 120
"""Longest wait for anything: the machine may be busy."""


@pytest.fixture
def there() -> Iterator[Tailscale]:
    with Tailscale() as emulator:
        yield emulator


@pytest.fixture
def panel(there: Tailscale) -> Iterator[Panel]:
    """A panel whose servers are rows only: nobody asks them anything here."""
    own = {
        "DERPMAN_ALLOW_PRIVATE_LINKS": "true",
        "DERPMAN_TAILSCALE_API_URL": there.url,
    }
    with Panel(embedded=True, environment=own) as panel:
        panel.kill("servers")
        engine = engine_for(panel.database_url)
        now = datetime.now(UTC)
        with Session(engine) as session, session.begin():
            for number in (1, 2, 3):
                ip = f"203.0.113.{number}"
                server = Server(
                    ip=ip,
                    present_ip=ip,
                    public_ip=ip,
                    region=f"r{number}",
                    status=ServerStatus.HEALTHY,
                    transport=Transport.FAKE,
                    port_from=20000,
                    port_to=29999,
                    capacity=10,
                    created_at=now,
                    updated_at=now,
                )
                session.add(server)
                session.flush()
                session.add(ServerLink(server_id=server.id))
        engine.dispose()
        yield panel


def status_of(carl: Account, push_id: int) -> str:
    return carl.get(f"/api/acl/pushes/{push_id}")["push"]["status"]


def test_a_push_survives_the_death_of_its_worker(panel: Panel, there: Tailscale) -> None:
    there.add_device("laptop")
    carl = panel.customer("carl")
    carl.post("/api/user/activate", code=panel.serials()[0])
    carl.post(
        "/api/acl/link",
        kind="tailscale",
        client_id=there.client_id,
        secret=there.client_secret,
        wants_push=True,
        is_automatic=True,
    )

    def link_status() -> str:
        return carl.get("/api/acl/link")["link"]["status"]

    wait_until(lambda: link_status() == "working", SECONDS, "the link works")
    wait_until(
        lambda: [one["name"] for one in carl.get("/api/security/devices")["devices"]] == ["laptop"],
        SECONDS,
        "the device is taken over",
    )
    preview = carl.post("/api/acl/push", preview=True)["push"]["id"]
    wait_until(lambda: status_of(carl, preview) == "done", SECONDS, "the preview is there")
    assert there.written == []

    killed: list[int] = []

    def kill_writer(request: Request) -> None:
        if there.written and not killed:
            killed.append(panel.pid("tasks"))
            panel.kill("tasks")  # what it wrote is there, and it never hears so

    there.after = kill_writer
    pushed = carl.post("/api/acl/push", accept_unregistered=True)["push"]["id"]
    wait_until(lambda: killed, SECONDS, "the worker was killed while it wrote")
    there.after = None
    assert status_of(carl, pushed) == "queued"
    panel.start("tasks")
    engine = engine_for(panel.database_url)
    with engine.begin() as connection:  # three minutes pass
        connection.execute(text("UPDATE acl_pushes SET leased_until = NULL"))
    engine.dispose()
    wait_until(lambda: status_of(carl, pushed) == "done", SECONDS, "the push is found done")
    assert len(there.written) == 1
    shown = carl.get(f"/api/acl/pushes/{pushed}")["push"]
    assert "931" in shown["diff"]
    assert shown["allowed_actions"] == ["undo"]
    there.add_device("phone")
    carl.post("/api/security/link/look")
    wait_until(
        lambda: len(carl.get("/api/security/devices")["devices"]) == 2,
        SECONDS,
        "the second device is taken over",
    )
    secret_seen = [part for part in panel.parts if there.client_secret in panel.log(part)]
    assert secret_seen == []
