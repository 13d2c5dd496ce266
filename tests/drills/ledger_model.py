"""200,000 random movements of money on SQLite and MariaDB against a small model: no difference."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as with_seed
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import select

from derpman.finance import earning, ledger
from derpman.finance.models import OWNED, Account, AccountKind
from derpman.kit.work import UnitOfWork
from tests.drills._drill import Drill, program
from tests.drills._money import prepare
from tests.drills._races import Installation, system_of
from tests.drills._trade import Trade
from tests.system.folders import Folder
from tests.system.services import MariaDB

BUDGET_S = 420
OPERATIONS = 100_000
"""On each of the two databases."""
STEPS, EXAMPLES = 60, 10


def play(drill: Drill) -> None:
    folder = Folder(Path("/var/tmp/derpman-money"))
    drill.finally_(folder.close)
    # Each operation is a transaction that reaches the disk: the short form does a quarter of its
    # share, and is still of the same kind.
    wanted = drill.scaled(OPERATIONS if drill.scale >= 0.5 else OPERATIONS // 4, least=500)
    places = {
        "sqlite": f"sqlite:///{folder.path}/money.sqlite",
        "mariadb": drill.use(MariaDB()).fresh(),
    }
    context = multiprocessing.get_context("forkserver")
    results = context.Queue()
    began = time.monotonic()
    with drill.step(f"{wanted} operations on each of {', '.join(places)}, side by side"):
        running = []
        for name, url in places.items():
            there = Installation(url, folder.path / name)
            there.system.engine.dispose()
            arguments = (name, there.environment, drill.seed, wanted, results)
            running.append(context.Process(target=examples, args=arguments, daemon=True))
            running[-1].start()
        told: dict[str, Any] = {}
        while len(told) < len(places):
            name, result = results.get(timeout=7200)
            told[name] = result
            drill.say(f"{name}: {result}")
    for process in running:
        process.join(30)
    for name, result in told.items():
        drill.figure(f"{name}_operations", result["operations"], at_least=wanted)
        drill.figure(f"{name}_examples", result["examples"])
        drill.figure(f"{name}_retries", result["retries"])
        drill.check(f"{name}_agrees", not result["problem"], result["problem"])
        drill.figure(f"{name}_sum_of_all_accounts", result["sum"], equals=0)
        drill.figure(f"{name}_wrong_balances", result["wrong"], equals=0)
        drill.figure(f"{name}_deferred_after_all", result["deferred_rest"], equals=0)
    total = sum(result["operations"] for result in told.values())
    drill.figure("operations", total, at_least=2 * wanted)
    drill.figure("operations_per_s", round(total / (time.monotonic() - began), 1))


def examples(name: str, environment: dict[str, str], seed: int, wanted: int, results: Any) -> None:
    """Run examples until there were as many operations as wanted, or one that differs."""
    retried: list[str] = []
    edge = replace(system_of(environment).edge(), retried=retried.append)
    Trade.edge = edge
    Trade.plans = edge(prepare)
    limits = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    problem, count = "", 0
    while Trade.done < wanted and not problem:
        chunk = with_seed(seed + count)(Trade)
        try:
            run_state_machine_as_test(chunk, settings=limits)
        except BaseException:  # noqa: BLE001 - told by the drill with its seed
            problem = f"seed {seed + count}: {traceback.format_exc()[-4000:]}"
        count += 1
    result = {"operations": Trade.done, "examples": count * EXAMPLES, "retries": len(retried)}
    later = replace(edge, clock=lambda: Trade.now + timedelta(days=4000))
    while later(earning.book_days):
        pass
    results.put((name, {**result, "problem": problem, **later(check)}))


def check(work: UnitOfWork) -> dict[str, int]:
    """Return what all accounts say when every order that was delivered is earned."""
    accounts = list(work.session.scalars(select(Account)))
    sums = ledger.derived(work, [one.id for one in accounts])
    wrong = [one for one in accounts if one.kind in OWNED and one.balance_fen != sums[one.id]]
    waiting = work.session.connection().exec_driver_sql(
        "SELECT COALESCE(SUM(amount_fen - refunded_fen), 0) FROM orders WHERE status = 'paid'"
    )
    deferred = sum(sums[one.id] for one in accounts if one.kind is AccountKind.DEFERRED)
    return {
        "sum": sum(sums.values()),
        "wrong": len(wrong),
        "deferred_rest": deferred - int(waiting.scalar_one()),
    }


if __name__ == "__main__":
    program(play)
