"""What an API token reaches."""

from enum import StrEnum


class RoleScope(StrEnum):
    """How far an admin's role reaches."""

    ALL = "all"
    OWN = "own"  # the customers he looks after


class TokenScope(StrEnum):
    READ = "read"
    """Whatever only reads."""
    WRITE = "write"
    """What its owner may, but for his log-ins and what hurts."""
