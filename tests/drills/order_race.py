"""64 cancel, pay, notify and refund calls at once on each of 200 orders: one outcome each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from derpman.finance import channels, ledger, orders, wallet
from derpman.finance import service as finance
from derpman.finance.models import AccountKind, Method, Order
from derpman.kit.work import UnitOfWork
from tests.drills._drill import Drill, program
from tests.drills._money import deferred_of
from tests.drills._payers import Act, Came, Payers
from tests.drills._races import Installation
from tests.system.emulators.alipay import AlipayServer
from tests.system.folders import Folder
from tests.system.services import MariaDB

BUDGET_S = 120
CALLS = 64
KINDS = ("cancel", "pay", "notify", "refund")
BUSY = "unavailable"


def play(drill: Drill) -> None:
    folder = Folder(Path("/var/tmp/derpman-money"))
    drill.finally_(folder.close)
    count = drill.scaled(200, least=8)
    there = Installation(drill.use(MariaDB()).fresh(), folder.path / "race")
    drill.finally_(there.system.engine.dispose)
    there.edge(switch_on, AlipayServer().credentials)
    people = list(there.add_people(count))
    placed = [there.edge(place, user_id) for user_id in people]
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    retries = 0
    with (
        drill.step(f"{CALLS} calls at once on each of {count} orders"),
        Payers(there.environment, CALLS) as payers,
    ):
        for user_id, order in zip(people, placed, strict=True):
            acts = [
                Act(KINDS[number % 4], order.id, order.number, order.amount_fen, f"key-{number}")
                for number in range(CALLS)
            ]
            drill.random.shuffle(acts)
            came = payers.together(acts)
            retries += sum(one.retries for one in came)
            status, problems = there.edge.read(judge, user_id, order.id, came)
            outcomes[status] += 1
            wrong += [f"order {order.id}, {status}: {problem}" for problem in problems]
    for problem in wrong[:20]:
        drill.say(problem)
    drill.figure("orders", count)
    drill.figure("calls", count * CALLS)
    drill.figure("outcomes", dict(outcomes))
    drill.figure("retried_transactions", retries)
    drill.figure("wrong_outcomes", len(wrong), equals=0)


def switch_on(work: UnitOfWork, credentials: dict[str, str]) -> None:
    channels.set_credentials(
        work, method=Method.ALIPAY, version=0, is_enabled=True, credentials=credentials
    )


def place(work: UnitOfWork, user_id: int) -> Order:
    """Give a customer the price of a plan, and have him order it by Alipay."""
    plan = finance.plan_of_days(work, 30)
    wallet.compensate(
        work, user_id=user_id, fen=plan.price_fen, reason="drill", request_key="drill"
    )
    return orders.place(
        work, user_id=user_id, request_key="race", method=Method.ALIPAY, plan_id=plan.id
    )


def judge(work: UnitOfWork, user_id: int, order_id: int, came: list[Came]) -> tuple[str, list[str]]:
    """Return how an order ended, and what is wrong with that."""
    order = work.session.get_one(Order, order_id)
    told = Counter((one.what, one.came) for one in came)
    problems = [f"{one.what}: {one.came}" for one in came if one.came.startswith(("bug", BUSY))]
    decided = told["cancel", "ok"] + told["pay", "ok"]
    by_notice = told["notify", "accepted"]
    if by_notice != 1 or told["notify", "duplicate"] != CALLS // 4 - 1:
        problems.append(f"the notice counted {by_notice} times")
    if told["refund", "ok"] > 1:
        problems.append(f"{told['refund', 'ok']} refunds")
    if decided > 1:
        problems.append(f"{decided} of cancel and pay succeeded")
    wanted = {0: ("paid", "refunded"), 1: ("paid", "refunded", "cancelled")}
    if order.status not in wanted[min(decided, 1)]:
        problems.append(f"{order.status} after {dict(told)}")
    if (order.status == "refunded") != (told["refund", "ok"] == 1):
        problems.append(f"{order.status} after {told['refund', 'ok']} refunds")
    held = wallet.of(work, user_id).total_fen
    waiting = deferred_of(work, order_id)
    expected = order.amount_fen if order.status == "paid" else 0
    # The customer began with the price in his wallet, and the price came in once more.
    if waiting != expected or held + waiting != 2 * order.amount_fen:
        problems.append(f"{held} in the wallet, {waiting} deferred")
    kept = ledger.balance(work, ledger.Holder(AccountKind.BONUS, user_id))
    if kept < 0:
        problems.append("a negative wallet")
    return order.status, problems


if __name__ == "__main__":
    program(play)
