"""Whatever is allocated, released, lost and reported in whatever order: what must always hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from derpman.containers import reconcile, service
from derpman.containers.errors import HasRelays, NotEnoughServers
from derpman.containers.models import Placement, PortClaim
from derpman.containers.states import Wanted
from derpman.kit.db import Base, engine_for
from derpman.kit.secrets import Vault
from derpman.kit.work import Edge, Role
from derpman.servers.models import Server, ServerLink, Transport
from derpman.servers.states import ServerStatus
from derpman.settings import Settings
from derpman.users import service as users
from derpman.wiring import System
from tests.conftest import HeardWake

SERVERS, PEOPLE, PORTS, CAPACITY = 4, 5, 6, 3
people = st.integers(0, PEOPLE - 1)
servers = st.integers(0, SERVERS - 1)


class Business(RuleBasedStateMachine):
    """Four narrow servers and five customers, with nodes that hear late."""

    system: System

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.edge: Edge = replace(self.system.edge(), clock=lambda: self.now)
        with self.system.engine.begin() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                if table.name != "system_logs":
                    connection.execute(table.delete())
        self.server_ids, self.user_ids = self.edge(_populate)
        self.rentals = 0
        self.last_used: dict[tuple[int, int], tuple[int, datetime | None]] = {}
        """Of each port: whose it is or was last, and when it was given up for certain."""

    @rule(who=people, prefer=servers)
    def allocate(self, who: int, prefer: int) -> None:
        self.rentals += 1
        user_id = self.user_ids[who]
        had = len(self._live(user_id))
        try:
            placements = self.edge(
                service.allocate,
                user_id=user_id,
                rental_id=self.rentals,
                region_base=931,
                expires_at=self.now + timedelta(days=30),
                rate_bytes_per_second=0,
                prefer=[self.server_ids[prefer]],
            )
        except HasRelays:
            assert had
            return
        except NotEnoughServers:
            assert len(self._live(user_id)) == had == 0
            return
        assert had == 0
        for one in placements:
            owner, gone_at = self.last_used.get((one.server_id, one.port), (user_id, None))
            if owner != user_id:
                assert gone_at is not None
                assert gone_at + timedelta(days=7) <= self.now
            self.last_used[one.server_id, one.port] = (user_id, None)

    @rule(who=people)
    def release(self, who: int) -> None:
        for rental_id in {one.rental_id for one in self._live(self.user_ids[who])}:
            self.edge(service.release, rental_id=rental_id)

    @rule(where=servers)
    def report(self, where: int) -> None:
        """Let a node apply all that is wanted and say so."""
        server_id = self.server_ids[where]
        state = self.edge.read(reconcile.desired_state, server_id=server_id, force=True)
        assert state is not None
        relays = [{"id": one["id"], "state": "ready"} for one in state["relays"]]
        shot = {"whole": True, "generation": state["generation"], "relays": relays}
        self.edge(reconcile.record_observed, server_id=server_id, snapshot=shot)
        for one in self._rows(select(Placement).where(Placement.server_id == server_id)):
            if one.gone_at == self.now:
                self.last_used[server_id, one.port] = (one.user_id, self.now)

    @rule(days=st.integers(1, 8))
    def wait(self, days: int) -> None:
        self.now += timedelta(days=days)

    @invariant()
    def nobody_has_a_fourth_relay_or_two_on_one_server(self) -> None:
        for user_id in self.user_ids:
            live = self._live(user_id)
            assert len(live) in (0, 3)
            assert sorted(one.slot for one in live) == [1, 2, 3][: len(live)]
            assert len({one.server_id for one in live}) == len(live)

    @invariant()
    def every_port_is_claimed_until_its_relay_is_gone(self) -> None:
        claims = {(one.server_id, one.port): one for one in self._rows(select(PortClaim))}
        for one in self._rows(select(Placement).where(Placement.gone_at.is_(None))):
            claim = claims[one.server_id, one.port]
            assert claim.placement_id == one.id
            assert claim.free_at is None

    @invariant()
    def servers_count_what_is_wanted_there(self) -> None:
        wanted = Counter(
            self._rows(select(Placement.server_id).where(Placement.wanted != Wanted.RELEASED))
        )
        for server in self._rows(select(Server)):
            assert server.relay_count == wanted[server.id] <= server.capacity

    def _live(self, user_id: int) -> list[Placement]:
        return self.edge.read(service.placements_of, user_id=user_id)

    def _rows(self, statement: Any) -> list[Any]:
        return self.edge.read(lambda work: list(work.session.scalars(statement)))


def _populate(work: Any) -> tuple[list[int], list[int]]:
    made = [
        Server(
            ip=f"203.0.113.{number}",
            public_ip=f"203.0.113.{number}",
            region=f"region-{number % 3}",
            status=ServerStatus.HEALTHY,
            transport=Transport.FAKE,
            port_from=20000,
            port_to=20000 + PORTS - 1,
            capacity=CAPACITY,
            created_at=work.now,
            updated_at=work.now,
        )
        for number in range(SERVERS)
    ]
    work.session.add_all(made)
    work.session.flush()
    work.session.add_all(ServerLink(server_id=server.id) for server in made)
    accounts = [
        users.create(
            work,
            username=f"user{number}",
            email=f"user{number}@example.com",
            password_hash="-",
            role=Role.USER,
            locale="en",
        )
        for number in range(PEOPLE)
    ]
    return [server.id for server in made], [user.id for user in accounts]


def test_invariants_hold_whatever_happens(migrated_sqlite: Path, tmp_path: Path):
    copy = tmp_path / "test.sqlite"
    copy.write_bytes(migrated_sqlite.read_bytes())
    engine = engine_for(f"sqlite:///{copy}")
    keys = [Fernet.generate_key().decode()]
    Business.system = System(
        Settings(_env_file=None),  # pyright: ignore[reportCallIssue] # pydantic-settings takes it
        engine,
        Vault(keys),
        HeardWake(),
    )
    run_state_machine_as_test(
        Business,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    engine.dispose()
