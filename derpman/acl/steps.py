"""What reads a customer's policy: up to two seconds of a core, in which no transaction is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from derpman.acl import documents, forms, service
from derpman.acl import lint as linting
from derpman.acl.derpmap import Finding, Slot
from derpman.acl.diff import unified
from derpman.acl.forms import Merged
from derpman.acl.models import AclVersion
from derpman.acl.service import NO_GRACE
from derpman.kit.work import Edge, UnitOfWork


@dataclass(frozen=True)
class MergedPolicy:
    """A customer's policy with the regions of one version in it."""

    version: int
    merged: Merged
    diff: str


def merge(
    run: Edge, *, policy: str, omit_default_regions: bool = False, grace: timedelta = NO_GRACE
) -> MergedPolicy:
    """Return a policy of the actor's with his regions in it; nothing of the policy is kept.

    Raises Unfit when the policy cannot be read or something of his is in the way, and what
    `service.offered` raises.
    """
    version, known = run.read(_offered, grace)
    merged = forms.merge(
        policy,
        documents.slots_of(version),
        known=known,
        omit_default_regions=omit_default_regions,
    )
    shown = unified(policy, merged.text)
    run(documents.record_merge, version=version)
    return MergedPolicy(version.number, merged, shown)


def remove_from(run: Edge, *, policy: str) -> str:
    """Return a policy of the actor's without the regions of any version he ever had."""
    return forms.remove(policy, run.read(documents.known_slots))


def lint(run: Edge, *, text: str) -> list[Finding]:
    """Return what is wrong with a text that the actor pasted; `acl.lint` says what it takes."""
    version, known = run.read(_present)
    slots = () if version is None else documents.slots_of(version)
    return linting.lint(text, slots=slots, known=known)


def _offered(work: UnitOfWork, grace: timedelta) -> tuple[AclVersion, Sequence[Slot]]:
    version = service.offered(work, user_id=work.actor.user_id or 0, grace=grace)
    return version, documents.known_slots(work)


def _present(work: UnitOfWork) -> tuple[AclVersion | None, Sequence[Slot]]:
    version = service.current(work, user_id=work.actor.user_id or 0)
    return version, documents.known_slots(work)
