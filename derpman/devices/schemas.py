"""JSON shapes of devices and knocks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from derpman.kit.types import Body, IdValue, Line, Out, Part

DeviceName = Annotated[Line, StringConstraints(max_length=64)]


class RegisterDevice(Body):
    node_key: Annotated[str, Field(max_length=200)]
    name: DeviceName


class RenameDevice(Body):
    name: DeviceName


class ImportStatus(Body):
    status: Annotated[str, Field(max_length=900_000)]
    """The output of `tailscale status --json`, as text."""
    node_keys: Annotated[list[str] | None, Field(max_length=5000)] = None
    """Only these of it; all when it is left out."""
    preview: bool = False
    """Only say what would happen."""


class Approve(Body):
    name: DeviceName | None = None
    replaces_device_id: IdValue | None = None


class OpenPairing(Body):
    minutes: Annotated[int, Field(ge=1, le=60)] = 10


class Connection(Part):
    slot: int
    address: str
    since: datetime


class DevicePart(Part):
    id: int
    node_key: str
    name: str
    system: str
    source: str
    status: str
    created_at: datetime
    removed_at: datetime | None
    last_seen_at: datetime | None
    connections: list[Connection] = []


class DeviceOut(Out):
    device: DevicePart


class DevicesOut(Out):
    devices: list[DevicePart]
    limit: int | None
    """How many the plan allows; null without a rental."""


class KnockPart(Part):
    id: int
    node_key: str
    ip_address: str
    location: str
    slot: int
    count: int
    status: str
    first_at: datetime
    last_at: datetime
    allowed_actions: list[str] = []


class KnocksOut(Out):
    knocks: list[KnockPart]
    next_before: int | None


class KnockOut(Out):
    knock: KnockPart


class LinkedPart(Part):
    id: int
    stable_id: str
    node_key: str
    name: str
    system: str
    addresses: str
    """In the tailnet, separated by blanks."""
    is_ephemeral: bool
    status: str
    device_id: int | None
    missing_since: datetime | None
    """Since when the tailnet does not list it any more."""
    allowed_actions: list[str] = []


class LinkedOut(Out):
    device: LinkedPart


class LinkedDevicesOut(Out):
    devices: list[LinkedPart]
    held_removals: int
    """How many are gone in the tailnet and wait for a word before they go here."""
    looked_at: datetime | None


class SettleRemovals(Body):
    accept: bool
    """Whether they are to be removed; otherwise they stay, and are not followed any more."""


class SettledOut(Out):
    devices: int


class PairingOut(Out):
    is_open: bool
    until: datetime | None = None
    taken: int = 0


class ImportResult(Part):
    node_key: str
    name: str
    system: str
    result: Literal["registered", "already_registered", "limit_reached", "new"]


class ImportOut(Out):
    results: list[ImportResult]
