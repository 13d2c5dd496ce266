"""Classes of distributors, and what becomes of an application."""

from enum import StrEnum


class Level(StrEnum):
    """A distributor's class."""

    GOLD = "gold"
    WHITE_GOLD = "white_gold"
    PLATINUM = "platinum"


class ApplicationStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


TRANSITIONS = {
    (ApplicationStatus.PENDING, "approve"): ApplicationStatus.APPROVED,
    (ApplicationStatus.PENDING, "refuse"): ApplicationStatus.REFUSED,
    (ApplicationStatus.PENDING, "withdraw"): ApplicationStatus.WITHDRAWN,
}
"""Of applications for serials."""
