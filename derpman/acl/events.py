"""What happens to ACLs."""

from dataclasses import dataclass

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class AclReplaced(Event):
    """A version that differs from the one in force took its place."""

    name = "acl.replaced"
    version_id: int
