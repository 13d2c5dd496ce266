"""ACL versions follow each other: live devices change over, old ports are refused and rest."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, update

from derpman.acl.models import AclVersion
from derpman.containers.models import Placement, PortClaim
from derpman.kit.clock import utc_now
from derpman.kit.work import Edge, UnitOfWork
from derpman.notifications.models import Mail
from derpman.servers import service as servers
from derpman.servers.models import Server
from derpman.users import service as users
from tests.drills._drill import Drill, program
from tests.drills._panel import PARTS, Account, Panel, Refused, activate
from tests.drills._races import system_of
from tests.drills._relays import Tenant
from tests.drills.main_job import add_servers
from tests.system import derp
from tests.system.fleet import Fleet
from tests.system.gap import Watch
from tests.system.processes import wait_until
from tests.system.tailnet import Client

BUDGET_S = 700
DAYS = 180
"""Of the rentals: longer than a version lives."""
SETTLE_S = 10
"""Five minutes in an installation: so long nobody must be on an old relay before it goes early."""
BEFORE_END_S = 45
ACL_MAILS = ("acl_changed", "acl_rotated", "acl_reminder", "acl_ended")


def play(drill: Drill) -> None:
    with drill.step("stand up three servers, four clients and a panel"):
        fleet = drill.use(Fleet(servers=3, clients=4))
        settings = {"DERPMAN_ACL_SETTLE_SECONDS": str(SETTLE_S)}
        panel = drill.use(Panel(host=fleet.panel_address, environment=settings))
        add_servers(panel, fleet)
    edge = system_of(panel._environment).edge()
    with drill.step("a customer whose tailnet takes each map, and one who pastes nothing"):
        quick = Tenant(panel, fleet, "quick", panel.serials(days=DAYS)[0])
        idle = Tenant(panel, fleet, "idle", panel.serials(days=DAYS)[0], 1)
    live(drill, panel, edge, quick, rounds=drill.scaled(6))
    pasted_nothing(drill, panel, edge, idle)
    resting(drill, panel, edge)


def age(edge: Edge, user_id: int, by: timedelta) -> None:
    """Move a customer's versions into the past, as if so much time had gone by for them.

    The clocks of the panel and of the nodes stay as they are, so that the end is kept by those.
    """

    def verb(work: UnitOfWork) -> None:
        users.lock(work, user_id)  # as the sweeps do: nobody writes what he read before
        for version in work.session.scalars(
            select(AclVersion).where(AclVersion.user_id == user_id)
        ):
            version.created_at -= by
            version.expires_at -= by
            for name in ("due_at", "superseded_at", "ended_at"):
                instant: datetime | None = getattr(version, name)
                if instant is not None:
                    setattr(version, name, instant - by)

    edge(verb)


def newest(edge: Edge, user_id: int) -> AclVersion:
    def verb(work: UnitOfWork) -> AclVersion:
        found = select(AclVersion).where(AclVersion.user_id == user_id)
        return work.session.scalars(found.order_by(AclVersion.number.desc())).all()[0]

    return edge.read(verb)


def relays(edge: Edge, user_id: int) -> list[Placement]:
    def verb(work: UnitOfWork) -> list[Placement]:
        found = select(Placement).where(Placement.user_id == user_id)
        return list(work.session.scalars(found.order_by(Placement.id)))

    return edge.read(verb)


def wait_for_version(edge: Edge, user_id: int, number: int) -> None:
    wait_until(lambda: newest(edge, user_id).number >= number, 60, f"version {number} is made")


def paste(tenant: Tenant) -> None:
    """Hand the map of the version in force to the test control server, as a customer pastes it."""
    text = tenant.account.text("/api/acl/download", form="headscale_json")
    tenant.one.control.push(json.loads(text))


# a tailnet that takes each map


def live(drill: Drill, panel: Panel, edge: Edge, tenant: Tenant, *, rounds: int) -> None:
    user_id = tenant.account.id
    gaps: list[float] = []
    stalls: list[float] = []
    early: list[float] = []
    with Talk(tenant.one, tenant.two) as talk:
        for number in range(2, rounds + 2):
            old = [one for one in relays(edge, user_id) if one.gone_at is None]
            with drill.step(f"version {number}: day 29 comes, new relays, the map is taken"):
                age(edge, user_id, timedelta(days=29))
                began = time.monotonic()
                wait_for_version(edge, user_id, number)
                drill.say(f"made after {time.monotonic() - began:.1f} s")
                talk.rest()
                with Watch(tenant.one, tenant.two) as watch:
                    time.sleep(3)
                    paste(tenant)
                    pasted = time.monotonic()
                    time.sleep(12)
                gaps.append(watch.gap.longest_gap_s)
                stalls.append(talk.rest())
                drill.say(f"{watch.gap}, longest wait on the open connection {stalls[-1]:.2f} s")
                ids = [one.id for one in old]
                wait_until(lambda: all_gone(edge, ids), 90, "the old relays are gone")  # noqa: B023
                early.append(time.monotonic() - pasted)
            open_ports = [one.port for one in old if answers(one.address, one.port)]
            drill.check(f"old_ports_closed_{number}", not open_ports, str(open_ports))
        drill.check("tcp_connection_survives", talk.is_whole, talk.trouble)
        drill.figure("exchanges_on_one_connection", talk.done)
    drill.figure("rotations", rounds)
    drill.figure("longest_silence_s", max(gaps), at_most=4)
    drill.figure("silences_s", gaps)
    drill.figure("longest_wait_on_open_connection_s", max(stalls))
    drill.figure("paste_to_old_relays_gone_s", max(early))
    shown = tenant.account.get("/api/acl/current")["acl"]
    drill.check(
        "applied_version_is_known",
        (shown["applied"] or {}).get("version") == shown["version"],
        str(shown),
    )
    mails = told(edge, user_id)
    drill.figure("mails_to_who_takes_it_at_once", len(mails), equals=0)


def all_gone(edge: Edge, ids: list[int]) -> bool:
    found = select(Placement.id).where(Placement.id.in_(ids), Placement.gone_at.is_(None))
    return not edge.read(lambda work: work.session.scalars(found).all())


def answers(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2):
        return True
    return False


# who pastes nothing


def pasted_nothing(drill: Drill, panel: Panel, edge: Edge, tenant: Tenant) -> None:
    user_id = tenant.account.id
    old = [one for one in relays(edge, user_id) if one.gone_at is None]
    key = derp.new_key()
    tenant.account.post("/api/security/devices", node_key=derp.node_key(key), name="probe")
    for one in old:
        wait_until(
            lambda one=one: derp.is_admitted(one.address, one.port, key), 15, "the probe is let in"
        )
    with drill.step("day 29, a quarter of an hour, days 30 and 31"):
        seen: list[list[str]] = []
        age(edge, user_id, timedelta(days=29))
        wait_for_version(edge, user_id, 2)
        for by, count in (
            (timedelta(minutes=16), 1),
            (timedelta(days=1), 2),
            (timedelta(days=1), 3),
        ):
            age(edge, user_id, by)
            wait_until(lambda count=count: len(told(edge, user_id)) >= count, 90, f"mail {count}")
            seen.append(told(edge, user_id))
        drill.say(str(seen[-1]))
        works = [derp.is_admitted(one.address, one.port, key) for one in old]
        drill.check("old_relays_work_until_day_32", all(works), str(works))
    with drill.step(f"{BEFORE_END_S} s before the end; the panel goes away, the nodes keep it"):
        first = edge.read(lambda work: work.session.scalars(
            select(AclVersion).where(AclVersion.user_id == user_id, AclVersion.number == 1)
        ).one())  # fmt: skip
        left = first.expires_at - utc_now() - timedelta(seconds=BEFORE_END_S)
        age(edge, user_id, left)
        # so that the relays' own end is written anew, as it is when a version is superseded
        edge(lambda work: work.session.execute(
            update(AclVersion).where(AclVersion.id == first.id).values(due_at=work.now)
        ))  # fmt: skip
        ends_at = first.expires_at - left
        wait_until(
            lambda: {one.ends_at for one in relays(edge, user_id)[:3]} == {ends_at},
            30,
            "the relays have their end",
        )
        wait_until(lambda: accepted(edge, old), 20, "the nodes have heard of it")
        held = [derp.Derp(one.address, one.port, key, pin=one.pin) for one in old]
        panel.kill("api", *PARTS)
        left_s = (ends_at - utc_now()).total_seconds()
        drill.say(f"the panel is gone {left_s:.1f} s before the end")
        cut = [ends_in(one, ends_at) for one in held]
        again = [derp.is_admitted(one.address, one.port, key, pin=one.pin) for one in old]
        wait_until(lambda: not any(answers(one.address, one.port) for one in old), 20, "no answer")
        silent = (utc_now() - ends_at).total_seconds()
    drill.figure("cut_after_the_end_s", max(cut), at_most=2)
    drill.figure("cut_before_the_end_s", max(0.0, -min(cut)), at_most=0.5)
    drill.check("old_relays_refuse_after_day_32", not any(again), str(again))
    drill.figure("old_ports_closed_after_the_end_s", silent, at_most=10)
    drill.check("devices_are_silent", not tenant.one.ping(tenant.two, timeout=2))
    panel.restart_dead()
    panel.wait_until_up()
    wait_until(lambda: len(told(edge, user_id)) >= 4, 60, "the mail of the end")
    mails = told(edge, user_id)
    expected = ["acl_rotated", "acl_reminder", "acl_reminder", "acl_ended"]
    drill.check("all_notices_once", mails == expected, str(mails))
    with drill.step("he pastes the version that waited for him"):
        wait_until(lambda: can_download(tenant.account), 30, "the ACL can be taken")
        began = time.monotonic()
        paste(tenant)
        via = tenant.one.wait_for_ping(tenant.two, 40)
        took = time.monotonic() - began
        drill.say(f"ping via {via}")
    drill.figure("back_after_pasting_s", took, at_most=10)
    time.sleep(25)  # any word that comes twice
    drill.figure("notices", len(told(edge, user_id)), equals=4)
    delivered = panel.mail.to(tenant.account.email)
    drill.say(f"mails that arrived: {[one.mail['Subject'] for one in delivered]}")
    ids = [one.id for one in old]
    wait_until(lambda: all_gone(edge, ids), 60, "the old relays are gone")


def accepted(edge: Edge, placements: list[Placement]) -> bool:
    """Whether the nodes of these relays have taken over all that is wanted."""
    for one in placements:
        wanted, done, _ = edge.read(servers.generations, server_id=one.server_id)
        if wanted != done:
            return False
    return True


def ends_in(held: derp.Derp, ends_at: datetime) -> float:
    """Wait until a connection is closed; the seconds from the end to that, less than 0 before."""
    most = (ends_at - utc_now()).total_seconds() + 10
    closed = held.seconds_until_closed(max(1.0, most))
    if closed is None:
        return 99.0
    return (utc_now() - ends_at).total_seconds()


def can_download(account: Account) -> bool:
    with contextlib.suppress(Refused):
        return account.get("/api/acl/current")["acl"]["is_offered"]
    return False


def told(edge: Edge, user_id: int) -> list[str]:
    """The templates of mails about his ACL, in order."""
    found = (
        select(Mail.template)
        .where(Mail.user_id == user_id, Mail.template.in_(ACL_MAILS))
        .order_by(Mail.id)
    )
    return edge.read(lambda work: list(work.session.scalars(found)))


# freed ports rest


def resting(drill: Drill, panel: Panel, edge: Edge) -> None:
    """Narrow each server's range to ports that rest: nobody gets one before seven days are over."""
    claims = edge.read(
        lambda work: work.session.scalars(
            select(PortClaim).where(PortClaim.free_at.is_not(None)).order_by(PortClaim.port)
        ).all()
    )
    ports = {one.server_id: one.port for one in claims}
    drill.figure("ports_at_rest", len(claims), at_least=6)
    rests = min((one.free_at - utc_now()).total_seconds() for one in claims if one.free_at)
    drill.figure("least_rest_days", rests / 86400, at_least=6.9)

    def narrow(work: UnitOfWork) -> None:
        for server_id, port in ports.items():
            work.session.execute(
                update(Server).where(Server.id == server_id).values(port_from=port, port_to=port)
            )

    def age_claims(by: timedelta) -> None:
        def verb(work: UnitOfWork) -> None:
            for claim in work.session.scalars(
                select(PortClaim).where(PortClaim.free_at.is_not(None))
            ):
                if claim.free_at is not None:
                    claim.free_at -= by

        edge(verb)

    edge(narrow)
    eve = panel.customer("eve")
    code = panel.serials()[0]
    with drill.step("a stranger activates while these ports rest, for six days and 23 hours"):
        for by in (timedelta(0), timedelta(days=6, hours=22)):
            age_claims(by)
            try:
                eve.post("/api/user/activate", code=code)
                got = "a relay"
            except Refused as refusal:
                got = refusal.code
            drill.check(
                f"resting_ports_are_refused_{by.days}", got == "containers.not_enough_servers", got
            )
    with drill.step("and again when seven days are over"):
        age_claims(timedelta(hours=3))
        drill.say(f"ready after {activate(eve, code):.2f} s")
        hers = {one["server_id"]: one["port"] for one in eve.extra["rental"]["slots"]}
    drill.check("rested_ports_are_taken", hers == ports, f"{hers} are not {ports}")


