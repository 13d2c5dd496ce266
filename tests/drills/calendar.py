"""400 simulated days of 200 customers: nobody is cut early, served late, or told twice.

The short form has fewer customers, and 150 days.

The clock is simulated and the nodes are emulated in this process; database, verbs, sweeps and
deliveries are the product's. Background processes are restarted every few hours with new objects,
and killed between their transactions. What must come true is reckoned beside the product, from
what each customer bought and when.
"""

import gc
import heapq
import itertools
import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import func, select

from derpman.acl import service as acl
from derpman.acl import usage
from derpman.containers import service as containers
from derpman.containers.models import Placement, PortClaim
from derpman.containers.states import Wanted
from derpman.finance import service as finance
from derpman.finance.models import Plan
from derpman.kit import outbox
from derpman.kit.db import engine_for
from derpman.kit.dispatch import Dispatcher
from derpman.kit.outbox import Delivery, DeliveryStatus
from derpman.kit.secrets import Vault
from derpman.kit.work import SYSTEM, Actor, Edge, Role, UnitOfWork
from derpman.logs.models import UserHistory
from derpman.migrations import upgrade
from derpman.notifications.models import Mail
from derpman.rentals import closing, marking, renewals
from derpman.rentals import service as rentals
from derpman.rentals.models import Rental, RentalNotice
from derpman.rentals.states import NoticeKind, RentalStatus
from derpman.serials import service as serials
from derpman.servers.models import Server, ServerLink, Transport
from derpman.servers.states import ServerStatus
from derpman.settings import Settings
from derpman.users import service as users
from derpman.users.errors import NotRenewable
from derpman.users.models import User
from derpman.users.states import UserStatus
from derpman.wiring import System
from derpman.worker import celery_app
from tests.drills._drill import Drill, program
from tests.drills._nodes import EmulatedNode, Ports, behind

BUDGET_S = 400
CUSTOMERS = 200
DAYS = 400
SERVERS = 6
LENGTHS = (3, 5, 30, 180, 360)
START = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)
DEATHS = 0.01  # of the chances before and after each transaction of a background process
SWEEPS = (
    "rentals.end_expired",
    "rentals.change_terms",
    "rentals.send_notices",
    "rentals.deregister",
    "rentals.rotate",
    "acl.attend_due",
)
FOLLOWED = ("rentals.", "acl.", "devices.fit", "devices.forget", "traffic.follow")
BEFORE = {
    NoticeKind.EXPIRES_IN_7: -timedelta(days=7),
    NoticeKind.EXPIRES_IN_3: -timedelta(days=3),
    NoticeKind.EXPIRES_IN_1: -timedelta(days=1),
    NoticeKind.EXPIRED: timedelta(0),
    NoticeKind.CLOSES_IN_7: timedelta(days=23),
    NoticeKind.CLOSES_IN_1: timedelta(days=29),
}
CLOSES = timedelta(days=30)


class Killed(BaseException):
    """The process is no more, at once."""


class Fate:
    """Decides when a background process dies."""

    def __init__(self, drill: Drill) -> None:
        self.random = drill.random
        self.is_on = True
        self.deaths = 0

    def meets(self) -> None:
        if self.is_on and self.random.random() < DEATHS:
            self.deaths += 1
            raise Killed


