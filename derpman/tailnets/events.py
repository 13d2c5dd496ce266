"""What happens to links and pushes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class LinkAsked(Event):
    """A credential is new, or somebody wants to know whether it works."""

    name: ClassVar[str] = "tailnet.link_asked"
    link_id: int
    generation: int


@dataclass(frozen=True)
class LinkRefused(Event):
    """A control server refuses the credential: nothing goes on until the customer acts."""

    name: ClassVar[str] = "tailnet.link_refused"
    user_id: int
    code: str
    params: str
    """What fills the text of `code` in, as JSON."""


@dataclass(frozen=True)
class LinkRemoved(Event):
    name: ClassVar[str] = "tailnet.link_removed"
    user_id: int


@dataclass(frozen=True)
class PushAsked(Event):
    name: ClassVar[str] = "acl.push_asked"
    push_id: int


@dataclass(frozen=True)
class AclPushed(Event):
    """A version stands in the customer's policy: evidence that his tailnet has it."""

    name: ClassVar[str] = "acl.pushed"
    user_id: int
    version_id: int
    at: str
    """When, in ISO 8601 with its offset."""


@dataclass(frozen=True)
class AclPushUndone(Event):
    """The derpMap part is again what it was before this version was pushed."""

    name: ClassVar[str] = "acl.push_undone"
    user_id: int
    version_id: int
    at: str


@dataclass(frozen=True)
class AclPushFailed(Event):
    """A push was given up."""

    name: ClassVar[str] = "acl.push_failed"
    push_id: int
