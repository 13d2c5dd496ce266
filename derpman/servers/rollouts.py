"""Roll-outs of the node and the relay image: one server first, then the others one at a time.

The rows say where a roll-out stands, and `advance`, called every few seconds, takes the next step
when it is due: whatever dies, the next call goes on. The work itself is a job (`upgrading`). A
server whose upgrade fails pauses the roll-out; what was begun there has been rolled back by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.servers import jobs
from derpman.servers.errors import (
    JobRunning,
    NothingToUpgrade,
    UpgradeNotFound,
    UpgradeOpen,
)
from derpman.servers.models import (
    Server,
    ServerJob,
    Upgrade,
    UpgradeStage,
)
from derpman.servers.states import (
    STAGE_TRANSITIONS,
    UPGRADE_TRANSITIONS,
    JobStatus,
    ServerStatus,
    StageStatus,
    UpgradeStatus,
)

WATCH_SECONDS = 300
"""How long the first server is watched unless told otherwise."""
LATER_WATCH = timedelta(seconds=15)
"""The longest that every further server is watched."""
KIND = "upgrade"
ALERT = "upgrade_failed"
WELL = (ServerStatus.HEALTHY, ServerStatus.SUSPECT)
"""A server that is missed for a second may be busy with being upgraded: it is waited for."""
UNFINISHED = (StageStatus.RUNNING, StageStatus.WATCHED)


@dataclass(frozen=True)
class Target:
    """What a server is upgraded to."""

    node_version: str
    node_sha256: str
    relay_label: str


def begin(
    work: UnitOfWork,
    *,
    node_version: str,
    node_sha256: str,
    relay_label: str,
    server_ids: Sequence[int] | None = None,
    watch_seconds: int = WATCH_SECONDS,
    reason: str | None = None,
) -> Upgrade:
    """Record a roll-out over these servers, or over all; the one with the fewest users is first.

    UpgradeOpen while another is under way; NothingToUpgrade when no healthy server is among them.
    """
    known = current(work)
    if known is not None:
        raise UpgradeOpen(upgrade_id=known.id)
    found = select(Server).where(Server.status.in_(WELL))
    if server_ids is not None:
        found = found.where(Server.id.in_(server_ids))
    servers = work.session.scalars(found.order_by(Server.relay_count, Server.id)).all()
    if not servers:
        raise NothingToUpgrade
    upgrade = Upgrade(
        status=UpgradeStatus.RUNNING,
        open=True,
        node_version=node_version,
        node_sha256=node_sha256,
        relay_label=relay_label,
        watch_seconds=watch_seconds,
        reason=reason,
        actor_name=work.actor.name,
        created_at=work.now,
    )
    work.session.add(upgrade)
    work.session.flush()
    for position, server in enumerate(servers, 1):
        work.session.add(
            UpgradeStage(
                upgrade_id=upgrade.id,
                position=position,
                server_id=server.id,
                status=StageStatus.WAITING,
            )
        )
    _log(work, upgrade, "begin", servers=[server.id for server in servers])
    advance(work)
    return upgrade


def current(work: UnitOfWork) -> Upgrade | None:
    """Return the roll-out that is under way or paused."""
    return work.session.scalar(select(Upgrade).where(Upgrade.open.is_(True)))


def get(work: UnitOfWork, upgrade_id: int) -> Upgrade:
    """Return a roll-out; UpgradeNotFound when there is none."""
    upgrade = work.session.get(Upgrade, upgrade_id, populate_existing=True)
    if upgrade is None:
        raise UpgradeNotFound
    return upgrade


def stages(work: UnitOfWork, upgrade_id: int) -> list[UpgradeStage]:
    """Return the servers' turns in their order."""
    found = select(UpgradeStage).where(UpgradeStage.upgrade_id == upgrade_id)
    return list(work.session.scalars(found.order_by(UpgradeStage.position)))


def pause(work: UnitOfWork, *, upgrade_id: int) -> Upgrade:
    """Begin with no further server; one that is at it goes to its end."""
    return _move(work, upgrade_id, "pause")


def resume(work: UnitOfWork, *, upgrade_id: int) -> Upgrade:
    """Go on; servers whose upgrade failed get another try."""
    upgrade = _move(work, upgrade_id, "resume")
    upgrade.error = None
    alerts.resolve_alert(work, alert_type=ALERT, object_key=str(upgrade_id))
    for stage in stages(work, upgrade_id):
        if stage.status is StageStatus.FAILED:
            _turn(work, stage, "retry", None)
            stage.verdict_before = None
    work.session.flush()
    advance(work)
    return upgrade


def abort(work: UnitOfWork, *, upgrade_id: int) -> Upgrade:
    """End it: servers that were upgraded stay so, those that wait are left alone."""
    upgrade = _move(work, upgrade_id, "abort")
    for stage in stages(work, upgrade_id):
        if stage.status is StageStatus.WAITING:
            _turn(work, stage, "skip", None)
    upgrade.open, upgrade.finished_at = None, work.now
    alerts.resolve_alert(work, alert_type=ALERT, object_key=str(upgrade_id))
    return upgrade


def _move(work: UnitOfWork, upgrade_id: int, action: str) -> Upgrade:
    upgrade = get(work, upgrade_id)
    upgrade.status = next_state(UPGRADE_TRANSITIONS, upgrade.status, action)
    _log(work, upgrade, action)
    work.wake("live")
    return upgrade


