"""A customer's life in simulated time: what sweeps and nodes would do for his ACL versions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from derpman.acl import overlap
from derpman.acl import queries as acl_queries
from derpman.acl import service as acl
from derpman.acl.models import AclRotation, AclVersion
from derpman.acl.states import RotationStatus
from derpman.containers import service as containers
from derpman.containers.models import Placement
from derpman.containers.states import Observed, Wanted
from derpman.devices import maps
from derpman.devices.models import Presence
from derpman.kit.work import Edge
from derpman.rentals import rotation
from tests.conftest import MovableClock, Person, QueuedMail

Mails = Callable[[str], list[QueuedMail]]
SETTLE = timedelta(seconds=300)
WINDOW = {"acl_changed", "acl_rotated", "acl_reminder", "acl_ended"}


class Life:
    """A customer with a rental of 180 days, and what the sweeps would do for him."""

    def __init__(self, edge: Edge, clock: MovableClock, person: Person) -> None:
        self.edge = edge
        self.clock = clock
        self.person = person

    def placements(self) -> list[Placement]:
        return self.edge.read(containers.placements_of, user_id=self.person.id)

    def current(self) -> AclVersion:
        version = self.edge.read(acl.current, user_id=self.person.id)
        assert version is not None
        return version

    def rotations(self) -> list[AclRotation]:
        return rows(self.edge, select(AclRotation).order_by(AclRotation.id))

    def sweep(self) -> None:
        """Run the sweeps of a moment, as the timetable would."""
        found = self.edge.read(acl_queries.rotation_ids, status=RotationStatus.PREPARING, limit=99)
        for rotation_id in found:
            self.edge(rotation.finish, rotation_id=rotation_id)
        for version_id in self.edge.read(acl_queries.rotation_due, limit=99):
            self.edge(rotation.enqueue_due, version_id=version_id)
        found = self.edge.read(acl_queries.rotation_ids, status=RotationStatus.QUEUED, limit=99)
        for rotation_id in found:
            self.edge(rotation.begin, rotation_id=rotation_id)
        for version_id in self.edge.read(acl_queries.superseded_due, limit=99):
            self.edge(overlap.attend, version_id=version_id)
        seen, _ = self.edge.read(maps.changed, after=0, limit=99, settle=SETTLE)
        for one in seen:
            self.edge(maps.note, seen=one, settle=SETTLE)

    def nodes_say_ready(self) -> None:
        self.edge(
            lambda work: work.session.execute(
                update(Placement)
                .where(Placement.wanted == Wanted.RUNNING)
                .values(observed=Observed.READY)
            )
        )

    def rotate(self) -> AclVersion:
        """Begin what is due, have the relays serve, and finish."""
        self.sweep()
        self.nodes_say_ready()
        self.sweep()
        return self.current()

    def be_on(self, *placements: Placement) -> None:
        """Have his one device connected to these relays and no others."""

        def write(work: Any) -> None:
            for row in work.session.scalars(select(Presence)):
                work.session.delete(row)
            work.session.flush()
            for one in placements:
                work.session.add(
                    Presence(
                        placement_id=one.id,
                        node_key="nodekey:" + "a" * 64,
                        user_id=self.person.id,
                        server_id=one.server_id,
                        address="198.51.100.9:1",
                        since=work.now,
                    )
                )

        self.edge(write)


def rows(edge: Edge, statement: Any) -> list:
    return edge.read(lambda work: list(work.session.scalars(statement)))


def seen(mails: Mails, person: Person) -> list[str]:
    return [mail.template for mail in mails(person.email) if mail.template in WINDOW]
