"""What happens to devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class DeviceRegistered(Event):
    name: ClassVar[str] = "device.registered"
    device_id: int
    ip: str
    """Address of who registered it, or of the device where it was taken up by itself."""


@dataclass(frozen=True)
class DeviceRemoved(Event):
    name: ClassVar[str] = "device.removed"
    device_id: int
    ip: str


@dataclass(frozen=True)
class DeviceKnocked(Event):
    """An unregistered device tried a relay for the first time, or again after it was removed."""

    name: ClassVar[str] = "device.knocked"
    knock_id: int