def _log(work: UnitOfWork, upgrade: Upgrade, action: str, **more: object) -> None:
    logs.record(
        work,
        action=f"server_upgrade.{action}",
        object_type="server_upgrade",
        object_id=upgrade.id,
        after={"node": upgrade.node_version, "relay_label": upgrade.relay_label, **more},
    )


def advance(work: UnitOfWork) -> None:
    """Take the next step of the roll-out that is under way, when it is due."""
    upgrade = current(work)
    if upgrade is None or upgrade.status is not UpgradeStatus.RUNNING:
        return
    turns = stages(work, upgrade.id)
    for stage in turns:
        if stage.status in UNFINISHED:
            _follow(work, upgrade, stage)
        if stage.status in UNFINISHED or upgrade.status is not UpgradeStatus.RUNNING:
            return
    for stage in turns:
        if stage.status is StageStatus.WAITING and _start(work, stage):
            return
    upgrade.status = next_state(UPGRADE_TRANSITIONS, upgrade.status, "finish")
    upgrade.open, upgrade.finished_at = None, work.now
    _log(work, upgrade, "finish")


def _start(work: UnitOfWork, stage: UpgradeStage) -> bool:
    """Begin a server's turn, or wait for a job that is at it; False when it is passed over."""
    server = work.session.get_one(Server, stage.server_id, populate_existing=True)
    if server.status not in WELL:
        _turn(work, stage, "skip", "upgrade.not_healthy")
        return False
    if server.status is ServerStatus.SUSPECT:
        return True
    try:
        job = jobs.queue(work, server_id=stage.server_id, kind=KIND)
    except JobRunning:
        return True
    stage.job_id = job.id
    stage.started_at = work.now
    _turn(work, stage, "start", None)
    return True


def _follow(work: UnitOfWork, upgrade: Upgrade, stage: UpgradeStage) -> None:
    if stage.status is StageStatus.RUNNING:
        assert stage.job_id is not None  # it is set when the turn begins
        job = work.session.get_one(ServerJob, stage.job_id, populate_existing=True)
        if job.status is JobStatus.FAILED:
            _fail(work, upgrade, stage, job.error or "job.fault")
        elif job.status is JobStatus.DONE:
            watch = timedelta(seconds=upgrade.watch_seconds)
            stage.watch_until = work.now + (
                watch if _is_first(work, stage) else min(watch, LATER_WATCH)
            )
            _turn(work, stage, "finish", None)
    if stage.status is StageStatus.WATCHED:
        server = work.session.get_one(Server, stage.server_id, populate_existing=True)
        is_over = stage.watch_until is None or work.now >= stage.watch_until
        if server.status not in WELL:
            _fail(work, upgrade, stage, "upgrade.server_unwell")
        elif is_over and server.status is ServerStatus.HEALTHY:
            _turn(work, stage, "pass", None)


def _is_first(work: UnitOfWork, stage: UpgradeStage) -> bool:
    """Tell whether no server has come through this roll-out yet."""
    done = select(UpgradeStage.id).where(
        UpgradeStage.upgrade_id == stage.upgrade_id, UpgradeStage.status == StageStatus.DONE
    )
    return work.session.scalar(done.limit(1)) is None


def _fail(work: UnitOfWork, upgrade: Upgrade, stage: UpgradeStage, error: str) -> None:
    _turn(work, stage, "fail", error)
    upgrade.status = next_state(UPGRADE_TRANSITIONS, upgrade.status, "fail")
    upgrade.error = error
    _log(work, upgrade, "fail", server_id=stage.server_id, error=error)
    server = work.session.get_one(Server, stage.server_id)
    alerts.raise_alert(
        work,
        alert_type=ALERT,
        severity=Severity.CRITICAL,
        object_key=str(upgrade.id),
        params={
            "upgrade_id": upgrade.id,
            "server_id": stage.server_id,
            "ip": server.ip,
            "error": error,
        },
    )


def _turn(work: UnitOfWork, stage: UpgradeStage, action: str, error: str | None) -> None:
    stage.status = next_state(STAGE_TRANSITIONS, stage.status, action)
    stage.error = error
    ends = stage.status in (StageStatus.DONE, StageStatus.FAILED, StageStatus.SKIPPED)
    stage.finished_at = work.now if ends else None
    work.wake("live")


def target_of(work: UnitOfWork, job_id: int, worker: str) -> Target:
    """Return what a job upgrades its server to."""
    jobs.hold(work, job_id, worker)
    upgrade = get(work, _stage_of(work, job_id).upgrade_id)
    return Target(upgrade.node_version, upgrade.node_sha256, upgrade.relay_label)


def note_verdict(work: UnitOfWork, job_id: int, worker: str, at: datetime | None) -> str:
    """Keep when a server's node had last decided about a program before its turn; return it."""
    jobs.hold(work, job_id, worker)
    stage = _stage_of(work, job_id)
    if stage.verdict_before is None:
        stage.verdict_before = mark_of(at)
    return stage.verdict_before


def mark_of(at: datetime | None) -> str:
    """Return what tells one decision of a node from another, whatever its clock shows."""
    return "" if at is None else at.isoformat()


def note_label(work: UnitOfWork, job_id: int, worker: str, label: str | None) -> str | None:
    """Keep which relay image a server had before its turn; return it."""
    jobs.hold(work, job_id, worker)
    stage = _stage_of(work, job_id)
    if stage.label_before is None:
        stage.label_before = label
    return stage.label_before


def _stage_of(work: UnitOfWork, job_id: int) -> UpgradeStage:
    stage = work.session.scalar(select(UpgradeStage).where(UpgradeStage.job_id == job_id))
    if stage is None:
        raise UpgradeNotFound
    return stage
