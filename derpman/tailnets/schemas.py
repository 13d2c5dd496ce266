"""JSON of links and pushes; a credential's secret goes in and never comes out."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, SecretStr, StringConstraints

from derpman.kit.paging import TimedQuery
from derpman.kit.states import allowed_actions
from derpman.kit.types import Body, Out, Part
from derpman.kit.work import UnitOfWork
from derpman.tailnets.models import AclPush, TailnetLink
from derpman.tailnets.service import LinkFacts
from derpman.tailnets.states import (
    PUSH_TRANSITIONS,
    LinkKind,
    LinkStatus,
    PushKind,
    PushStatus,
)
from derpman.tailnets.tailscale import OWN_TAILNET
from derpman.tailnets.texts import text_of

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254)]


class LinkIn(Body):
    kind: LinkKind
    address: Annotated[str, StringConstraints(strip_whitespace=True, max_length=512)] = ""
    """Of headscale: its `server_url`."""
    tailnet: Word = ""
    """Of Tailscale: the organization's name, when it is not the credential's own; of headscale: a
    user's name, when only his nodes count."""
    client_id: Annotated[str, StringConstraints(strip_whitespace=True, max_length=128)] = ""
    """Of Tailscale's OAuth client."""
    secret: Annotated[SecretStr, Field(min_length=1, max_length=512)] | None = None
    """The OAuth client's secret, or headscale's API key; none keeps the one there is."""
    wants_push: bool = False
    wants_devices: bool = True
    is_automatic: bool = False
    """Push every new version by itself, once one was pushed by hand."""

    @property
    def facts(self) -> LinkFacts:
        given = self.model_dump(exclude={"secret"})
        secret = None if self.secret is None else self.secret.get_secret_value().strip()
        return LinkFacts(**given, secret=secret)


class TroublePart(Part):
    """What went wrong, and what to do about it."""

    code: str
    params: dict[str, Any]
    message: str
    message_zh: str

    @classmethod
    def of(cls, code: str | None, params: str | None) -> TroublePart | None:
        """Return it in words; None when nothing is wrong."""
        if code is None:
            return None
        facts: dict[str, Any] = json.loads(params) if params else {}
        texts = {
            "message": text_of(code, params, "en"),
            "message_zh": text_of(code, params, "zh-CN"),
        }
        return cls(code=code, params=facts, **texts)


class LinkPart(Part):
    id: int
    kind: LinkKind
    address: str
    tailnet: str
    client_id: str
    has_secret: bool = True
    wants_push: bool
    wants_devices: bool
    is_automatic: bool
    status: LinkStatus
    trouble: TroublePart | None
    trouble_at: datetime | None
    succeeded_at: datetime | None
    paused_until: datetime | None
    pushed_at: datetime | None
    pushed_version_id: int | None
    looked_at: datetime | None
    held_removals: int
    """How many devices are gone in the tailnet and wait for a word before they go here."""
    created_at: datetime
    allowed_actions: list[str]

    @classmethod
    def of(cls, link: TailnetLink) -> LinkPart:
        """Return a link without what opens it."""
        own = {name: getattr(link, name) for name in cls.model_fields if hasattr(link, name)}
        own["tailnet"] = "" if link.tailnet == OWN_TAILNET else link.tailnet
        actions = ["change", "test", "remove"]
        actions += ["preview", "push"] if link.wants_push else []
        actions += ["settle_removals"] if link.held_removals else []
        return cls(
            **own,
            trouble=TroublePart.of(link.error, link.error_params),
            trouble_at=link.error_at,
            allowed_actions=actions,
        )


class LinkOut(Out):
    link: LinkPart | None


class UserLinkPart(LinkPart):
    user_id: int
    username: str = ""


class LinksOut(Out):
    links: list[UserLinkPart]
    next_before: int | None


class LinksQuery(TimedQuery):
    status: LinkStatus | None = None


class AskPush(Body):
    preview: bool = False
    """Only show what would change."""
    accept_unregistered: bool = False
    """Devices that are not registered may lose their relays."""


class PushLine(Part):
    id: int
    kind: PushKind
    status: PushStatus
    is_automatic: bool
    asked_by: str
    version_id: int | None
    undoes_id: int | None
    trouble: TroublePart | None
    attempts: int
    unregistered: list[str] | None
    """Of a preview: devices in the tailnet that lose their relays; null when we may not look."""
    created_at: datetime
    done_at: datetime | None
    allowed_actions: list[str]

    @classmethod
    def of(cls, push: AclPush, undoable: int | None) -> PushLine:
        """Return a push without its texts; `undoable` is the id of the one that can be undone."""
        own = {name: getattr(push, name) for name in PushLine.model_fields if hasattr(push, name)}
        actions = [one for one in allowed_actions(PUSH_TRANSITIONS, push.status) if one == "cancel"]
        own["unregistered"] = json.loads(push.unregistered or "null")
        return cls(
            **own,
            asked_by=push.actor_name,
            trouble=TroublePart.of(push.error, push.error_params),
            allowed_actions=[*actions, *(["undo"] if push.id == undoable else [])],
        )


class PushPart(PushLine):
    diff: str = ""
    """What changed in the derpMap part, as `diff -u`."""

    @classmethod
    def whole(cls, work: UnitOfWork, push: AclPush, undoable: int | None) -> PushPart:
        """Return a push with what it changed."""
        try:
            diff = work.vault.open(push.diff) if push.diff else ""
        except ValueError:
            diff = ""
        return cls(**PushLine.of(push, undoable).model_dump(), diff=diff)


class PushOut(Out):
    push: PushPart


class PushesOut(Out):
    pushes: list[PushLine]
    next_before: int | None
