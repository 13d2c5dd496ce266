"""What a rental can be, and what may happen to it."""

from enum import StrEnum


class RentalStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


class NoticeKind(StrEnum):
    """What a customer is told of his rental's end, once for each period."""

    EXPIRES_IN_7 = "expires_in_7_days"
    EXPIRES_IN_3 = "expires_in_3_days"
    EXPIRES_IN_1 = "expires_in_1_day"
    EXPIRED = "expired"
    CLOSES_IN_7 = "closes_in_7_days"
    CLOSES_IN_1 = "closes_in_1_day"


TRANSITIONS = {
    (RentalStatus.ACTIVE, "suspend"): RentalStatus.SUSPENDED,
    (RentalStatus.SUSPENDED, "reinstate"): RentalStatus.ACTIVE,
    (RentalStatus.ACTIVE, "end"): RentalStatus.ENDED,
    (RentalStatus.SUSPENDED, "end"): RentalStatus.ENDED,
}


class MoveStatus(StrEnum):
    """Of a slot's relay on its way to another server."""

    WAITING = "waiting"
    PREPARING = "preparing"
    """The next relay is being started beside the old one, which serves."""
    SWITCHED = "switched"
    """The new map names the next relay; the old one is kept while a map in use may name it."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


MOVE_TRANSITIONS = {
    (MoveStatus.WAITING, "prepare"): MoveStatus.PREPARING,
    (MoveStatus.WAITING, "replace"): MoveStatus.SWITCHED,  # the old relay is dead: at once
    (MoveStatus.PREPARING, "switch"): MoveStatus.SWITCHED,
    (MoveStatus.PREPARING, "abandon"): MoveStatus.WAITING,  # it did not come up: try elsewhere
    (MoveStatus.SWITCHED, "finish"): MoveStatus.DONE,
    (MoveStatus.WAITING, "fail"): MoveStatus.FAILED,
    (MoveStatus.WAITING, "cancel"): MoveStatus.CANCELLED,
    (MoveStatus.PREPARING, "cancel"): MoveStatus.CANCELLED,
}
