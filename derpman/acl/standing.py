"""How a customer's versions stand, as pages show it: what is applied, what works beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from derpman.acl import overlap, usage
from derpman.acl.models import AclUsage
from derpman.acl.schemas import AppliedPart, FormerPart, RelayPart, UsagePart
from derpman.acl.service import NO_GRACE, ends_at
from derpman.kit.work import UnitOfWork
from derpman.users import service as users


def applied(work: UnitOfWork, *, user_id: int) -> AppliedPart | None:
    """Return which version a user's tailnet has applied, or None when nothing is known."""
    known = usage.of(work, user_id=user_id)
    if known is None:
        return None
    return _applied(known, usage.numbers(work, [known.version_id]))


def _applied(known: AclUsage, numbers: dict[int, int]) -> AppliedPart | None:
    if known.version_id is None or known.evidence is None or known.since is None:
        return None
    return AppliedPart(
        version=numbers[known.version_id], evidence=known.evidence, since=known.since
    )


def former(work: UnitOfWork, *, user_id: int, grace: timedelta = NO_GRACE) -> list[FormerPart]:
    """Return the versions before the one in force that still work, with relays of their own."""
    found = overlap.of(work, user_id=user_id)
    if found is None:
        return []
    return [
        FormerPart(
            version=version.number,
            ends_at=ends_at(version, grace),
            relays=[RelayPart.model_validate(one) for one in relays],
        )
        for version in found.former
        if (relays := found.names(version))
    ]


def usages(work: UnitOfWork, found: Sequence[AclUsage]) -> list[UsagePart]:
    """Return what is known of tailnets, for staff."""
    numbers = usage.numbers(
        work, [id_ for one in found for id_ in (one.version_id, one.current_id)]
    )
    usernames = users.names_of(work, user_ids=[one.user_id for one in found])
    return [
        UsagePart(
            user_id=one.user_id,
            username=usernames.get(one.user_id, ""),
            current_version=numbers[one.current_id],
            applied=_applied(one, numbers),
            on_new_since=one.on_new_since,
            off_old_since=one.off_old_since,
        )
        for one in found
    ]
