"""What an account can be, and what may happen to it."""

from enum import StrEnum


class UserStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


TRANSITIONS = {
    (UserStatus.ACTIVE, "suspend"): UserStatus.SUSPENDED,
    (UserStatus.SUSPENDED, "reinstate"): UserStatus.ACTIVE,
}
