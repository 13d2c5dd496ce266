"""`derpman doctor`: looks at every part an installation needs and says what to do."""

from __future__ import annotations

import shutil
import smtplib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from derpman.finance import channels
from derpman.kit.outbox import Delivery, DeliveryStatus
from derpman.kit.work import UnitOfWork
from derpman.migrations import config_for
from derpman.monitoring.models import MonitoringLog
from derpman.servers.models import Server, ServerLink
from derpman.servers.release import built_image
from derpman.servers.states import ServerStatus
from derpman.wiring import System

LEAST_FREE_BYTES = 1_000_000_000
SILENT_AFTER = timedelta(seconds=60)
WAITING_TOO_LONG = timedelta(minutes=5)
RELAY_SERVERS = 3
MOST_APART_SECONDS = 2.0
STANDS_STILL_SECONDS = 180


@dataclass(frozen=True)
class Finding:
    """What one look found; `advice` says what to do when it is not good."""

    what: str
    is_good: bool
    found: str
    advice: str = ""


def examine(system: System) -> Iterator[Finding]:
    """Yield a finding per part; one that cannot be looked at is a finding too."""
    looks: list[tuple[str, Callable[[System], Iterator[Finding]]]] = [
        ("data folder", _folder),
        ("database", _database),
        ("wake-ups", _redis),
        ("mail", _mail),
        ("clock", _clock),
        ("payment", _payment),
        ("programs", _programs),
        ("background work", _outbox),
        ("scheduler", _scheduler),
        ("servers", _servers),
    ]
    for what, look in looks:
        try:
            yield from look(system)
        except (SQLAlchemyError, OSError, redis.RedisError, smtplib.SMTPException) as error:
            yield Finding(what, False, type(error).__name__, _advice(what))


def _advice(what: str) -> str:
    return {
        "database": "Is DERPMAN_DATABASE_URL right, and the database up?",
        "background work": "The database does not answer; see above.",
        "servers": "The database does not answer; see above.",
        "wake-ups": "Is DERPMAN_REDIS_URL right, and Redis up?",
        "mail": "Are DERPMAN_SMTP_HOST, _PORT and _SECURITY right, and the mail server up?",
    }.get(what, "Look into the log.")


def _folder(system: System) -> Iterator[Finding]:
    free = shutil.disk_usage(system.settings.data_dir).free
    yield Finding(
        "data folder",
        free >= LEAST_FREE_BYTES,
        f"{system.settings.data_dir}, {free / 1e9:.1f} GB free",
        "Free some disk space.",
    )


def _database(system: System) -> Iterator[Finding]:
    script = ScriptDirectory.from_config(config_for(system.engine))
    with system.engine.connect() as connection:
        at = MigrationContext.configure(connection).get_current_revision()
    head = script.get_current_head()
    name = system.engine.url.render_as_string()  # hides the password
    yield Finding("database", True, name)
    yield Finding("migrations", at == head, f"at {at}, newest {head}", "Run `derpman db upgrade`.")


def _redis(system: System) -> Iterator[Finding]:
    url = system.settings.redis_url
    if url is None:
        yield Finding("wake-ups", True, "local sockets (one machine, no Redis)")
        return
    with redis.Redis.from_url(url.get_secret_value(), socket_connect_timeout=3) as client:
        client.ping()
    yield Finding("wake-ups", True, "Redis answers")


def _mail(system: System) -> Iterator[Finding]:
    settings = system.settings
    if not settings.smtp_host:
        yield Finding(
            "mail",
            False,
            "no mail server is set: mails wait, nobody can register",
            "Set DERPMAN_SMTP_HOST and its companions.",
        )
        return
    connect = smtplib.SMTP_SSL if settings.smtp_security == "tls" else smtplib.SMTP
    with connect(settings.smtp_host, settings.smtp_port, timeout=10) as server:
        if settings.smtp_security == "starttls":
            server.starttls()
        server.noop()
    yield Finding("mail", True, f"{settings.smtp_host}:{settings.smtp_port} answers")


