"""The chain over the operation log: one sealer links committed rows, and anybody can look again.

Each link is a keyed digest of the row and of the link before it. The key is sealed with the
installation's own, so that a stolen database is not enough to make the chain anew. What the
database alone cannot show, a tail that was cut off together with its links, an anchor shows: the
end of the chain, kept outside the database.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from derpman.kit.db import changed
from derpman.kit.secrets import new_token
from derpman.kit.work import Edge, UnitOfWork
from derpman.logs import service
from derpman.logs.models import LogChain, LogSeal, SystemLog

BEGIN = "0" * 64
SETTLED = timedelta(minutes=5)
"""No transaction lives so long: rows older than this are all there."""
RETIRE = "logs.retire"
AT_ONCE = 1000


@dataclass(frozen=True)
class Anchor:
    """An end that the chain had: what came before it must still lead there."""

    position: int
    digest: str


@dataclass(frozen=True)
class Finding:
    """One place where the log is not what was sealed."""

    position: int
    log_id: int | None
    what: str


@dataclass
class Report:
    """What a look over the whole chain found."""

    checked: int = 0
    retired: int = 0
    head: Anchor = field(default_factory=lambda: Anchor(0, BEGIN))
    findings: list[Finding] = field(default_factory=list[Finding])


def seal(work: UnitOfWork, *, limit: int = AT_ONCE) -> int:
    """Link up to `limit` committed rows to the chain; return how many."""
    chain = _locked(work)
    key = work.vault.open(chain.key)
    rows = work.session.scalars(
        select(SystemLog)
        .outerjoin(LogSeal, LogSeal.log_id == SystemLog.id)
        .where(SystemLog.id > chain.floor_id, LogSeal.position.is_(None))
        .order_by(SystemLog.id)
        .limit(limit)
    ).all()
    for row in rows:
        chain.position += 1
        chain.digest = _digest(key, chain.digest, chain.position, row)
        work.session.add(LogSeal(position=chain.position, log_id=row.id, digest=chain.digest))
    if len(rows) < limit:
        settled = work.session.scalar(
            select(SystemLog.id)
            .where(SystemLog.created_at < work.now - SETTLED)
            .order_by(SystemLog.created_at.desc(), SystemLog.id.desc())
            .limit(1)
        )
        chain.floor_id = max(chain.floor_id, settled or 0)
    return len(rows)


def head(work: UnitOfWork) -> Anchor:
    """Return the end of the chain, to be noted where the database's keeper cannot reach."""
    chain = work.session.get(LogChain, 1)
    return Anchor(0, BEGIN) if chain is None else Anchor(chain.position, chain.digest)


def retire(work: UnitOfWork, *, older_than: datetime, limit: int = AT_ONCE) -> int:
    """Remove up to `limit` sealed rows older than an instant, and record it; return how many.

    Their links stay, so that the chain can still be followed.
    """
    chain = _locked(work)
    ids = work.session.scalars(
        select(SystemLog.id)
        .join(LogSeal, LogSeal.log_id == SystemLog.id)
        .where(SystemLog.created_at < older_than, SystemLog.id <= chain.floor_id)
        .order_by(SystemLog.id)
        .limit(limit)
    ).all()
    if not ids:
        return 0
    chain.retired_until = max(chain.retired_until, ids[-1])
    work.session.flush()  # the database's own guard looks at it
    table = SystemLog.__table__
    removed = changed(work.session, delete(table).where(table.c.id.in_(ids)))  # pyright: ignore[reportArgumentType] # a Table
    service.record(
        work, action=RETIRE, object_type="log", after={"until_id": ids[-1], "rows": removed}
    )
    return removed


