"""What an ACL version can be, and what may happen to it."""

from enum import StrEnum


class AclStatus(StrEnum):
    CURRENT = "current"
    SUPERSEDED = "superseded"
    ENDED = "ended"


TRANSITIONS = {
    (AclStatus.CURRENT, "supersede"): AclStatus.SUPERSEDED,
    (AclStatus.CURRENT, "end"): AclStatus.ENDED,
    (AclStatus.SUPERSEDED, "end"): AclStatus.ENDED,
}