def _clock(system: System) -> Iterator[Finding]:
    """Compare our clock with the database's, which may stand on another machine."""
    asked = {
        "mysql": "SELECT UNIX_TIMESTAMP(NOW(6))",
        "mariadb": "SELECT UNIX_TIMESTAMP(NOW(6))",
        "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    }.get(system.engine.dialect.name)
    if asked is None:
        yield Finding("clock", True, "the database is a file of this machine")
        return
    with system.engine.connect() as connection:
        before = system.clock().timestamp()
        theirs = float(connection.scalar(text(asked)) or 0.0)
        after = system.clock().timestamp()
    apart = max(before - theirs, theirs - after, 0.0)
    yield Finding(
        "clock",
        apart <= MOST_APART_SECONDS,
        f"{apart:.1f} s from the database's",
        "Set both clocks by NTP: rentals end and codes expire by them.",
    )


def _payment(system: System) -> Iterator[Finding]:
    """Tell which ways to pay are offered, and whether their keys can still be read."""
    edge = system.edge()
    offered = edge.read(channels.offered)
    for method in offered:
        try:
            edge.read(channels.credentials_of, method=method)
        except ValueError:
            yield Finding(
                f"payment by {method.value}",
                False,
                "its keys are sealed with a key that is not here",
                "Bring secret.key back, or enter the keys again under Settings.",
            )
        else:
            yield Finding(f"payment by {method.value}", True, "offered")


def _scheduler(system: System) -> Iterator[Finding]:
    """Tell when a sweep last ran: it measures the system every half minute."""

    def read(work: UnitOfWork) -> datetime | None:
        return work.session.scalar(select(func.max(MonitoringLog.timestamp)))

    last = system.edge().read(read)
    age = None if last is None else (system.clock() - last).total_seconds()
    yield Finding(
        "scheduler",
        age is not None and age < STANDS_STILL_SECONDS,
        "no sweep has run yet" if age is None else f"a sweep ran {age:.0f} s ago",
        "Do the parts beat and tasks of `derpman worker` run?",
    )


def _programs(system: System) -> Iterator[Finding]:
    folder = system.settings.build_dir
    for name in ("derpman-node", "derper"):
        there = (folder / name).is_file()
        yield Finding(name, there, str(folder / name), "Run `derpman node build`.")
    image = built_image(folder)
    found = "none" if image is None else image.label
    yield Finding("relay image", image is not None, found, "Run `derpman node build`.")


def _outbox(system: System) -> Iterator[Finding]:
    def read(work: UnitOfWork) -> tuple[int, int]:
        waiting = select(func.count(Delivery.id)).where(
            Delivery.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENT)),
            Delivery.created_at < work.now - WAITING_TOO_LONG,
        )
        dead = select(func.count(Delivery.id)).where(Delivery.status == DeliveryStatus.DEAD)
        return work.session.scalar(waiting) or 0, work.session.scalar(dead) or 0

    waiting, dead = system.edge().read(read)
    yield Finding(
        "background work",
        waiting == 0,
        f"{waiting} deliveries wait for more than five minutes",
        "Do `derpman worker` and its four parts run?",
    )
    if dead:
        yield Finding("failed deliveries", False, str(dead), "Their errors stand in `deliveries`.")


def _servers(system: System) -> Iterator[Finding]:
    def read(work: UnitOfWork) -> list[tuple[Server, ServerLink]]:
        rows = work.session.execute(
            select(Server, ServerLink)
            .join(ServerLink, ServerLink.server_id == Server.id)
            .where(Server.status != ServerStatus.REMOVED)
            .order_by(Server.id)
        )
        return [(row[0], row[1]) for row in rows]

    pairs = system.edge().read(read)
    now = system.clock()
    healthy = 0
    for server, link in pairs:
        heard = link.contact_at is not None and now - link.contact_at < SILENT_AFTER
        is_behind = link.applied_generation != server.desired_generation
        is_good = server.status is ServerStatus.HEALTHY and heard and not is_behind
        healthy += server.status is ServerStatus.HEALTHY
        trouble = link.error or (
            "no contact" if not heard else "behind" if is_behind else server.status.value
        )
        yield Finding(
            f"server {server.id} ({server.ip})",
            is_good,
            f"{server.status.value}, node {link.node_version or 'unknown'}, {server.relay_count} "
            f"relays"
            if is_good
            else trouble,
            f"Run `derpman server check {server.id}`; does `derpman worker` run?",
        )
    yield Finding(
        "enough servers",
        healthy >= RELAY_SERVERS,
        f"{healthy} healthy",
        "An activation needs three. Run `derpman server add`.",
    )