# an open connection


@dataclass
class Talk:
    """One TCP connection through the tunnel on which a byte goes to and fro all the time."""

    one: Client
    two: Client
    done: int = 0
    trouble: str = ""
    _longest: float = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Talk:
        self._server = self.two.machine.call(_Server, ("127.0.0.1", 0), _Echo)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        port = self._server.server_address[1]
        self._conn = self.one.connect(self.two, port, timeout=20)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self._conn.close()
        self._server.shutdown()
        self._server.server_close()

    @property
    def is_whole(self) -> bool:
        return not self.trouble and self._thread.is_alive()

    def rest(self) -> float:
        """The longest wait for an answer since this was asked last, in seconds."""
        longest, self._longest = self._longest, 0
        return longest

    def _run(self) -> None:
        self._conn.settimeout(60)
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                sent = bytes([self.done % 251])
                self._conn.sendall(sent)
                got = self._conn.recv(1)
                if got != sent:
                    self.trouble = f"{got!r} came back for {sent!r}"
                    return
                self._longest = max(self._longest, time.monotonic() - began)
                self.done += 1
                self._stop.wait(0.1)
        except OSError as error:
            self.trouble = f"{type(error).__name__}: {error}"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(100):
                self.request.sendall(data)


if __name__ == "__main__":
    program(play)
