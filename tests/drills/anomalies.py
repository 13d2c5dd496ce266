"""Each rule about customers is broken once and nearly broken once: alerts for the former only."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from nacl.public import PrivateKey
from sqlalchemy import delete, func, select, update

from derpman.devices.models import DeviceNetwork
from derpman.kit.work import Edge, UnitOfWork
from derpman.traffic.calendar import hour_of
from derpman.traffic.models import RelayMeter, TrafficHour, TrafficPeriod
from derpman.traffic.rollups import LATE
from derpman.worker import celery_app
from tests.drills._drill import Drill, program
from tests.drills._panel import Account, Panel, activate
from tests.drills._races import system_of
from tests.system import derp
from tests.system.channels import WEBHOOK_SECRET, Receivers
from tests.system.fleet import Fleet
from tests.system.fleet.machines import Machine
from tests.system.processes import run, wait_until
from tests.system.smtp import Message

BUDGET_S = 420
MB = 1_000_000
GB = 1_000_000_000
PACKET = 32_768
QUOTA = 20 * MB
THROTTLE = 50_000
NETWORKS = 8
UNKNOWN = 20
SWEEP_SECONDS = 3
MOBILE = "172.31"
"""Where the client has addresses of many networks."""
KINDS = ("rate_too_high", "quota_passed", "sudden_change", "many_addresses", "unknown_flood")


@dataclass
class Customer:
    """Somebody with a rental, one registered device and one more to send to."""

    account: Account
    key: PrivateKey = field(default_factory=derp.new_key)
    peer: PrivateKey = field(default_factory=derp.new_key)

    @property
    def id(self) -> int:
        return self.account.id

    def relay(self, slot: int = 0) -> tuple[str, int]:
        one = self.account.extra["rental"]["slots"][slot]
        return one["address"], one["port"]


class Flow:
    """Sends from one device to the other through a relay, at a pace, until it is ended.

    As Tailscale does, both connect again when the relay closes: a relay at the end of its share
    of a quota is stopped until it is given another.
    """

    def __init__(self, customer: Customer, bytes_per_second: float) -> None:
        self.received = 0
        self._pace = bytes_per_second
        self._ended = threading.Event()
        self._relay = customer.relay()
        self._to = customer.peer
        self._threads = [
            threading.Thread(target=self._stay, args=(customer.peer, self._count), daemon=True),
            threading.Thread(target=self._stay, args=(customer.key, self._send), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(10)

    def rate(self, seconds: float) -> float:
        """What comes out at the other end now, in bytes a second."""
        before = self.received
        time.sleep(seconds)  # a rate is over a time
        return (self.received - before) / seconds

    def _stay(self, key: PrivateKey, act: Callable[[derp.Derp], None]) -> None:
        while not self._ended.is_set():
            with (
                contextlib.suppress(OSError, EOFError, ValueError, derp.Refused),
                derp.Derp(*self._relay, key, timeout=3) as connection,
            ):
                act(connection)
            self._ended.wait(0.3)

    def _send(self, connection: derp.Derp) -> None:
        packet = bytes(PACKET)
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            connection.send(self._to, packet)
            due = max(due, time.monotonic() - 1) + PACKET / self._pace  # what was held up is lost

    def _count(self, connection: derp.Derp) -> None:
        while not self._ended.is_set():
            self.received += len(connection.receive())


class Stage:
    """The panel and what the drill asks of it."""

    def __init__(self, drill: Drill, panel: Panel, receivers: Receivers) -> None:
        self.drill = drill
        self.panel = panel
        self.receivers = receivers
        system = system_of(panel._environment)
        self.edge: Edge = system.edge()
        self._celery = celery_app(system)
        self._swept_at = 0.0

    def sweep(self, *tasks: str) -> None:
        """Have the worker run sweeps now; the timetable runs them every minute besides."""
        for task in tasks:
            self._celery.send_task(task, retry=False)

    def look(self) -> None:
        """Have it look for what is odd, every few seconds and not every minute."""
        if time.monotonic() - self._swept_at > SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            self.sweep("traffic.watch_anomalies", "devices.watch_anomalies")

    def alerts(self, **query: Any) -> list[dict[str, Any]]:
        found = self.panel.admin.get("/api/alerts/list", limit=200, **query)["alerts"]
        return [alert for alert in found if alert["alert_type"] in KINDS]

    def wait_for(self, kind: str, user_id: int, *, resolved: bool, seconds: float) -> float:
        """Wait until an alert is there, or is over; return how long it took."""
        began = time.monotonic()

        def done() -> bool:
            self.look()
            return any(
                alert["alert_type"] == kind and alert["params"]["user_id"] == user_id
                for alert in self.alerts(resolved=resolved)
            )

        wait_until(done, seconds, f"{kind} of {user_id} {'is over' if resolved else 'is raised'}")
        return time.monotonic() - began

    def set_rule(self, kind: str, thresholds: dict[str, int], **more: Any) -> None:
        rule = {"is_enabled": True, "severity": "warning", "reaction": "alert", "hold_minutes": 1}
        self.panel.admin.post(
            f"/api/alerts/rules/{kind}", **{**rule, **more}, thresholds=thresholds
        )


def play(drill: Drill) -> None:
    receivers = drill.use(Receivers())
    with drill.step("stand up three servers, a client and a panel"):
        fleet = drill.use(Fleet(servers=3, clients=1))
        settings = {"DERPMAN_ALLOW_PRIVATE_LINKS": "true", "DERPMAN_METERING_SECONDS": "3"}
        panel = drill.use(Panel(host=fleet.panel_address, environment=settings))
        key = fleet.admin_key.read_text()
        panel.wait_for_servers([panel.add_server(server, key) for server in fleet.servers])
    stage = Stage(drill, panel, receivers)
    with drill.step("set rules that a drill can wait for, and a webhook"):
        stage.set_rule(
            "rate_too_high",
            {"megabytes_per_second": 1, "minutes": 1},
            reaction="throttle",
            throttle_bytes_per_second=THROTTLE,
        )
        stage.set_rule("many_addresses", {"networks": NETWORKS, "minutes": 2})
        stage.set_rule("unknown_flood", {"devices": UNKNOWN, "minutes": 2})
        panel.admin.post("/api/notifications/channels", name="drill", kind="webhook", locale="en",
                         url=receivers.webhook_url, secret=WEBHOOK_SECRET)  # fmt: skip
    provoking: dict[str, Customer] = {}
    missing: dict[str, Customer] = {}
    with drill.step("ten customers: for each rule one who breaks it and one who nearly does"):
        _shrink_plan(panel)
        for kind in KINDS:
            provoking[kind] = _customer(panel, f"breaks-{kind.replace('_', '-')}", kind)
            missing[kind] = _customer(panel, f"nearly-{kind.replace('_', '-')}", kind)
    with drill.step("both sides of every rule"):
        with _together(
            lambda: _rates(stage, provoking, missing),
            lambda: _unknown(fleet.clients[0], provoking, missing),
            lambda: _networks(stage, fleet, provoking, missing),
        ):
            _quotas(stage, provoking, missing)
            _hours(stage, provoking, missing)
        for kind in ("quota_passed", "sudden_change", "many_addresses", "unknown_flood"):
            stage.wait_for(kind, provoking[kind].id, resolved=False, seconds=60)
    with drill.step("the causes go, and the alerts with them"):
        panel.admin.post("/api/traffic/grant", user_id=provoking["quota_passed"].id, bytes=QUOTA,
                         reason="drill")  # fmt: skip
        _calm_hours(stage, provoking["sudden_change"])
        for kind in KINDS:
            took = stage.wait_for(kind, provoking[kind].id, resolved=True, seconds=300)
            drill.say(f"{kind} was over after {took:.0f} s more")
    _judge(stage, provoking, missing)


def _shrink_plan(panel: Panel) -> None:
    plans = panel.admin.get("/api/finance/plans")["plans"]
    small = next(plan for plan in plans if plan["duration_days"] == 3)
    panel.admin.post(f"/api/finance/plans/{small['id']}", version=small["version"],
                     traffic_bytes=QUOTA, over_quota="stop")  # fmt: skip


def _customer(panel: Panel, name: str, kind: str) -> Customer:
    customer = Customer(panel.customer(name))
    days = 3 if kind == "quota_passed" else 30
    activate(customer.account, panel.serials(days)[0])
    for device, key in (("one", customer.key), ("two", customer.peer)):
        node_key = derp.node_key(key)
        customer.account.post("/api/security/devices", node_key=node_key, name=device)
    for key in (customer.key, customer.peer):
        wait_until(lambda: derp.is_admitted(*customer.relay(), key), 20, f"{name} is let in")  # noqa: B023 # run at once
    return customer


@contextlib.contextmanager
def _together(*acts: Callable[[], None]) -> Generator[None]:
    """Do all of it side by side with what stands inside; raise what any of them raised."""
    trouble: list[BaseException] = []

    def one(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 # raised again below
            trouble.append(error)

    threads = [threading.Thread(target=one, args=(act,), daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(400)
    if trouble:
        raise trouble[0]


def _rates(stage: Stage, provoking: dict[str, Customer], missing: dict[str, Customer]) -> None:
    """One sends at twice the limit and is slowed down, one at two thirds of it and is not."""
    slow = Flow(missing["rate_too_high"], 0.66 * MB)
    fast = Flow(provoking["rate_too_high"], 2 * MB)
    try:
        before = fast.rate(5)
        took = stage.wait_for(
            "rate_too_high", provoking["rate_too_high"].id, resolved=False, seconds=240
        )
        wait_until(lambda: fast.rate(4) < 2 * THROTTLE, 60, "the fast one is slowed down")
        during, beside = fast.rate(10), slow.rate(5)
    finally:
        fast.end()
        slow.end()
    stage.drill.figure("rate_alert_s", took)
    stage.drill.figure("fast_before_bytes_per_second", before, at_least=MB)
    stage.drill.figure("fast_throttled_bytes_per_second", during, at_most=3 * THROTTLE)
    stage.drill.figure("nearly_fast_bytes_per_second", beside, at_least=0.4 * MB)


def _unknown(client: Machine, provoking: dict[str, Customer], missing: dict[str, Customer]) -> None:
    for customer, count in (
        (provoking["unknown_flood"], UNKNOWN),
        (missing["unknown_flood"], UNKNOWN - 1),
    ):
        for number in range(count):
            client.call(derp.is_admitted, *customer.relay(number % 3), derp.new_key())


def _networks(
    stage: Stage, fleet: Fleet, provoking: dict[str, Customer], missing: dict[str, Customer]
) -> None:
    """One device from as many networks as the rule says; another from one fewer, much of one."""
    client = fleet.clients[0]
    stage.edge(
        _forget, [derp.node_key(side["many_addresses"].key) for side in (provoking, missing)]
    )
    moving = [f"{MOBILE}.{number}.7" for number in range(NETWORKS)]
    staying = [*moving[: NETWORKS - 1], *(f"{MOBILE}.0.{number}" for number in range(8, 18))]
    for address in {*moving, *staying}:
        run(["ip", "-n", client.namespace, "addr", "add", f"{address}/32", "dev", "lo"])
    for server in fleet.servers:
        run(["ip", "-n", server.namespace, "route", "add", f"{MOBILE}.0.0/16", "via",
             client.address])  # fmt: skip
    for number in range(max(len(moving), len(staying))):
        for customer, addresses in (
            (provoking["many_addresses"], moving),
            (missing["many_addresses"], staying),
        ):
            if number < len(addresses):
                _come(stage.edge, client, customer, addresses[number])


def _forget(work: UnitOfWork, node_keys: list[str]) -> None:
    """Forget the network of this program, from which both were tried before."""
    work.session.execute(delete(DeviceNetwork).where(DeviceNetwork.node_key.in_(node_keys)))


def _come(edge: Edge, client: Machine, customer: Customer, address: str) -> None:
    """Connect from an address and stay until the panel has heard of it."""
    network = f"{address.rpartition('.')[0]}.0/24"
    with client.call(derp.Derp, *customer.relay(), customer.key, source=address):
        wait_until(
            lambda: edge.read(_is_noted, derp.node_key(customer.key), network),
            30,
            f"{address} is noted",
        )


def _is_noted(work: UnitOfWork, node_key: str, network: str) -> bool:
    found = (
        select(func.count())
        .select_from(DeviceNetwork)
        .where(DeviceNetwork.node_key == node_key, DeviceNetwork.network == network)
    )
    return bool(work.session.scalar(found))


def _quotas(stage: Stage, provoking: dict[str, Customer], missing: dict[str, Customer]) -> None:
    """One uses his traffic up, one comes to nine tenths of it."""
    for customer, size in (
        (provoking["quota_passed"], 1.2 * QUOTA),
        (missing["quota_passed"], 0.9 * QUOTA),
    ):
        flow = Flow(customer, 1.5 * MB)
        wanted = size

        def is_through(flow: Flow = flow, wanted: float = wanted, one: Customer = customer) -> bool:
            return flow.received >= wanted or stage.edge.read(_is_over, one.id)

        wait_until(is_through, 90, "the traffic is through")
        flow.end()
    wait_until(
        lambda: stage.edge.read(_used, missing["quota_passed"].id) >= 0.85 * QUOTA,
        30,
        "nine tenths are counted",
    )


def _is_over(work: UnitOfWork, user_id: int) -> bool:
    found = select(TrafficPeriod.over_at).where(
        TrafficPeriod.user_id == user_id, TrafficPeriod.open_rental_id.is_not(None)
    )
    return work.session.scalar(found) is not None


def _used(work: UnitOfWork, user_id: int) -> int:
    found = select(TrafficPeriod.used_bytes).where(
        TrafficPeriod.user_id == user_id, TrafficPeriod.open_rental_id.is_not(None)
    )
    return work.session.scalar(found) or 0


def _hours(stage: Stage, provoking: dict[str, Customer], missing: dict[str, Customer]) -> None:
    """Write a past of weeks, which no drill can wait for, and an hour unlike it, or like it."""
    for customer, usual in ((provoking["sudden_change"], 1), (missing["sudden_change"], 6)):
        stage.edge(_write_hours, user_id=customer.id, usual=usual * GB, last=30 * GB)
    stage.sweep("traffic.watch_changes")


def _write_hours(work: UnitOfWork, *, user_id: int, usual: int, last: int) -> None:
    """For the hour that is judged now and the next one: the drill may pass between them."""
    relay, server_id = work.session.execute(
        select(RelayMeter.placement_id, RelayMeter.server_id).where(RelayMeter.user_id == user_id)
    ).first() or (0, 0)
    now = hour_of(work.now - LATE) - timedelta(hours=1)
    for hour in (now, now + timedelta(hours=1)):
        for week in range(5):
            row = TrafficHour(
                placement_id=relay,
                server_id=server_id,
                user_id=user_id,
                begins_at=hour - timedelta(weeks=week),
                sent_bytes=usual if week else last,
            )
            work.session.merge(row)


def _calm_hours(stage: Stage, customer: Customer) -> None:
    def write(work: UnitOfWork) -> None:
        work.session.execute(
            update(TrafficHour).where(TrafficHour.user_id == customer.id).values(sent_bytes=GB)
        )

    stage.edge(write)
    stage.sweep("traffic.watch_changes")


def _judge(stage: Stage, provoking: dict[str, Customer], missing: dict[str, Customer]) -> None:
    drill, panel = stage.drill, stage.panel
    raised = Counter((alert["alert_type"], alert["params"]["user_id"]) for alert in stage.alerts())
    wanted = {(kind, customer.id) for kind, customer in provoking.items()}
    drill.figure("provoked_and_raised", len(wanted & raised.keys()), equals=len(KINDS))
    drill.figure("raised_without_cause", len(raised.keys() - wanted), equals=0)
    drill.figure("raised_twice", sum(count - 1 for count in raised.values()), equals=0)
    drill.figure("still_open", len(stage.alerts(resolved=False)), equals=0)
    drill.say(json.dumps([alert["message"] for alert in stage.alerts()], indent=1))

    def told() -> Counter[tuple[str, bool]]:
        return Counter(
            (one.content["data"]["alert_type"], one.content["data"]["resolved"])
            for one in stage.receivers.told
            if one.content["data"].get("alert_type") in KINDS
        )

    every = Counter((kind, over) for kind in KINDS for over in (False, True))
    with contextlib.suppress(AssertionError):
        wait_until(lambda: told() == every, 60, "the webhook has heard all")
    drill.check("webhook_told_each_once_and_its_end", told() == every, str(told()))
    subjects = [str(message.mail["Subject"]) for message in panel.mail.to("admin@example.com")]
    names = {kind: customer.account.email.partition("@")[0] for kind, customer in provoking.items()}
    mailed = [sum(name in subject for subject in subjects) for name in names.values()]
    drill.check("admins_mailed_once_each", mailed == [1] * len(KINDS), str(subjects))

    def is_notice(message: Message) -> bool:
        return any(word in str(message.mail["Subject"]) for word in ("异常", "unusual"))

    told_fast = panel.mail.to(provoking["rate_too_high"].account.email)
    drill.check("the_fast_one_is_told", any(is_notice(m) for m in told_fast))
    near = panel.mail.to(missing["rate_too_high"].account.email)
    drill.check("the_other_is_not", not any(is_notice(m) for m in near))
    flow = Flow(provoking["rate_too_high"], 2 * MB)
    drill.figure("fast_again_bytes_per_second", flow.rate(5), at_least=MB)
    flow.end()


if __name__ == "__main__":
    program(play)