class MortalEdge(Edge):
    """An edge whose process may die before a transaction, or right after its commit."""

    fate: Fate

    def __call__(self, verb: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.fate.meets()
        result = super().__call__(verb, *args, **kwargs)
        self.fate.meets()
        return result


class MortalSystem(System):
    """The parts of a background process that may die."""

    fate: Fate

    def edge(self, actor: Actor = SYSTEM) -> Edge:
        edge = MortalEdge(**vars(super().edge(actor)))
        object.__setattr__(edge, "fate", self.fate)
        return edge


class NoWake:
    """Nobody listens: every tick looks at everything."""

    def send(self, topics: object) -> None:
        pass

    def listen(self, heard: object) -> Any:
        return lambda: None


@dataclass
class Customer:
    """What he bought, and what is due to him by that: reckoned here, not read from the product."""

    id: int
    email: str
    bought: int = 0
    end: datetime | None = None
    is_running: bool = False
    is_suspended: bool = False
    is_marked: bool = False
    is_gone: bool = False
    closes_at: datetime | None = None
    told: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    renewed: int = 0
    ended: int = 0
    places: list[tuple[int, int, int, str]] = field(default_factory=list)
    ended_at: datetime | None = None

    def has_right(self, now: datetime) -> bool:
        is_paid = self.is_running and self.end is not None and now < self.end
        return is_paid and not self.is_suspended and not self.is_gone


class Year:
    """The installation, its nodes, its customers and their diary."""

    def __init__(self, drill: Drill, folder: Path) -> None:
        self.drill = drill
        self.random = drill.random
        self.now = START
        self.fate = Fate(drill)
        self.folder = folder
        self.key = Fernet.generate_key().decode()
        self.settings = Settings(
            _env_file=None,  # pyright: ignore[reportCallIssue] # pydantic-settings takes it
            data_dir=folder,
            database_url=f"sqlite:///{folder}/calendar.sqlite",
            secret_keys=self.key,
            acl_rotations_per_minute=1000,
        )
        self.engine = engine_for(self.settings.database)
        upgrade(self.engine)
        calm = System(self.settings, self.engine, Vault([self.key]), NoWake(), lambda: self.now)
        self.run = calm.edge()
        self.run(finance.seed_plans)
        self.plans: dict[int, Plan] = {
            days: self.run.read(finance.plan_of_days, days) for days in LENGTHS
        }
        self.nodes = [EmulatedNode(one) for one in self.run(_add_servers)]
        self.ports = Ports()
        self.owners: dict[int, int] = {}
        self.customers: dict[int, Customer] = {}
        self.diary: list[tuple[datetime, int, Any, tuple[Any, ...]]] = []
        self.numbers = itertools.count()
        self.early: list[str] = []
        self.late: list[str] = []
        self.wrong: list[str] = []
        self.restarts = self.ticks = self.resumed = 0
        self.restart()

    # Processes

    def restart(self) -> None:
        """New process objects, and new connections to the database."""
        self.restarts += 1
        self.engine.dispose()  # what it remembers of how statements are written may stay
        system = MortalSystem(
            self.settings,
            self.engine,
            Vault([self.key]),
            NoWake(),  # pyright: ignore[reportArgumentType]
            lambda: self.now,
        )
        object.__setattr__(system, "fate", self.fate)
        self.system = system
        self.app = celery_app(system)
        self.app.loader.import_default_modules()

    def tick(self) -> None:
        """Let the background processes do what is due, and the nodes what they are told."""
        self.ticks += 1
        for _ in range(50):
            try:
                self._work()
            except Killed:
                self.restart()
                self.now += timedelta(seconds=2)
            else:
                return
        raise AssertionError("background processes come to no end")

    def _work(self) -> None:
        for name in SWEEPS:
            self.app.tasks[name]()
        self._converge()
        self._follow()
        self._converge()

    def _follow(self) -> None:
        def send(task: str, delivery_id: int) -> None:
            if task.startswith(FOLLOWED):
                self.app.tasks[task](delivery_id)
            else:  # nobody here does it: it would be handed over again and again
                self.run(_set_aside, delivery_id)

        while Dispatcher(self.system.edge(), NoWake(), send).dispatch_due():
            pass

    def _converge(self) -> None:
        due = set(behind(self.run))
        for node in self.nodes:
            if node.server_id in due and node.converge(self.run):
                self._learn_owners(node)
                self.ports.watch(node, self.owners, self.now)

    def _learn_owners(self, node: EmulatedNode) -> None:
        unknown = [one for one in node.relays if one not in self.owners]
        if unknown:
            self.owners |= self.run.read(_owners, unknown)

    # The diary

    def at(self, when: datetime, action: Any, *arguments: Any) -> None:
        heapq.heappush(self.diary, (when, next(self.numbers), action, arguments))

    def live(self, until: datetime) -> None:
        while self.diary and self.diary[0][0] <= until:
            when, _, action, arguments = heapq.heappop(self.diary)
            if action == self._starts_anew:
                self.now = max(self.now, when)
                action(*arguments)
                continue
            self.now = max(self.now, when)
            if action in (self._just_before, self._just_after):
                action(*arguments)  # what the nodes do by themselves, whatever the panel does
                continue
            self.tick()
            action(*arguments)
        self.now = max(self.now, until)
        self.tick()

    def _starts_anew(self) -> None:
        self.restart()
        self.tick()
        self.at(self.now + timedelta(hours=self.random.uniform(5, 20)), self._starts_anew)

    def _check_everybody(self) -> None:
        for customer in self.customers.values():
            self.check(customer)
        self.at(self.now + timedelta(days=5), self._check_everybody)

    # What customers do

    def buy(self, customer: Customer) -> None:
        """Enter a serial number of some length."""
        if customer.is_gone or customer.is_suspended:
            return
        days = self.random.choices(LENGTHS, (4, 4, 8, 2, 1))[0]
        code = self.run(serials.generate, duration_days=days)[0].code
        if customer.is_marked:
            try:
                self.run(renewals.renew_by_serial, user_id=customer.id, code=code)
            except NotRenewable:
                return
            self.wrong.append(f"customer {customer.id} renewed in spite of the mark")
        was_running = customer.is_running
        rental = self.run(renewals.renew_by_serial, user_id=customer.id, code=code)
        base = customer.end if was_running and customer.end else self.now
        customer.end = base + timedelta(days=days)
        if rental.expires_at != customer.end:
            self.wrong.append(f"{customer.id} until {rental.expires_at}, not {customer.end}")
        customer.bought += 1
        customer.renewed += was_running
        customer.begun += not was_running
        customer.is_running, customer.closes_at = True, None
        self._converge()
        self._compare_places(customer, rental, was_running)
        self._expect(customer)
        self.check(customer)
        self._decide(customer)

    def _compare_places(self, customer: Customer, rental: Rental, was_running: bool) -> None:
        now = self.run.read(_places, rental.id)
        if not was_running and customer.ended_at is not None and rental.resumes_id is not None:
            self.resumed += 1
            if not set(customer.places) <= set(now):
                self.wrong.append(f"{customer.id} came back to {now}, not {customer.places}")
        if not was_running and rental.resumes_id is None and customer.places:
            same = {(one[1], one[2]) for one in now} & {(one[1], one[2]) for one in customer.places}
            is_week = customer.ended_at is not None and self.now - customer.ended_at < timedelta(7)
            if same and is_week:
                self.wrong.append(f"{customer.id} has new keys on the old ports {same}")

    def _expect(self, customer: Customer) -> None:
        assert customer.end is not None
        for kind, offset in BEFORE.items():
            if customer.end + offset > self.now:
                self.at(customer.end + offset, self._due, customer, customer.bought, kind)
        self.at(customer.end - timedelta(seconds=1), self._just_before, customer)
        self.at(customer.end + timedelta(seconds=60), self._just_after, customer)

    def _due(self, customer: Customer, number: int, kind: NoticeKind) -> None:
        """The sweeps ran at this moment: what the product must have told by now."""
        if number != customer.bought or customer.is_gone:
            return
        if kind is NoticeKind.EXPIRED:
            if customer.is_running:
                self._over(customer, self.now, at=customer.end)
                customer.told["rental_ended"] += 1
            return
        is_before = kind in (
            NoticeKind.EXPIRES_IN_7,
            NoticeKind.EXPIRES_IN_3,
            NoticeKind.EXPIRES_IN_1,
        )
        if is_before and customer.is_running and not customer.is_suspended:
            customer.told["rental_expiring"] += 1

    def _over(self, customer: Customer, now: datetime, *, at: datetime | None) -> None:
        customer.is_running = False
        customer.ended += 1
        customer.ended_at = now
        assert at is not None
        self._await_closing(customer, at + CLOSES)

    def _await_closing(self, customer: Customer, closes_at: datetime) -> None:
        customer.closes_at = closes_at
        for before in (timedelta(days=7), timedelta(days=1)):
            if closes_at - before > self.now:
                self.at(closes_at - before, self._closing_due, customer, closes_at)
        self.at(closes_at, self._closed, customer, closes_at)

    def _closing_due(self, customer: Customer, closes_at: datetime) -> None:
        if customer.closes_at == closes_at and not customer.is_suspended and not customer.is_gone:
            customer.told["account_closing"] += 1

    def _closed(self, customer: Customer, closes_at: datetime) -> None:
        if customer.closes_at != closes_at or customer.is_suspended or customer.is_gone:
            return
        customer.is_gone = True
        customer.told["account_closed"] += 1
        user = self.run.read(users.get, customer.id)
        if user.status is not UserStatus.DEREGISTERED:
            self.wrong.append(f"{customer.id} is {user.status} on day 31")

    def _decide(self, customer: Customer) -> None:
        """Choose what he does next."""
        assert customer.end is not None
        left = customer.end - self.now
        what = self.random.random()
        if what < 0.45:  # renews in time
            self.at(self.now + left * self.random.uniform(0.3, 0.99), self._buy_once, customer)
        elif what < 0.63:  # comes back within a week
            hours = self.random.uniform(0.1, 6.9 * 24)
            self.at(customer.end + timedelta(hours=hours), self._buy_once, customer)
        elif what < 0.75:  # comes back later
            self.at(
                customer.end + timedelta(days=self.random.uniform(7.1, 29)),
                self._buy_once,
                customer,
            )
        elif what < 0.83:
            self.at(self.now + left * self.random.uniform(0.1, 0.9), self._mark, customer)
        elif what < 0.91:
            self.at(self.now + left * self.random.uniform(0.1, 0.8), self._suspend, customer)
        elif what < 0.94:
            self.at(self.now + left * self.random.uniform(0.2, 1.2), self._deregister, customer)
        # else he leaves, and is deregistered by time

    def _buy_once(self, customer: Customer) -> None:
        self.buy(customer)

    def _mark(self, customer: Customer) -> None:
        if customer.is_gone:
            return
        is_at_once = self.random.random() < 0.5
        customer.is_marked = True
        self._note_places(customer)
        self.run(marking.forbid_renewal, user_id=customer.id, reason="drill", is_at_once=is_at_once)
        if is_at_once and customer.is_running:
            customer.end = self.now
            customer.bought += 1  # what was due of the rest is not
            customer.told["rental_ended"] += 1
            self._over(customer, self.now, at=self.now)
        self.at(self.now + timedelta(days=self.random.uniform(0.5, 25)), self._lift, customer)

    def _lift(self, customer: Customer) -> None:
        if customer.is_gone:
            return
        self.buy(customer)  # refused
        customer.is_marked = False
        self.run(marking.allow_renewal, user_id=customer.id)
        if self.random.random() < 0.7:
            self.at(
                self.now + timedelta(days=self.random.uniform(0.1, 3)), self._buy_once, customer
            )

    def _suspend(self, customer: Customer) -> None:
        if customer.is_gone or customer.is_suspended or not customer.is_running:
            return
        customer.is_suspended = True
        self.run(rentals.suspend_user, user_id=customer.id, reason="drill")
        self._converge()
        self.check(customer)
        self.at(self.now + timedelta(days=self.random.uniform(0.5, 6)), self._reinstate, customer)

    def _reinstate(self, customer: Customer) -> None:
        customer.is_suspended = False
        self.run(rentals.reinstate_user, user_id=customer.id)
        if customer.closes_at is not None:
            soonest = self.now + timedelta(days=7, minutes=1)
            self._await_closing(customer, max(customer.closes_at, soonest))
        self._converge()
        self.check(customer)
        self.at(self.now + timedelta(days=1), self._buy_once, customer)

    def _deregister(self, customer: Customer) -> None:
        if customer.is_gone or customer.is_suspended:
            return
        if customer.is_running:
            customer.told["rental_ended"] += 1
            customer.ended += 1
        self.run(closing.ask, user_id=customer.id, gives_up_rental=True)
        customer.is_gone, customer.is_running = True, False
        customer.told["account_closed"] += 1
        self._converge()
        self.check(customer)

    # What nodes serve

    def _note_places(self, customer: Customer) -> None:
        if customer.is_running:
            rental = self.run.read(rentals.open_rental, customer.id)
            if rental is not None:
                customer.places = self.run.read(_places, rental.id)

    def _just_before(self, customer: Customer) -> None:
        self._note_places(customer)
        self.check(customer)

    def _just_after(self, customer: Customer) -> None:
        self.check(customer)

    def check(self, customer: Customer) -> None:
        """Compare what the nodes serve at this moment with what he may have."""
        serving = {one for node in self.nodes for one in node.serving(self.now)}
        mine = {one for one in serving if self.owners.get(one) == customer.id}
        if not customer.has_right(self.now):
            is_over = customer.end is None or self.now - customer.end >= timedelta(seconds=60)
            if mine and (is_over or customer.is_suspended or customer.is_gone):
                self.late.append(f"{customer.id} at {self.now}: {sorted(mine)}")
            return
        slots = self.run.read(_named, customer.id, mine)
        if slots != [1, 2, 3]:
            self.early.append(f"{customer.id} at {self.now}: slots {slots}")


def _set_aside(work: UnitOfWork, delivery_id: int) -> None:
    outbox.finish(work.session, delivery_id, work.now)


def _add_servers(work: UnitOfWork) -> list[int]:
    made = [
        Server(
            ip=f"203.0.113.{number}",
            present_ip=f"203.0.113.{number}",
            public_ip=f"203.0.113.{number}",
            region=f"region-{number}",
            status=ServerStatus.HEALTHY,
            transport=Transport.FAKE,
            port_from=20000,
            port_to=21999,
            capacity=500,
            created_at=work.now,
            updated_at=work.now,
        )
        for number in range(1, SERVERS + 1)
    ]
    work.session.add_all(made)
    work.session.flush()
    work.session.add_all(ServerLink(server_id=server.id) for server in made)
    return [server.id for server in made]


def _add_customer(work: UnitOfWork, number: int) -> tuple[int, str]:
    user = users.create(
        work,
        username=f"user{number}",
        email=f"user{number}@example.com",
        password_hash="-",
        role=Role.USER,
        locale="zh-CN" if number % 2 else "en",
    )
    return user.id, user.email


def _owners(work: UnitOfWork, relay_ids: list[int]) -> dict[int, int]:
    rows = select(Placement.id, Placement.user_id).where(Placement.id.in_(relay_ids))
    return {row.id: row.user_id for row in work.session.execute(rows)}


def _places(work: UnitOfWork, rental_id: int) -> list[tuple[int, int, int, str]]:
    placed = containers.placements_of(work, rental_id=rental_id)
    newest = {one.slot: one for one in placed}
    return [(one.slot, one.server_id, one.port, one.pin) for one in newest.values()]


def _named(work: UnitOfWork, user_id: int, serving: set[int]) -> list[int]:
    """Return the slots whose relay serves and is named by the version that he may take now."""
    version = acl.offered(work, user_id=user_id)
    pins = usage.pins_of(version)
    return sorted(
        one.slot
        for one in containers.placements_of(work, user_id=user_id)
        if one.pin in pins and one.id in serving
    )


def play(drill: Drill) -> None:
    count = drill.scaled(CUSTOMERS, least=8)
    ram = Path("/dev/shm")  # a database that need not survive this run
    folder = drill.use(
        tempfile.TemporaryDirectory(prefix="derpman-calendar-", dir=ram if ram.is_dir() else None)
    )
    year = Year(drill, Path(folder))
    with drill.step(f"{count} customers begin"):
        for number in range(count):
            customer = Customer(*year.run(_add_customer, number))
            year.customers[customer.id] = customer
            year.at(START + timedelta(days=drill.random.uniform(0, 60)), year._buy_once, customer)
    year.at(START + timedelta(hours=7), year._starts_anew)
    year.at(START + timedelta(days=5), year._check_everybody)
    days = drill.scaled(DAYS, least=150)
    for day in range(0, days, 50):
        with drill.step(f"days {day} to {min(day + 50, days)}"):
            year.live(START + timedelta(days=min(day + 50, days)))
            gc.collect()
    with drill.step("let everything come to rest"):
        year.fate.is_on = False
        for _ in range(4):
            year.live(year.now + timedelta(hours=2))
    for customer in year.customers.values():
        year.check(customer)
    _judge(drill, year)


def _judge(drill: Drill, year: Year) -> None:
    customers = year.customers.values()
    drill.figure("customers", len(customers))
    drill.figure("days", (year.now - START).days)
    drill.figure("bought", sum(one.begun + one.renewed for one in customers))
    drill.figure("came_back_to_the_same_relays", year.resumed)
    drill.figure("deregistered", sum(one.is_gone for one in customers))
    drill.figure("restarts", year.restarts)
    drill.figure("killed", year.fate.deaths)
    for name, found in (
        ("cut_early", year.early),
        ("served_late", year.late),
        ("went_wrong", year.wrong),
        ("ports_given_too_soon", year.ports.broken),
        ("notices_missing_or_twice", year.run.read(_wrong_notices, year)),
        ("inconsistent", year.run.read(_inconsistent, year)),
    ):
        for one in found[:5]:
            drill.say(f"  {name}: {one}")
        drill.figure(name, len(found), equals=0)
    drill.figure("notices", sum(sum(one.told.values()) for one in customers))


def _wrong_notices(work: UnitOfWork, year: Year) -> list[str]:
    """Compare the mails of each customer with those that were due to him."""
    counted = work.session.execute(
        select(Mail.user_id, Mail.template, func.count()).group_by(Mail.user_id, Mail.template)
    ).all()
    sent: dict[int, Counter[str]] = {one: Counter() for one in year.customers}
    for user_id, template, count in counted:
        if user_id in sent:
            sent[user_id][template] = count
    kinds = ("rental_expiring", "rental_ended", "account_closing", "account_closed")
    wrong = [
        f"{one.id} {kind}: {sent[one.id][kind]} mails, {one.told[kind]} due"
        for one in year.customers.values()
        for kind in kinds
        if sent[one.id][kind] != one.told[kind]
    ]
    twice = work.session.execute(
        select(RentalNotice.rental_id, RentalNotice.period, RentalNotice.kind)
        .group_by(RentalNotice.rental_id, RentalNotice.period, RentalNotice.kind)
        .having(func.count() > 1)
    ).all()
    return wrong + [str(one) for one in twice]


def _inconsistent(work: UnitOfWork, year: Year) -> list[str]:
    """Look for what does not fit together at the end."""
    found: list[str] = []
    session = work.session
    for user in session.scalars(select(User)):
        one = year.customers[user.id]
        expected = UserStatus.DEREGISTERED if one.is_gone else UserStatus.ACTIVE
        if user.status is not expected and not one.is_suspended:
            found.append(f"user {user.id} is {user.status}, not {expected}")
        due = one.closes_at
        is_late = due and user.deregistered_at and user.deregistered_at - due > timedelta(minutes=5)
        if is_late:
            found.append(f"user {user.id} was deregistered at {user.deregistered_at}, not {due}")
        kinds = Counter(
            session.scalars(select(UserHistory.kind).where(UserHistory.user_id == user.id))
        )
        told = (kinds["rental.activated"], kinds["rental.renewed"], kinds["rental.ended"])
        if told != (one.begun, one.renewed, one.ended):
            found.append(f"history of {user.id}: {told}, not {one.begun, one.renewed, one.ended}")
        open_rentals = session.scalars(
            select(Rental).where(Rental.user_id == user.id, Rental.status != RentalStatus.ENDED)
        ).all()
        if len(open_rentals) != one.is_running:
            found.append(f"user {user.id} has {len(open_rentals)} rentals")
    live = session.scalars(select(Placement).where(Placement.wanted != Wanted.RELEASED)).all()
    on_nodes = {one for node in year.nodes for one in node.relays}
    if {one.id for one in live} != on_nodes:
        found.append(f"{len(live)} relays wanted, {len(on_nodes)} on nodes")
    left = session.scalars(select(Placement.id).where(Placement.gone_at.is_(None))).all()
    if set(left) != {one.id for one in live}:
        found.append(f"{len(left)} relays not gone, {len(live)} wanted")
    claims = {
        (row.server_id, row.port): row.placement_id
        for row in session.scalars(select(PortClaim).where(PortClaim.free_at.is_(None)))
    }
    if claims != {(one.server_id, one.port): one.id for one in live}:
        found.append(f"{len(claims)} ports held, {len(live)} relays")
    for server in session.scalars(select(Server)):
        count = sum(one.server_id == server.id for one in live)
        if server.relay_count != count:
            found.append(f"server {server.id} counts {server.relay_count} of {count} relays")
    undone = session.scalars(
        select(Delivery).where(Delivery.status != DeliveryStatus.DONE, Delivery.due_at <= work.now)
    ).all()
    waiting = [one for one in undone if one.handler.startswith(FOLLOWED)]
    found += [f"{one.handler} {json.loads(one.payload)}: {one.error}" for one in waiting]
    return found


if __name__ == "__main__":
    program(play)
