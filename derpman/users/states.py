"""What an account can be, and what may happen to it."""

from enum import StrEnum


class UserStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSING = "closing"
    """Nothing of it serves any more; some server has not yet proved that its relay is gone."""
    DEREGISTERED = "deregistered"


TRANSITIONS = {
    (UserStatus.ACTIVE, "suspend"): UserStatus.SUSPENDED,
    (UserStatus.SUSPENDED, "reinstate"): UserStatus.ACTIVE,
    (UserStatus.ACTIVE, "deregister"): UserStatus.CLOSING,
    (UserStatus.CLOSING, "close"): UserStatus.DEREGISTERED,
}
