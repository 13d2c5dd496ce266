"""Verbs on pushes: ask for one, take it in hand, and write down how it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import undefer

from derpman.acl import queries as acl_queries
from derpman.acl import service as acl
from derpman.acl.service import NO_GRACE
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.tailnets import service
from derpman.tailnets.errors import (
    ConfirmUnregistered,
    NothingToUndo,
    PreviewFirst,
    PushNotFound,
    PushSwitchedOff,
    PushUnderWay,
)
from derpman.tailnets.events import PushAsked
from derpman.tailnets.models import AclPush, TailnetLink
from derpman.tailnets.states import PUSH_TRANSITIONS, PushKind, PushStatus
from derpman.users import service as users

PREVIEW_HOLDS = timedelta(hours=24)
FAILED_RESTS = timedelta(hours=6)
"""How long an automatic push that failed for good rests before the same version is tried again."""


def preview(work: UnitOfWork) -> AclPush:
    """Have the actor shown what a push would change; nothing is written."""
    return _queue(work, _pushing_link(work), PushKind.PREVIEW)


def ask(
    work: UnitOfWork, *, accept_unregistered: bool = False, grace: timedelta = NO_GRACE
) -> AclPush:
    """Push the actor's ACL into his tailnet; before the first time he must have seen the change.

    Raises ConfirmUnregistered when devices would lose their relays and he did not accept that.
    """
    link = _pushing_link(work)
    version = acl.offered(work, user_id=link.user_id, grace=grace)
    if link.pushed_at is None:
        seen = work.session.scalar(
            select(AclPush)
            .where(
                AclPush.user_id == link.user_id,
                AclPush.kind == PushKind.PREVIEW,
                AclPush.version_id == version.id,
                AclPush.status.in_((PushStatus.DONE, PushStatus.UNCHANGED)),
                AclPush.done_at > work.now - PREVIEW_HOLDS,
                AclPush.generation == link.generation,
            )
            .order_by(AclPush.id.desc())
            .limit(1)
        )
        if seen is None:
            raise PreviewFirst(version=version.number)
        names: list[str] | None = json.loads(seen.unregistered or "null")
        if names != [] and not accept_unregistered:
            raise ConfirmUnregistered(names=names or "?")
    return _queue(work, link, PushKind.PUSH)


def undo(work: UnitOfWork, *, push_id: int) -> AclPush:
    """Have the derpMap part put back as it was before the last push; pushes stop by themselves."""
    link = _pushing_link(work)
    push = get(work, user_id=link.user_id, push_id=push_id)
    if push.id != undoable(work, user_id=link.user_id):
        raise NothingToUndo
    link.is_automatic = False
    return _queue(work, link, PushKind.UNDO, undoes_id=push.id, version_id=push.version_id)


def cancel(work: UnitOfWork, *, push_id: int) -> AclPush:
    """Give up a push that is not done; one that is being written at this moment may still be."""
    push = get(work, user_id=work.actor.user_id or 0, push_id=push_id)
    push.status = next_state(PUSH_TRANSITIONS, push.status, "cancel")
    push.open_user_id, push.done_at = None, work.now
    work.wake(service.LIVE_TOPIC)
    return push


def get(work: UnitOfWork, *, user_id: int, push_id: int) -> AclPush:
    """Return a push of this customer with its texts; another's does not exist for him."""
    push = work.session.get(
        AclPush, push_id, options=[undefer(AclPush.diff), undefer(AclPush.former)]
    )
    if push is None or push.user_id != user_id:
        raise PushNotFound
    return push


def undoable(work: UnitOfWork, *, user_id: int) -> int | None:
    """Return the id of the last change that we made to the policy, if that was a push."""
    last = work.session.execute(
        select(AclPush.id, AclPush.kind, AclPush.former.is_not(None))
        .where(
            AclPush.user_id == user_id,
            AclPush.status == PushStatus.DONE,
            AclPush.kind != PushKind.PREVIEW,
        )
        .order_by(AclPush.id.desc())
        .limit(1)
    ).one_or_none()
    return None if last is None or last[1] is not PushKind.PUSH or not last[2] else last[0]


def push_replaced(work: UnitOfWork, *, version_id: int, **_facts: object) -> None:
    """Push a version that took another's place, where its owner wants that by itself."""
    version = acl.get(work, version_id)
    link = service.find(work, user_id=version.user_id)
    if link is not None and link.wants_push and link.is_automatic and link.pushed_at is not None:
        _push_automatically(work, [link.user_id])


def push_missing(work: UnitOfWork) -> int:
    """Push every version that should have been and was not; return how many pushes were made."""
    links = work.session.execute(
        select(TailnetLink.user_id, TailnetLink.pushed_version_id).where(
            TailnetLink.wants_push, TailnetLink.is_automatic, TailnetLink.pushed_at.is_not(None)
        )
    ).all()
    if not links:
        return 0
    current = acl_queries.current_ids(work, user_ids=[link.user_id for link in links])
    behind = {
        link.user_id: current[link.user_id]
        for link in links
        if current.get(link.user_id, link.pushed_version_id) != link.pushed_version_id
    }
    if not behind:
        return 0
    failed = work.session.execute(
        select(AclPush.user_id, AclPush.version_id).where(
            AclPush.user_id.in_(behind),
            AclPush.is_automatic,
            AclPush.status == PushStatus.FAILED,
            AclPush.done_at > work.now - FAILED_RESTS,
        )
    ).all()
    resting = {row.user_id for row in failed if behind[row.user_id] == row.version_id}
    in_service = users.in_service(work, user_ids=behind.keys() - resting)
    return _push_automatically(work, sorted(in_service))


def _pushing_link(work: UnitOfWork) -> TailnetLink:
    users.require_active(work, work.actor.user_id or 0)
    link = service.mine(work)
    if not link.wants_push:
        raise PushSwitchedOff
    return link


def _queue(
    work: UnitOfWork,
    link: TailnetLink,
    kind: PushKind,
    *,
    is_automatic: bool = False,
    undoes_id: int | None = None,
    version_id: int | None = None,
) -> AclPush:
    if kind is not PushKind.PREVIEW and _is_under_way(work, link.user_id):
        raise PushUnderWay
    push = AclPush(
        user_id=link.user_id,
        open_user_id=None if kind is PushKind.PREVIEW else link.user_id,
        generation=link.generation,
        kind=kind,
        status=PushStatus.QUEUED,
        is_automatic=is_automatic,
        actor_name=work.actor.name,
        undoes_id=undoes_id,
        version_id=version_id,
        attempts=0,
        due_at=work.now,
        created_at=work.now,
    )
    work.session.add(push)
    work.session.flush()
    work.emit(PushAsked(push_id=push.id))
    work.wake(service.LIVE_TOPIC)
    return push


def _push_automatically(work: UnitOfWork, user_ids: Sequence[int]) -> int:
    made = 0
    for user_id in user_ids:
        link = service.find(work, user_id=user_id)
        if link is not None and not _is_under_way(work, user_id):
            _queue(work, link, PushKind.PUSH, is_automatic=True)
            made += 1
    return made


def _is_under_way(work: UnitOfWork, user_id: int) -> bool:
    open_one = select(AclPush.id).where(AclPush.open_user_id == user_id)
    return work.session.scalar(open_one) is not None
