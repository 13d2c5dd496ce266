"""HTTP of channels, for super admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from derpman.kit.http import RunSuperAdmin, RunSuperAdminFresh
from derpman.kit.outgoing import Outgoing
from derpman.kit.types import IdValue, Out
from derpman.kit.work import UnitOfWork
from derpman.notifications import channels, queries
from derpman.notifications.channel_schemas import (
    ChannelIn,
    ChannelOut,
    ChannelsOut,
    MessageOut,
    MessagesOut,
    MessagesQuery,
    OneChannelOut,
    OneMessageOut,
)
from derpman.notifications.topics import TOPICS

router = APIRouter(prefix="/api/notifications/channels", tags=["notifications"])


def outgoing_of(request: Request) -> Outgoing:
    """Return which addresses may be asked."""
    settings = request.app.state.system.settings
    return Outgoing(allow_private=settings.allow_private_links)


Guard = Annotated[Outgoing, Depends(outgoing_of)]


@router.get("")
def list_channels(run: RunSuperAdmin) -> ChannelsOut:
    """Where operators are told besides by mail."""
    found = run.read(queries.channels)
    return ChannelsOut(channels=[ChannelOut.of(channel) for channel in found], topics=list(TOPICS))


@router.post("")
def add_channel(run: RunSuperAdminFresh, guard: Guard, body: ChannelIn) -> OneChannelOut:
    """Add a webhook, or a robot of WeCom or DingTalk."""
    channel = run(channels.add, facts=body.facts, outgoing=guard)
    return OneChannelOut(channel=ChannelOut.of(channel))


@router.post("/{channel_id}")
def edit_channel(
    run: RunSuperAdminFresh, guard: Guard, channel_id: IdValue, body: ChannelIn
) -> OneChannelOut:
    """Change a channel; without `url` or `secret` it keeps its own."""
    channel = run(channels.edit, channel_id=channel_id, facts=body.facts, outgoing=guard)
    return OneChannelOut(channel=ChannelOut.of(channel))


@router.post("/{channel_id}/test")
def test_channel(run: RunSuperAdmin, channel_id: IdValue) -> OneMessageOut:
    """Send a test message; its row tells how that ended."""
    return OneMessageOut(message=MessageOut.of(run(channels.test, channel_id=channel_id)))


@router.post("/{channel_id}/remove")
def remove_channel(run: RunSuperAdminFresh, channel_id: IdValue) -> Out:
    """Remove a channel and what waits for it."""
    run(channels.remove, channel_id=channel_id)
    return Out()


@router.get("/{channel_id}/messages")
def list_messages(
    run: RunSuperAdmin, channel_id: IdValue, query: Annotated[MessagesQuery, Query()]
) -> MessagesOut:
    """What was told on a channel, newest first."""

    def read(work: UnitOfWork) -> MessagesOut:
        channels.get(work, channel_id)
        found, next_before = queries.messages(work, channel_id=channel_id, **query.model_dump())
        shown = [MessageOut.of(message) for message in found]
        return MessagesOut(messages=shown, next_before=next_before)

    return run.read(read)


@router.post("/messages/{message_id}/requeue")
def requeue_message(run: RunSuperAdmin, message_id: IdValue) -> OneMessageOut:
    """Tell a message again that was given up."""
    return OneMessageOut(message=MessageOut.of(run(channels.requeue, message_id=message_id)))
