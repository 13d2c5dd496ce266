"""A large installation: 100,000 users, 300 servers, and a customer who has been there ten years.

    python -m tests.system.crowded COMMAND …

serves it from SQLite, without workers, and runs a command beside it that finds it by `WEB_URL`;
`user1` is the customer, `user2` the owner.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import update

from derpman.acl import derpmap
from derpman.acl.models import AclVersion
from derpman.acl.states import AclStatus
from derpman.containers.models import Placement
from derpman.finance import service as finance
from derpman.finance.models import Method, Order, OrderKind
from derpman.finance.states import OrderStatus
from derpman.kit import passwords
from derpman.kit.work import Role, UnitOfWork
from derpman.notifications.models import Mail
from derpman.notifications.states import MailStatus
from derpman.rentals.models import Rental
from derpman.rentals.states import RentalStatus
from derpman.traffic.models import TrafficDay, TrafficHour
from derpman.users.models import User
from tests.drills._races import Installation
from tests.system.people import put, put_users, relay_row, rental_row

USERS, SERVERS, YEARS = 100_000, 300, 10
CUSTOMER, OWNER = 1, 2
PASSWORD = "seven-tall-ships-sail"
DAY = timedelta(days=1)


@contextmanager
def crowded() -> Generator[dict[str, str]]:
    """Fill and serve it; give what a test needs to know of it."""
    with tempfile.TemporaryDirectory(prefix="derpman-crowded-") as folder:
        made = Installation(f"sqlite:///{folder}/crowded.sqlite", Path(folder) / "data")
        put_users(made.edge, USERS)
        servers = made.add_servers(SERVERS, capacity=1000)
        made.edge(_accounts)
        made.edge(_long_past, servers)
        made.environment["DERPMAN_PUBLIC_URL"] = (
            f"http://127.0.0.1:{made.environment['DERPMAN_LISTEN_PORT']}"
        )
        url, process = made.serve()
        try:
            yield {"WEB_URL": url, "WEB_PASSWORD": PASSWORD}
        finally:
            process.stop()


def _accounts(work: UnitOfWork) -> None:
    known = passwords.hash(PASSWORD)
    for user_id, role in ((CUSTOMER, Role.USER), (OWNER, Role.SUPER_ADMIN)):
        changed = update(User).where(User.id == user_id)
        work.session.execute(changed.values(password=known, role=role))


def _long_past(work: UnitOfWork, servers: list[int]) -> None:
    """Ten years of a customer: each month an order, a rental and an ACL, each week a mail."""
    now, plan = work.now, finance.plan_of_days(work, 30)
    months, document = range(12 * YEARS), _document(servers)
    past = [now - 30 * number * DAY for number in months]
    put(work, Order, [_order(number, plan.id, at) for number, at in enumerate(past)])
    ended = [
        rental_row(USERS + 1 + number, plan.id, at, at - 30 * DAY)
        | {
            "user_id": CUSTOMER,
            "open_user_id": None,
            "status": RentalStatus.ENDED,
            "ended_at": at,
            "next_notice_at": None,
        }
        for number, at in enumerate(past)
    ]
    put(work, Rental, ended)
    put(
        work,
        AclVersion,
        [_version(number, len(months), document, at) for number, at in enumerate(past)],
    )
    relays = [
        relay_row(slot, CUSTOMER, servers[slot], slot, now + 60 * DAY, now) for slot in (1, 2, 3)
    ]
    put(work, Placement, relays)
    for table, step, count in (
        (TrafficDay, DAY, 365 * YEARS),
        (TrafficHour, timedelta(hours=1), 24 * 90),
    ):
        begin = now.replace(minute=0, second=0, microsecond=0)
        if table is TrafficDay:
            begin = begin.replace(hour=16)  # midnight in Beijing
        rows = [
            {
                "placement_id": slot,
                "server_id": servers[slot],
                "user_id": CUSTOMER,
                "sent_bytes": 10**8 + number % 97 * 10**6,
                "begins_at": begin - number * step,
            }
            for number in range(1, count)
            for slot in (1, 2, 3)
        ]
        put(work, table, rows)
    put(work, Mail, [_mail(number, now - 7 * number * DAY) for number in range(52 * YEARS)])


def _order(number: int, plan_id: int, at: datetime) -> dict[str, object]:
    return {
        "number": f"D{number:08}",
        "user_id": CUSTOMER,
        "request_key": f"long-{number}",
        "kind": OrderKind.RENTAL,
        "plan_id": plan_id,
        "duration_days": 30,
        "quantity": 1,
        "list_fen": 3900,
        "amount_fen": 3900,
        "cash_fen": 0,
        "bonus_fen": 0,
        "refunded_fen": 0,
        "status": OrderStatus.COMPLETED,
        "method": Method.ALIPAY,
        "created_at": at,
        "closes_at": at,
        "paid_at": at,
        "version": 1,
    }


def _document(servers: list[int]) -> str:
    slots = [
        derpmap.Slot(
            region_id=930 + slot,
            code=f"r{930 + slot}",
            name=f"Relay {slot}",
            node_name=f"{930 + slot}a",
            address=f"203.0.113.{servers[slot]}",
            port=20000,
            stun_port=20000,
            pin="sha256-raw:" + f"{slot:064x}",
        )
        for slot in (1, 2, 3)
    ]
    return json.dumps(derpmap.document(slots))


def _version(number: int, count: int, document: str, at: datetime) -> dict[str, object]:
    is_present = number == 0
    return {
        "user_id": CUSTOMER,
        "rental_id": CUSTOMER,
        "number": count - number,
        "document": document,
        "digest": f"{number:064x}",
        "status": AclStatus.CURRENT if is_present else AclStatus.ENDED,
        "reason": "activation",
        "created_at": at,
        "expires_at": at + 32 * DAY,
        "ended_at": None if is_present else at + 32 * DAY,
    }


def _mail(number: int, at: datetime) -> dict[str, object]:
    return {
        "message_id": f"<{number}@example.com>",
        "user_id": CUSTOMER,
        "address": "user1@example.com",
        "template": "acl_rotated",
        "locale": "en",
        "subject": f"Notice {number}",
        "text": "Your rental ends soon.",
        "html": "",
        "status": MailStatus.SENT,
        "attempts": 1,
        "deferrals": 0,
        "due_at": at,
        "created_at": at,
        "queued_at": at,
        "sent_at": at,
    }


def main() -> int:
    """Run the command of the arguments beside a large installation."""
    with crowded() as known:
        return subprocess.run(sys.argv[1:], env=os.environ | known, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