def verify(run: Edge, *, anchors: tuple[Anchor, ...] = ()) -> Report:
    """Follow the whole chain and compare each row with its link; a few rows at a time."""
    report = Report()
    chain = run.read(lambda work: work.session.get(LogChain, 1))
    if chain is None:
        _anchored(report, anchors, {})
        return report
    walk = _Walk(run.vault.open(chain.key), {anchor.position for anchor in anchors})
    while rows := run.read(_links, after=walk.position):
        for link, row in rows:
            report.findings += walk.step(link, row)
        report.checked = walk.checked
    report.head = Anchor(walk.position, walk.digest)
    for position, log_id in walk.missing:
        if log_id <= walk.retired_until:
            report.retired += 1
        else:
            report.findings.append(Finding(position, log_id, "the row was removed"))
    if chain.position > walk.position:
        what = f"the links {walk.position + 1} to {chain.position} were cut off"
        report.findings.append(Finding(walk.position + 1, None, what))
    _anchored(report, anchors, walk.passed)
    for log_id in run.read(_unsealed, floor_id=chain.floor_id):
        report.findings.append(Finding(0, log_id, "the row was put in behind the sealer's back"))
    return report


class _Walk:
    """Goes along the chain and remembers what can be judged at its end only."""

    def __init__(self, key: str, wanted: set[int]) -> None:
        self.position, self.digest = 0, BEGIN
        self.checked = 0
        self.retired_until = 0
        self.missing: list[tuple[int, int]] = []
        self.passed: dict[int, str] = {}
        self._key = key
        self._wanted = wanted

    def step(self, link: LogSeal, row: SystemLog | None) -> Iterator[Finding]:
        follows = link.position == self.position + 1
        if not follows:
            what = f"the links {self.position + 1} to {link.position - 1} were removed"
            yield Finding(self.position + 1, None, what)
        if row is None:
            self.missing.append((link.position, link.log_id))
        elif follows:
            made = _digest(self._key, self.digest, link.position, row)
            if not hmac.compare_digest(made, link.digest):
                yield Finding(link.position, link.log_id, "the row or its link was changed")
                row = None
            else:
                self.checked += 1
            if row is not None and row.action == RETIRE and row.after is not None:
                self.retired_until = max(self.retired_until, json.loads(row.after)["until_id"])
        self.position, self.digest = link.position, link.digest
        if link.position in self._wanted:
            self.passed[link.position] = link.digest


def _anchored(report: Report, anchors: tuple[Anchor, ...], passed: dict[int, str]) -> None:
    for anchor in anchors:
        if anchor.position == 0:
            continue
        if anchor.position not in passed:
            what = f"the anchor at {anchor.position} lies beyond the end: the tail was cut off"
            report.findings.append(Finding(anchor.position, None, what))
        elif passed[anchor.position] != anchor.digest:
            what = "the chain does not lead to the anchor: it was made anew"
            report.findings.append(Finding(anchor.position, None, what))


def _links(work: UnitOfWork, *, after: int) -> list[tuple[LogSeal, SystemLog | None]]:
    found = work.session.execute(
        select(LogSeal, SystemLog)
        .outerjoin(SystemLog, SystemLog.id == LogSeal.log_id)
        .where(LogSeal.position > after)
        .order_by(LogSeal.position)
        .limit(AT_ONCE)
    )
    return [(link, row) for link, row in found]


def _unsealed(work: UnitOfWork, *, floor_id: int) -> list[int]:
    return list(
        work.session.scalars(
            select(SystemLog.id)
            .outerjoin(LogSeal, LogSeal.log_id == SystemLog.id)
            .where(SystemLog.id <= floor_id, LogSeal.position.is_(None))
            .order_by(SystemLog.id)
            .limit(100)
        )
    )


def _locked(work: UnitOfWork) -> LogChain:
    chain = work.session.get(LogChain, 1, with_for_update=True)
    if chain is None:
        chain = LogChain(
            id=1,
            key=work.vault.seal(new_token()),
            position=0,
            digest=BEGIN,
            floor_id=0,
            retired_until=0,
        )
        work.session.add(chain)
        work.session.flush()
    return chain


def _digest(key: str, before: str, position: int, row: SystemLog) -> str:
    facts = [
        row.id,
        row.created_at.isoformat(timespec="microseconds"),
        row.actor_id,
        row.actor_name,
        row.actor_role,
        row.action,
        row.object_type,
        row.object_id,
        row.before,
        row.after,
        row.ip_address,
    ]
    text = json.dumps([before, position, facts], ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
