"""What a device and a knock can be, and what may happen to them."""

from enum import StrEnum


class DeviceStatus(StrEnum):
    REGISTERED = "registered"
    REMOVED = "removed"


DEVICE_TRANSITIONS = {
    (DeviceStatus.REGISTERED, "remove"): DeviceStatus.REMOVED,
    (DeviceStatus.REMOVED, "register"): DeviceStatus.REGISTERED,
}


class KnockStatus(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    BLOCKED = "blocked"


KNOCK_TRANSITIONS = {
    (KnockStatus.WAITING, "approve"): KnockStatus.APPROVED,
    (KnockStatus.WAITING, "block"): KnockStatus.BLOCKED,
    (KnockStatus.BLOCKED, "approve"): KnockStatus.APPROVED,
    (KnockStatus.BLOCKED, "unblock"): KnockStatus.WAITING,
    (KnockStatus.APPROVED, "knock"): KnockStatus.WAITING,  # removed since, and here again
}
