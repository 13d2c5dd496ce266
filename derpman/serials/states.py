"""What a serial can be, and what may happen to it."""

from enum import StrEnum


class SerialStatus(StrEnum):
    UNUSED = "unused"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"


TRANSITIONS = {
    (SerialStatus.UNUSED, "redeem"): SerialStatus.USED,
    (SerialStatus.UNUSED, "expire"): SerialStatus.EXPIRED,
    (SerialStatus.UNUSED, "revoke"): SerialStatus.REVOKED,
}
