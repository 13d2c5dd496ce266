"""JSON of channels; addresses and secrets go in and never come out."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, StringConstraints, field_validator

from derpman.kit.paging import PageQuery
from derpman.kit.states import allowed_actions
from derpman.kit.types import Body, Line, Out, Part
from derpman.notifications.channels import ChannelFacts
from derpman.notifications.models import Channel, ChannelMessage
from derpman.notifications.states import MESSAGE_TRANSITIONS, ChannelKind, MessageStatus
from derpman.notifications.topics import ALERT, TOPICS

Severity = Literal["info", "warning", "critical"]
Url = Annotated[SecretStr, Field(min_length=8, max_length=2048)]
Key = Annotated[SecretStr, Field(min_length=1, max_length=512)]


class ChannelIn(Body):
    name: Annotated[Line, StringConstraints(max_length=64)]
    kind: ChannelKind
    locale: Literal["zh-CN", "en"] = "zh-CN"
    topics: Annotated[list[str], Field(max_length=50)] = [ALERT]
    min_severity: Severity = "info"
    is_enabled: bool = True
    url: Url | None = None
    """Needed for a new channel; none keeps the one there is."""
    secret: Key | None = None
    """What requests are signed with: webhooks need one, DingTalk has one, WeCom has none."""

    @field_validator("topics")
    @classmethod
    def _known(cls, topics: list[str]) -> list[str]:
        if unknown := sorted(set(topics) - TOPICS.keys()):
            raise ValueError(f"there is no topic {unknown[0][:64]}")
        return topics

    @property
    def facts(self) -> ChannelFacts:
        return ChannelFacts(
            name=self.name,
            kind=self.kind,
            locale=self.locale,
            topics=self.topics,
            min_severity=self.min_severity,
            is_enabled=self.is_enabled,
            url=None if self.url is None else self.url.get_secret_value(),
            secret=None if self.secret is None else self.secret.get_secret_value(),
        )


def _loaded(text: object) -> object:
    return json.loads(text) if isinstance(text, str) else text


class ChannelOut(Part):
    id: int
    name: str
    kind: ChannelKind
    host: str
    has_secret: bool
    locale: str
    topics: Annotated[list[str], BeforeValidator(_loaded)]
    min_severity: Severity
    is_enabled: bool
    failing_since: datetime | None
    paused_until: datetime | None
    error: str | None
    sent_at: datetime | None
    created_at: datetime
    updated_at: datetime
    allowed_actions: list[str]

    @classmethod
    def of(cls, channel: Channel) -> ChannelOut:
        """Return a channel without what opens it."""
        own = {name: getattr(channel, name) for name in cls.model_fields if hasattr(channel, name)}
        return cls(
            **own,
            has_secret=channel.secret is not None,
            allowed_actions=["edit", "test", "remove"],
        )


class ChannelsOut(Out):
    channels: list[ChannelOut]
    topics: list[str]
    """Everything a channel can be told of."""


class OneChannelOut(Out):
    channel: ChannelOut


class MessagesQuery(PageQuery):
    status: MessageStatus | None = None


class MessageOut(Part):
    id: int
    channel_id: int
    key: str
    topic: str
    text: str
    data: Annotated[dict[str, Any], BeforeValidator(_loaded)]
    status: MessageStatus
    created_at: datetime
    sent_at: datetime | None
    error: str | None
    allowed_actions: list[str] = []

    @classmethod
    def of(cls, message: ChannelMessage) -> MessageOut:
        """Return a message and what may be done with it."""
        possible = allowed_actions(MESSAGE_TRANSITIONS, message.status)
        out = cls.model_validate(message)
        actions = [action for action in possible if action == "requeue"]
        return out.model_copy(update={"allowed_actions": actions})


class MessagesOut(Out):
    messages: list[MessageOut]
    next_before: int | None


class OneMessageOut(Out):
    message: MessageOut
