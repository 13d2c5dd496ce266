"""What a rental can be, and what may happen to it."""

from enum import StrEnum


class RentalStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


TRANSITIONS = {
    (RentalStatus.ACTIVE, "suspend"): RentalStatus.SUSPENDED,
    (RentalStatus.SUSPENDED, "reinstate"): RentalStatus.ACTIVE,
    (RentalStatus.ACTIVE, "end"): RentalStatus.ENDED,
    (RentalStatus.SUSPENDED, "end"): RentalStatus.ENDED,
}
