"""What an API token reaches."""

from enum import StrEnum


class TokenScope(StrEnum):
    READ = "read"
    """Whatever only reads."""
    WRITE = "write"
    """What its owner may, but for his log-ins and what hurts."""
