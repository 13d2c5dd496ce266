"""kill -9 at every step of a payment: the order is delivered once, or can be paid again."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2 as httpx

from derpman.access import service as access
from derpman.finance import channels, checking, wallet
from derpman.finance import service as finance
from derpman.finance.models import Method, Order
from derpman.finance.states import FULFILLED, OrderStatus
from derpman.kit.work import Role, UnitOfWork
from derpman.rentals import terms
from derpman.rentals.models import RentalTerm
from derpman.users import service as users
from tests.drills._drill import Drill, program
from tests.drills._races import Installation
from tests.system.emulators.alipay import AlipayServer
from tests.system.folders import Folder
from tests.system.processes import NotInTime, Process, spawn, wait_until
from tests.system.services import MariaDB

BUDGET_S = 240
INJECT = Path(__file__).parent / "inject"
PARTS = ("api", "dispatcher", "tasks")
COMPLETE_S = 90
WAIT_S = 300
"""A machine that does much else takes long to start what was killed."""
MOST_STEPS = 70
"""Database steps of a part in one payment, and some more: a later trap is taken away again."""


class Scene:
    def __init__(self, drill: Drill, folder: Path) -> None:
        self.drill = drill
        self.alipay = drill.use(AlipayServer())
        self.there = Installation(drill.use(MariaDB()).fresh(), folder)
        drill.finally_(self.there.system.engine.dispose)
        self.traps = folder / "steps"
        self.traps.mkdir()
        self.environment = {
            **self.there.environment,
            "PYTHONPATH": str(INJECT),
            "DERPMAN_DRILL_STEPS": str(self.traps),
            "DERPMAN_ALIPAY_URL": self.alipay.gateway,
        }
        self.there.add_servers(3, capacity=100_000)
        self.there.edge(switch_on, self.alipay.credentials)
        self.parts: dict[str, Process] = {}
        self.kills: Counter[str] = Counter()
        self.slowest = 0.0
        self.url = f"http://127.0.0.1:{self.environment['DERPMAN_LISTEN_PORT']}"
        self.client = drill.use(httpx.Client(base_url=self.url, timeout=30))
        drill.finally_(self.stop)
        self.start_dead()

    def start_dead(self) -> list[str]:
        """Start what is not running, as a service manager would."""
        dead = [one for one in PARTS if one not in self.parts or not self.parts[one].alive()]
        for part in dead:
            words = ["serve"] if part == "api" else ["worker", "--only", part]
            self.parts[part] = spawn(
                [sys.executable, "-m", "derpman", *words],
                log=self.there.folder / f"{part}.log",
                env=self.environment,
            )
        if "api" in dead:
            wait_until(self.answers, 60, "the API answers")
        return dead

    def stop(self) -> None:
        for part in self.parts.values():
            part.kill()

    def answers(self) -> bool:
        try:
            return self.client.get("/api/finance/plans").status_code == 200
        except httpx.TransportError:
            return False


def switch_on(work: UnitOfWork, credentials: dict[str, str]) -> None:
    channels.set_credentials(
        work, method=Method.ALIPAY, version=0, is_enabled=True, credentials=credentials
    )


def play(drill: Drill) -> None:
    folder = Folder(Path("/var/tmp/derpman-money"))
    drill.finally_(folder.close)
    with drill.step("stand up API, dispatcher and tasks that can be killed at any step"):
        scene = Scene(drill, folder.path / "kill")
    rounds = drill.scaled(80, least=4)
    people = scene.there.add_people(rounds)
    with drill.step("a payment without a kill, when everything has started"):
        [(user_id, token)] = scene.there.edge(one_more).items()
        pay(scene, user_id, token, "nobody", 1, by_wallet=True)
        scene.slowest = 0.0
    wrong: list[str] = []
    ended: Counter[str] = Counter()
    with drill.step(f"{rounds} payments, each with a kill"):
        for number, (user_id, token) in enumerate(people.items()):
            part = PARTS[number % len(PARTS)]
            step = 1 + drill.random.randrange(MOST_STEPS)
            by_wallet = number % 2 == 0
            ended[pay(scene, user_id, token, part, step, by_wallet=by_wallet)] += 1
            wrong += scene.there.edge.read(judge, user_id)
    for problem in wrong[:20]:
        drill.say(problem)
    drill.figure("payments", rounds)
    drill.figure("kills", dict(scene.kills))
    drill.figure("ended", dict(ended))
    drill.figure("slowest_to_complete_s", scene.slowest, at_most=COMPLETE_S)
    drill.figure("wrong", len(wrong), equals=0)
    _, differing = scene.there.edge(checking.check_accounts, after=0, limit=1_000_000)
    drill.figure("wrong_balances", differing, equals=0)
    drill.figure("wrong_orders", scene.there.edge(checking.check_orders), equals=0)


def pay(scene: Scene, user_id: int, token: str, part: str, step: int, *, by_wallet: bool) -> str:
    """Order, pay and be delivered, with a kill on the way; return how the order ended."""
    scene.there.edge(fill, user_id)
    headers = {"Authorization": f"Bearer {token}"}
    plan_id = scene.there.edge.read(finance.plan_of_days, 30).id
    wish: dict[str, Any] = {
        "plan_id": plan_id,
        "method": "wallet" if by_wallet else "alipay",
        "request_key": f"drill-order-{user_id}",
    }
    trap = scene.traps / part
    trap.write_text(str(step))
    began = time.monotonic()

    def done() -> bool:
        """A customer who tries again, and a gateway that repeats its notice."""
        order = scene.there.edge.read(order_of, user_id)
        with contextlib.suppress(httpx.TransportError):
            if order is None:
                placed = scene.client.post("/api/finance/orders", json=wish, headers=headers)
                assert placed.status_code in {200, 503}, placed.text
            elif not by_wallet and order.number in scene.alipay.trades:
                notice = scene.alipay.notice(order.number)
                scene.client.post("/api/finance/notify/alipay", content=notice)
        time.sleep(0.2)
        return restart()

    def restart() -> bool:
        for dead in scene.start_dead():
            scene.kills[dead] += 1
        order = scene.there.edge.read(order_of, user_id)
        return order is not None and order.status in FULFILLED

    try:
        wait_until(done, WAIT_S, "the order is delivered")
    except NotInTime:
        scene.drill.say(f"{part} was to die at step {step}, by wallet: {by_wallet}")
        for name, process in scene.parts.items():
            scene.drill.say(f"{name}: {process.tail()[-1500:]}")
        raise
    trap.unlink(missing_ok=True)
    scene.slowest = max(scene.slowest, time.monotonic() - began)
    order = scene.there.edge.read(order_of, user_id)
    return "none" if order is None else str(order.status)


def fill(work: UnitOfWork, user_id: int) -> None:
    wallet.compensate(work, user_id=user_id, fen=3900, reason="drill", request_key="drill")


def one_more(work: UnitOfWork) -> dict[int, str]:
    """Make another customer; return his token by his id."""
    user = users.create(
        work,
        username="first",
        email="first@example.com",
        password_hash="-",
        role=Role.USER,
        locale="en",
    )
    return {user.id: access.open_session(work, user_id=user.id)}


def order_of(work: UnitOfWork, user_id: int) -> Order | None:
    return work.session.query(Order).filter(Order.user_id == user_id).one_or_none()


def judge(work: UnitOfWork, user_id: int) -> list[str]:
    """Return what is wrong: delivered not once, or money that is not where it belongs."""
    order = order_of(work, user_id)
    if order is None or order.status is OrderStatus.PENDING:
        return [f"user {user_id} has no paid order"]
    bought = work.session.query(RentalTerm).filter(RentalTerm.order_id == order.id).count()
    held = wallet.of(work, user_id).total_fen
    wanted = 0 if order.method is Method.WALLET else 3900
    problems = [] if bought == 1 else [f"order {order.id} was delivered {bought} times"]
    if held != wanted:
        problems.append(f"order {order.id}: {held} fen in the wallet, not {wanted}")
    if order.rental_id is None or len(terms.of_rental(work, order.rental_id)) != 1:
        problems.append(f"order {order.id} has no rental of its own")
    return problems


if __name__ == "__main__":
    program(play)
