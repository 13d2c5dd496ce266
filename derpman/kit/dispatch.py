"""The dispatcher: hands due deliveries to Celery. Woken after commits; polling only repairs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from derpman.kit import outbox
from derpman.kit.errors import Unavailable
from derpman.kit.wake import Wake
from derpman.kit.work import Edge, UnitOfWork

POLL_SECONDS = 3.0
BATCH = 200
Send = Callable[[str, int], None]
"""Hands (task name, delivery id) over. May fail or lose it: the row is sent again when overdue."""

log = structlog.get_logger(__name__)


class Dispatcher:
    """Sends due deliveries until told to stop. Several may run: each row goes to one of them."""

    def __init__(self, run: Edge, wake: Wake, send: Send) -> None:
        self._run = run
        self._send = send
        self._wake = wake
        self._awake = threading.Event()
        self._ended = threading.Event()

    def stop(self) -> None:
        """Ask `run_forever` to return; safe in a signal handler."""
        self._ended.set()
        self._awake.set()

    def run_forever(self) -> None:
        """Dispatch until `stop`; a database that is away is waited for."""
        unlisten = self._wake.listen(self._heard)
        has_resumed = False
        try:
            while not self._ended.is_set():
                self._awake.clear()
                try:
                    if not has_resumed:  # the one before us may have been killed while it sent
                        self._run(resume)
                        has_resumed = True
                    while self.dispatch_due() == BATCH and not self._ended.is_set():
                        pass
                except (SQLAlchemyError, OSError, Unavailable) as error:
                    log.warning("dispatcher could not read", error=type(error).__name__)
                self._awake.wait(POLL_SECONDS)
        finally:
            unlisten()

    def dispatch_due(self) -> int:
        """Send what is due now; return how many rows were taken."""
        taken = self._run(_take, BATCH)
        for delivery_id, handler in taken:
            try:
                self._send(handler, delivery_id)
            except Exception as error:  # noqa: BLE001 # whatever a broker raises: overdue rows are sent again
                log.warning("delivery not handed over", id=delivery_id, error=type(error).__name__)
        return len(taken)

    def _heard(self, topic: str) -> None:
        if topic == "deliveries":
            self._awake.set()


def resume(work: UnitOfWork) -> None:
    """Have everything that is not known to have arrived sent again: for processes that begin."""
    if outbox.take_back(work.session, work.now):
        work.wake("deliveries")


def _take(work: UnitOfWork, limit: int) -> list[tuple[int, str]]:
    return outbox.take_due(work.session, work.now, limit)
