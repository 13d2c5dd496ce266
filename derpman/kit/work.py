"""The unit of work, and the edge that runs a verb as one transaction."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy.orm import Session

from derpman.kit.clock import Clock
from derpman.kit.db import Sessions, is_worth_another_try
from derpman.kit.errors import Unavailable
from derpman.kit.outbox import Delivery, Event, record_all
from derpman.kit.secrets import Vault

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 0.01
log = structlog.get_logger(__name__)


class Role(StrEnum):
    """What an account is; `NOBODY` is a visitor, `SYSTEM` our own processes and the shell."""

    NOBODY = "nobody"
    USER = "user"
    DISTRIBUTOR = "distributor"
    ADMIN = "admin"
    SUPER_ADMIN = "super_admin"
    SYSTEM = "system"


STAFF = frozenset({Role.ADMIN, Role.SUPER_ADMIN, Role.SYSTEM})


@dataclass(frozen=True)
class Actor:
    """Who asked, and from where: goes into every log row."""

    role: Role
    user_id: int | None = None
    name: str = ""
    session_id: int | None = None
    ip: str = ""
    user_agent: str = ""
    machine: str = ""
    """The machine check code of the caller, empty when it gave none."""
    work: str = ""
    """The answer to a puzzle that came with the request."""
    proved_at: datetime | None = None
    """When this session last showed that it is he; None for API tokens and the system."""
    is_program: bool = False
    """He came with an API token and not with a log-in."""
    may_only_read: bool = False
    """That token's scope."""
    must_enrol: bool = False
    """The operator demands a second factor of him, and he has none yet."""
    permissions: frozenset[str] | None = None
    """Of an admin with a role: what it permits. None: whatever his account's role may."""
    has_own_only: bool = False
    """That role reaches no further than the customers he looks after."""

    @property
    def is_staff(self) -> bool:
        return self.role in STAFF


SYSTEM = Actor(role=Role.SYSTEM, name="system")
NOBODY = Actor(role=Role.NOBODY)

Handlers = Mapping[str, Sequence[str]]
"""Names of events to the names of the tasks that must follow."""


@dataclass(frozen=True)
class UnitOfWork:
    """One transaction: its session, its instant, and who asked for it."""

    session: Session
    now: datetime
    actor: Actor
    vault: Vault
    handlers: Handlers = field(default_factory=dict[str, Sequence[str]])
    hints: set[str] = field(default_factory=set[str])

    def emit(self, event: Event) -> None:
        """Record one delivery per handler of the event; delivered only if we commit."""
        for handler in self.handlers.get(event.name, ()):
            self.session.add(Delivery.of(event, handler, self.now))
            self.hints.add("deliveries")

    def emit_all(self, events: Sequence[Event]) -> None:
        """Record the deliveries of many events of one kind in one statement."""
        if not events:
            return
        handlers = self.handlers.get(events[0].name, ())
        record_all(self.session, events, handlers, self.now)
        if handlers:
            self.hints.add("deliveries")

    def wake(self, topic: str) -> None:
        """Wake whoever listens to `topic`, after the commit. A hint: it may be lost."""
        self.hints.add(topic)


@dataclass(frozen=True)
class Edge:
    """Runs a verb as one transaction, again where the database asks for it, and wakes others.

    A verb may therefore run twice: it touches nothing but its session.
    """

    sessions: Sessions
    vault: Vault
    actor: Actor
    handlers: Handlers
    clock: Clock
    wake: Callable[[frozenset[str]], None]
    retried: Callable[[str], None] = lambda verb: None

    def __call__(
        self, verb: Callable[Concatenate[UnitOfWork, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self.sessions.writing() as session, session.begin():
                    work = UnitOfWork(session, self.clock(), self.actor, self.vault, self.handlers)
                    result = verb(work, *args, **kwargs)
            except Exception as error:
                if not is_worth_another_try(error):
                    raise
                if attempt == ATTEMPTS:
                    log.exception("transaction gave up", verb=verb.__qualname__)
                    raise Unavailable from error
                self.retried(verb.__qualname__)
                pause = FIRST_PAUSE_SECONDS * 2**attempt
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 # spreads, protects nothing
            else:
                if work.hints:
                    self.wake(frozenset(work.hints))
                return result
        raise AssertionError("unreachable")

    def read(
        self, verb: Callable[Concatenate[UnitOfWork, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a verb that only reads; on SQLite it never waits for a writer."""
        with self.sessions.reading() as session:
            work = UnitOfWork(session, self.clock(), self.actor, self.vault, self.handlers)
            return verb(work, *args, **kwargs)
