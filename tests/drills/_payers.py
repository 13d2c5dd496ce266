"""Callers of one order at the same moment, in several processes of many threads."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, Self

from derpman.finance import orders, payments, settling
from derpman.finance.gateway_terms import Told, TradeState
from derpman.finance.models import Method
from derpman.kit.errors import DomainError
from derpman.kit.work import Edge
from tests.drills._races import system_of

PROCESSES = 4
WAIT_S = 300


@dataclass(frozen=True)
class Act:
    """What somebody does with an order: `cancel`, `pay`, `notify` or `refund`."""

    what: str
    order_id: int
    number: str
    fen: int
    key: str


@dataclass(frozen=True)
class Came:
    """What came of it: `ok`, a verdict, or the code of a refusal; `bug: …` is a bug."""

    what: str
    came: str
    retries: int


def act(edge: Edge, one: Act) -> str:
    """Do one of the four things."""
    if one.what == "cancel":
        edge(orders.cancel, order_id=one.order_id)
    elif one.what == "pay":
        edge(orders.pay, order_id=one.order_id, method=Method.WALLET)
    elif one.what == "refund":
        edge(settling.refund, order_id=one.order_id, fen=None, reason="drill", request_key=one.key)
    else:
        told = Told(one.number, f"T{one.number}", one.fen, TradeState.PAID)
        return edge(
            payments.take_notice, channel=Method.ALIPAY, told=told, headers="{}", body="drill"
        )
    return "ok"


class Payers:
    """Threads in processes that act together."""

    def __init__(self, environment: dict[str, str], size: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._barrier = context.Barrier(size)
        self._members: list[tuple[Any, Connection]] = []
        for _ in range(PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_member, args=(theirs, environment, self._barrier), daemon=True
            )
            process.start()
            self._members.append((process, ours))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process, connection in self._members:
            connection.close()
            process.join(5)
            if process.is_alive():
                process.kill()

    def together(self, acts: Sequence[Act]) -> list[Came]:
        """Do all of it at the same moment."""
        for number, (_, connection) in enumerate(self._members):
            connection.send(acts[number::PROCESSES])
        found: list[Came] = []
        for _, connection in self._members:
            if not connection.poll(WAIT_S):
                raise TimeoutError("a process does not answer")
            found += connection.recv()
        return found


def _member(connection: Connection, environment: dict[str, str], barrier: Any) -> None:
    system = system_of(environment)
    while True:
        try:
            acts: list[Act] = connection.recv()
        except EOFError:
            return
        found: list[Came] = []
        threads = [
            threading.Thread(target=_one, args=(system.edge(), one, barrier, found.append))
            for one in acts
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        connection.send(found)


def _one(edge: Edge, one: Act, barrier: Any, tell: Callable[[Came], None]) -> None:
    retried: list[str] = []
    barrier.wait(WAIT_S)
    try:
        came = act(replace(edge, retried=retried.append), one)
    except DomainError as refused:
        came = refused.code
    except Exception as error:  # noqa: BLE001 # counted and printed
        came = f"bug: {error!r}"[:300]
    tell(Came(one.what, came, len(retried)))
