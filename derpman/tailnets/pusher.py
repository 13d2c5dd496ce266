"""The pusher: takes pushes in hand, changes policies, and writes down how that ended."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy import Update, func, or_, select, update

from derpman.acl import documents
from derpman.acl import service as acl
from derpman.acl.service import NO_GRACE
from derpman.containers import queries as containers
from derpman.kit.db import changed
from derpman.kit.errors import DomainError
from derpman.kit.outgoing import Outgoing
from derpman.kit.states import next_state
from derpman.kit.work import Edge, UnitOfWork
from derpman.logs import service as logs
from derpman.tailnets import policy, service
from derpman.tailnets.control import ControlFailure, Trouble
from derpman.tailnets.events import AclPushed, AclPushFailed, AclPushUndone
from derpman.tailnets.models import AclPush
from derpman.tailnets.policy import Change, Outcome, Wish
from derpman.tailnets.push import get
from derpman.tailnets.service import Access
from derpman.tailnets.states import PUSH_TRANSITIONS, PushKind, PushStatus
from derpman.tailnets.tailscale import POLICY_SCOPE, Tailscale

SENDERS = 2
"""How many policies are changed at once, so that slow answers hold up no other work."""
LEASE = timedelta(seconds=180)
"""Longer than `policy.BUDGET_SECONDS` and the requests that may have begun before its end."""
TRIED_FOR = timedelta(days=1)
PREVIEW_TRIED_FOR = timedelta(minutes=2)
BUDGET_SECONDS = 60
"""How long one call goes on taking pushes in hand; the next sweep continues."""
log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """Somebody else has this push in hand, or it was cancelled: write nothing."""


@dataclass(frozen=True)
class Job:
    """A push that one worker has in hand."""

    push_id: int
    attempt: int
    access: Access
    wish: Wish
    version_id: int | None


@dataclass(frozen=True)
class Pusher:
    """Does what is due. Several may work at once: a push is leased to one of them.

    A process that dies leaves a lease that runs out; the next one finds what was written.
    """

    run: Edge
    outgoing: Outgoing
    tailscale_url: str
    grace: timedelta = NO_GRACE

    def push_due(self) -> int:
        """Do what is due; return how many pushes were taken in hand."""
        ends = time.monotonic() + BUDGET_SECONDS
        taken = 0
        while time.monotonic() < ends:
            job = self.run(lease_next, grace=self.grace)
            if job is None:
                break
            taken += 1
            self._push(job)
        return taken

    def _push(self, job: Job) -> None:
        link = {"link_id": job.access.link_id, "generation": job.access.generation}

        def prepare(change: Change) -> None:
            self.run(record_prepared, job=job, change=change)

        try:
            api = job.access.connect(self.outgoing, self.tailscale_url)
            assert isinstance(api, Tailscale)  # no other link may push
            outcome = policy.carry_out(api, job.wish, prepare)
        except LeaseLost:
            return
        except ControlFailure as failure:
            log.warning("policy not changed", push_id=job.push_id, reason=failure.trouble.value)
            pause = self.run(service.record_failure, **link, failure=failure)
            self.run(record_failure, job=job, failure=failure, pause=pause)
            return
        self.run(service.record_success, **link, scope=POLICY_SCOPE)
        self.run(record_done, job=job, outcome=outcome)


def lease_next(work: UnitOfWork, *, grace: timedelta = NO_GRACE) -> Job | None:
    """Take the push in hand that waits longest; None when none is due or enough are under way."""
    under_way = select(func.count(AclPush.id)).where(
        AclPush.status == PushStatus.QUEUED, AclPush.leased_until > work.now
    )
    if (work.session.scalar(under_way) or 0) >= SENDERS:
        return None
    due = select(AclPush.id, AclPush.attempts).where(
        AclPush.status == PushStatus.QUEUED,
        AclPush.due_at <= work.now,
        or_(AclPush.leased_until.is_(None), AclPush.leased_until <= work.now),
    )
    for row in work.session.execute(due.order_by(AclPush.due_at, AclPush.id).limit(20)).all():
        taken = changed(
            work.session,
            update(AclPush)
            .where(AclPush.id == row.id, AclPush.attempts == row.attempts)
            .values(attempts=row.attempts + 1, leased_until=work.now + LEASE)
            .execution_options(synchronize_session=False),
        )
        job = _job(work, row.id, grace) if taken else None
        if job is not None:
            return job
    return None


def record_prepared(work: UnitOfWork, *, job: Job, change: Change) -> None:
    """Write down what is about to be written; LeaseLost when it must not be."""
    kept = changed(
        work.session,
        _held(job).values(
            diff=work.vault.seal(change.diff),
            former=work.vault.seal(change.former),
            part_digest=change.part_digest,
        ),
    )
    if kept == 0:
        raise LeaseLost


def record_done(work: UnitOfWork, *, job: Job, outcome: Outcome) -> None:
    """Write down that the policy is as wished; nothing when somebody else has the push in hand.

    A policy that says what an earlier attempt was about to write was changed by that attempt.
    """
    push = _of_job(work, job)
    if push is None:
        return
    was_written = outcome.change is not None or push.part_digest == outcome.part_digest
    push.status = next_state(
        PUSH_TRANSITIONS, push.status, "finish" if was_written else "find_equal"
    )
    push.open_user_id = push.leased_until = push.error = push.error_params = None
    push.done_at = work.now
    if outcome.change is not None and push.kind is PushKind.PREVIEW:
        push.diff = work.vault.seal(outcome.change.diff)
    if outcome.unregistered is not None:
        push.unregistered = json.dumps(outcome.unregistered, ensure_ascii=False)
    work.wake(service.LIVE_TOPIC)
    if push.kind is not PushKind.PREVIEW:
        _settle(work, push)


def record_failure(
    work: UnitOfWork, *, job: Job, failure: ControlFailure, pause: timedelta
) -> None:
    """Write down why it did not work; what may pass is tried again after the pause, for a day."""
    push = _of_job(work, job)
    if push is None:
        return
    tried_for = PREVIEW_TRIED_FOR if push.kind is PushKind.PREVIEW else TRIED_FOR
    push.error = failure.trouble.value
    push.error_params = json.dumps(failure.params, ensure_ascii=False)
    push.leased_until = None
    if failure.is_passing and push.created_at > work.now - tried_for:
        push.due_at = work.now + pause
    else:
        push.status = next_state(PUSH_TRANSITIONS, push.status, "fail")
        push.open_user_id, push.done_at = None, work.now
        _log(work, push, failure.trouble.value)
        work.emit(AclPushFailed(push_id=push.id))
    work.wake(service.LIVE_TOPIC)


def _job(work: UnitOfWork, push_id: int, grace: timedelta) -> Job | None:
    """Return what a leased push needs; one that cannot be done ends here."""
    push = work.session.get_one(AclPush, push_id, populate_existing=True)
    link = service.find(work, user_id=push.user_id)
    access = None if link is None else service.access(work, link_id=link.id)
    if link is None or access is None or not link.wants_push:
        push.status = next_state(PUSH_TRANSITIONS, push.status, "cancel")
        push.open_user_id, push.done_at = None, work.now
        return None
    if link.paused_until is not None and link.paused_until > work.now:
        push.due_at, push.leased_until = link.paused_until, None
        return None
    job = Job(push.id, push.attempts, access, Wish(push.kind), push.version_id)
    if push.kind is PushKind.UNDO:
        return _undoing(work, push, job)
    try:
        version = acl.offered(work, user_id=push.user_id, grace=grace)
    except DomainError:
        failure = ControlFailure(Trouble.NO_ACL)
        record_failure(work, job=job, failure=failure, pause=timedelta(0))
        return None
    push.version_id = version.id
    work.session.flush()
    as_owner = replace(work, actor=replace(work.actor, user_id=push.user_id))
    wish = Wish(
        push.kind,
        slots=documents.slots_of(version),
        known=tuple(documents.known_slots(as_owner)),
        admitted=frozenset(containers.admitted_keys(work, user_id=push.user_id)),
    )
    return replace(job, wish=wish, version_id=version.id)


def _undoing(work: UnitOfWork, push: AclPush, job: Job) -> Job | None:
    undone = get(work, user_id=push.user_id, push_id=push.undoes_id or 0)
    try:
        former = work.vault.open(undone.former or "")
    except ValueError:
        failure = ControlFailure(Trouble.SECRET_LOST)
        record_failure(work, job=job, failure=failure, pause=timedelta(0))
        return None
    return replace(job, wish=Wish(push.kind, former=former, left=undone.part_digest))


def _held(job: Job) -> Update:
    """Return an update of the push that meets it only while this worker has it in hand."""
    return (
        update(AclPush)
        .where(
            AclPush.id == job.push_id,
            AclPush.attempts == job.attempt,
            AclPush.status == PushStatus.QUEUED,
        )
        .execution_options(synchronize_session=False)
    )


def _of_job(work: UnitOfWork, job: Job) -> AclPush | None:
    push = work.session.get_one(AclPush, job.push_id, populate_existing=True, with_for_update=True)
    is_held = push.attempts == job.attempt and push.status is PushStatus.QUEUED
    return push if is_held else None


def _settle(work: UnitOfWork, push: AclPush) -> None:
    """Keep what stands in the policy now, and tell who must know."""
    link = service.find(work, user_id=push.user_id)
    version_id, at = push.version_id or 0, work.now.isoformat()
    if push.kind is PushKind.UNDO:
        if link is not None:
            link.pushed_version_id = None
        work.emit(AclPushUndone(user_id=push.user_id, version_id=version_id, at=at))
    else:
        if link is not None:
            link.pushed_at, link.pushed_version_id = work.now, version_id
        work.emit(AclPushed(user_id=push.user_id, version_id=version_id, at=at))
    _log(work, push, push.status.value)


def _log(work: UnitOfWork, push: AclPush, result: str) -> None:
    facts = {"push": push.id, "version_id": push.version_id, "result": result}
    logs.record(
        work,
        action=f"acl.{push.kind.value}",
        object_type="acl_push",
        object_id=push.id,
        after={**facts, "asked_by": push.actor_name},
    )
    logs.record_user(work, user_id=push.user_id, action=f"acl.{push.kind.value}", detail=facts)
