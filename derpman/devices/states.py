"""What a device, a knock and a device of a linked tailnet can be, and what may happen to them."""

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


class LinkedStatus(StrEnum):
    FOLLOWED = "followed"
    NO_ROOM = "no_room"
    LEFT_OUT = "left_out"


LINKED_TRANSITIONS = {
    (LinkedStatus.NO_ROOM, "follow"): LinkedStatus.FOLLOWED,
    (LinkedStatus.FOLLOWED, "leave_out"): LinkedStatus.LEFT_OUT,  # the customer removed it here
    (LinkedStatus.NO_ROOM, "leave_out"): LinkedStatus.LEFT_OUT,
    (LinkedStatus.LEFT_OUT, "include"): LinkedStatus.FOLLOWED,
}
