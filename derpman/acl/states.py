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
    (AclStatus.ENDED, "resume"): AclStatus.CURRENT,  # its customer came back within a week
}


class Evidence(StrEnum):
    """How we know which version a tailnet has applied."""

    PUSHED = "pushed"
    FETCHED = "fetched"
    PRESENCE = "presence"
    TOLD = "told"


class RotationStatus(StrEnum):
    """Of the making of somebody's next version."""

    QUEUED = "queued"
    PREPARING = "preparing"
    DONE = "done"
    CANCELLED = "cancelled"


ROTATION_TRANSITIONS = {
    (RotationStatus.QUEUED, "begin"): RotationStatus.PREPARING,
    (RotationStatus.QUEUED, "finish"): RotationStatus.DONE,  # nothing had to be prepared
    (RotationStatus.PREPARING, "finish"): RotationStatus.DONE,
    (RotationStatus.QUEUED, "cancel"): RotationStatus.CANCELLED,
    (RotationStatus.PREPARING, "cancel"): RotationStatus.CANCELLED,
}
