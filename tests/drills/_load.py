"""A steady stream of requests from several customers, each answer kept with its time."""

from __future__ import annotations

import itertools
import random
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

TIMEOUT_S = 60


@dataclass(frozen=True)
class Answer:
    """One request: when it began, how long it took, what came of it."""

    kind: str
    began: float
    seconds: float
    status: int
    """0: the connection failed."""
    told: Any = None
    """The answer's body, or the error."""

    @property
    def is_failed(self) -> bool:
        return self.status == 0 or self.status >= 500


Ask = Callable[[httpx.Client, int], tuple[str, httpx.Response]]
"""Sends one request, given a running number; returns its kind and the answer."""


class Load:
    """Asks at a rate, whatever the answers; every request on a connection of its own."""

    def __init__(
        self,
        url: str,
        asks: Sequence[Ask],
        *,
        per_second: float,
        seed: int,
        threads: int = 16,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.answers: list[Answer] = []
        self._url = url
        self._asks = asks
        self._pause = threads / per_second
        self._trust = trust
        self._numbers = itertools.count(1)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed}-{number}"),))
            for number in range(threads)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask no more, and wait for the answers that are on their way."""
        self._ended.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S + 10)

    def _run(self, luck: random.Random) -> None:
        verify: Any = True if self._trust is None else self._trust
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(
            base_url=self._url, timeout=TIMEOUT_S, verify=verify, limits=limits
        ) as client:
            due = time.monotonic() + luck.random() * self._pause
            while not self._ended.wait(max(0.0, due - time.monotonic())):
                due = max(due + self._pause, time.monotonic() - self._pause)
                self.answers.append(self._one(client, luck.choice(self._asks)))

    def _one(self, client: httpx.Client, ask: Ask) -> Answer:
        began = time.monotonic()
        try:
            kind, answer = ask(client, next(self._numbers))
        except httpx.TransportError as error:
            kind, status, told = ask.__name__, 0, repr(error)
        else:
            status = answer.status_code
            told = answer.json() if "json" in answer.headers.get("content-type", "") else None
        return Answer(kind, began, time.monotonic() - began, status, told)


def percentile(answers: Sequence[Answer], share: float) -> float:
    """The seconds within which such a share of the answers came."""
    ordered = sorted(one.seconds for one in answers)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
