"""`/api/acl/…`: links to customers' tailnets, and pushes through them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import StreamingResponse

from derpman.kit.csvfile import CSV, listed
from derpman.kit.errors import Unavailable
from derpman.kit.http import Guarded, RunAdmin, RunUser
from derpman.kit.live import EVENTS
from derpman.kit.outgoing import Outgoing
from derpman.kit.paging import PageQuery
from derpman.kit.throttle import Limit
from derpman.kit.types import IdValue, Out
from derpman.kit.work import Edge, UnitOfWork
from derpman.tailnets import push, queries, service
from derpman.tailnets.models import AclPush
from derpman.tailnets.schemas import (
    AskPush,
    LinkIn,
    LinkOut,
    LinkPart,
    LinksOut,
    LinksQuery,
    PushesOut,
    PushLine,
    PushOut,
    PushPart,
    UserLinkPart,
)
from derpman.users import service as users

router = APIRouter(prefix="/api/acl", tags=["acl"])
TRIALS = Limit("tailnet-trials", 20, 600)
"""How often a customer may have his control server asked in ten minutes: it is not ours."""
SHOWN_PUSHES = 5


def outgoing_of(request: Request) -> Outgoing:
    """Return which addresses may be asked."""
    return Outgoing(allow_private=request.app.state.system.settings.allow_private_links)


def grace_of(request: Request) -> timedelta:
    """Return how long a version is handed out after its 32 days."""
    return timedelta(days=request.app.state.system.settings.acl_grace_days)


Guard = Annotated[Outgoing, Depends(outgoing_of)]
Grace = Annotated[timedelta, Depends(grace_of)]


@router.get("/link")
def show_link(run: RunUser) -> LinkOut:
    """The caller's link to his tailnet; null when he has none."""
    return run.read(_link, _me(run))


@router.post("/link")
def create_link(run: RunUser, guards: Guarded, outgoing: Guard, body: LinkIn) -> LinkOut:
    """Link the caller's tailnet; `status` tells soon whether the credential works."""
    _take(guards, run)
    return LinkOut(link=LinkPart.of(run(service.create, facts=body.facts, outgoing=outgoing)))


@router.post("/link/change")
def change_link(run: RunUser, guards: Guarded, outgoing: Guard, body: LinkIn) -> LinkOut:
    """Put another credential, or other wishes, in the place of those there are."""
    _take(guards, run)
    return LinkOut(link=LinkPart.of(run(service.change, facts=body.facts, outgoing=outgoing)))


@router.post("/link/test")
def test_link(run: RunUser, guards: Guarded) -> LinkOut:
    """Find out again whether the credential works; `status` tells soon."""
    _take(guards, run)
    return LinkOut(link=LinkPart.of(run(service.retest)))


@router.post("/link/remove")
def remove_link(run: RunUser) -> Out:
    """Destroy the credential; devices and policy stay as they are."""
    run(service.remove)
    return Out()


@router.get("/link/events", response_class=StreamingResponse, responses=EVENTS)
def watch_link(run: RunUser, request: Request) -> StreamingResponse:
    """The caller's link and newest pushes as a stream of server-sent events."""
    live = request.app.state.live
    if live.is_full:
        raise Unavailable
    user_id = _me(run)

    def fetch() -> dict[str, Any]:
        return run.read(_picture, user_id)

    return live.stream(request, f"tailnets:{user_id}", fetch)


@router.get("/all_links", response_model=LinksOut, responses=CSV)
def all_links(run: RunAdmin, query: Annotated[LinksQuery, Query()]) -> Any:
    """Everybody's links with how they fare, newest first."""
    return listed(
        query, lambda one: run.read(_links, one), name="links", rows="links", row=UserLinkPart
    )


@router.post("/push")
def ask_push(run: RunUser, guards: Guarded, grace: Grace, body: AskPush) -> PushOut:
    """Push the ACL into the caller's tailnet, or have shown what that would change.

    Before the first push he must have seen a preview of this version.
    """
    _take(guards, run)
    if body.preview:
        return PushOut(push=run(_asked, push.preview))
    accepted = body.accept_unregistered
    return PushOut(push=run(_asked, push.ask, accept_unregistered=accepted, grace=grace))


@router.get("/pushes")
def list_pushes(run: RunUser, query: Annotated[PageQuery, Query()]) -> PushesOut:
    """What was done to the caller's policy, newest first."""
    return run.read(_pushes, _me(run), query.before, query.limit)


@router.get("/pushes/{push_id}")
def show_push(run: RunUser, push_id: IdValue) -> PushOut:
    """One push, with what it changed."""

    def read(work: UnitOfWork) -> PushPart:
        return _whole(work, push.get(work, user_id=_me(run), push_id=push_id))

    return PushOut(push=run.read(read))


@router.post("/pushes/{push_id}/undo")
def undo_push(run: RunUser, guards: Guarded, push_id: IdValue) -> PushOut:
    """Put the derpMap part back as it was before the last push, and stop automatic ones."""
    _take(guards, run)
    return PushOut(push=run(_asked, push.undo, push_id=push_id))


@router.post("/pushes/{push_id}/cancel")
def cancel_push(run: RunUser, push_id: IdValue) -> PushOut:
    """Give up a push that is not done yet."""
    return PushOut(push=run(_asked, push.cancel, push_id=push_id))


def _me(run: Edge) -> int:
    assert run.actor.user_id is not None  # RunUser lets nobody else in
    return run.actor.user_id


def _take(guards: Guarded, run: Edge) -> None:
    guards.take(TRIALS, str(run.actor.user_id))


def _link(work: UnitOfWork, user_id: int) -> LinkOut:
    link = service.find(work, user_id=user_id)
    return LinkOut(link=None if link is None else LinkPart.of(link))


def _links(work: UnitOfWork, query: LinksQuery) -> LinksOut:
    rows, next_before = queries.links(work, **query.asked())
    names = users.names_of(work, user_ids=[link.user_id for link in rows])
    parts = [
        UserLinkPart(
            **LinkPart.of(link).model_dump(exclude={"allowed_actions"}),
            allowed_actions=[],
            user_id=link.user_id,
            username=names.get(link.user_id, ""),
        )
        for link in rows
    ]
    return LinksOut(links=parts, next_before=next_before)


def _pushes(work: UnitOfWork, user_id: int, before: int | None, limit: int) -> PushesOut:
    rows, next_before = queries.pushes(work, user_id=user_id, before=before, limit=limit)
    undoable = push.undoable(work, user_id=user_id)
    return PushesOut(pushes=[PushLine.of(row, undoable) for row in rows], next_before=next_before)


def _picture(work: UnitOfWork, user_id: int) -> dict[str, Any]:
    return {
        **_link(work, user_id).model_dump(mode="json"),
        "pushes": _pushes(work, user_id, None, SHOWN_PUSHES).model_dump(mode="json")["pushes"],
    }


def _asked(work: UnitOfWork, verb: Any, **arguments: Any) -> PushPart:
    return _whole(work, verb(work, **arguments))


def _whole(work: UnitOfWork, row: AclPush) -> PushPart:
    whole = push.get(work, user_id=row.user_id, push_id=row.id)
    return PushPart.whole(work, whole, push.undoable(work, user_id=row.user_id))
