"""Verbs that hand a customer his ACL, and log it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from derpman.acl import derpmap, forms
from derpman.acl.derpmap import Slot
from derpman.acl.diff import unified
from derpman.acl.forms import Form, FormName
from derpman.acl.models import AclDownload, AclVersion
from derpman.acl.service import NO_GRACE, current, offered
from derpman.kit.browsers import browser_of
from derpman.kit.places import place_of
from derpman.kit.work import UnitOfWork

PIN_SHOWN = 27
"""`sha256-raw:` and sixteen of its digits."""
KNOWN_VERSIONS = 100
"""How many of a customer's versions, the newest first, are looked for in a policy of his."""


def slots_of(version: AclVersion) -> tuple[Slot, ...]:
    """Return the slots that a version was made of."""
    return derpmap.slots_of(json.loads(version.document))


@dataclass(frozen=True)
class Changes:
    """What a version has otherwise than the one before it; a unified diff, empty when nothing."""

    version: int
    since: int
    diff: str


def changes(work: UnitOfWork, *, user_id: int) -> Changes | None:
    """Return what the user's version changed since the last one; None when there is no other."""
    version = current(work, user_id=user_id)
    if version is None:
        return None
    former = work.session.scalar(
        select(AclVersion)
        .where(AclVersion.user_id == user_id, AclVersion.number < version.number)
        .order_by(AclVersion.number.desc())
        .limit(1)
    )
    if former is None:
        return None
    diff = unified(_listing(former), _listing(version))
    return Changes(version=version.number, since=former.number, diff=diff)


def _listing(version: AclVersion) -> str:
    """Write what a customer sees of his relays anyway: this is no download, and not logged as one.

    The pins are cut short.
    """
    return "\n".join(
        line
        for slot in slots_of(version)
        for line in (
            f"region {slot.region_id} {slot.name}",
            f"  host {slot.address}",
            f"  derp {slot.port} stun {slot.stun_port}",
            f"  cert {slot.pin[:PIN_SHOWN]}…",
        )
    )


def download(
    work: UnitOfWork,
    *,
    form: FormName,
    omit_default_regions: bool = False,
    grace: timedelta = NO_GRACE,
) -> Form:
    """Return the actor's ACL in a form, and log that he took it; `offered` says what it refuses.

    `omit_default_regions` counts for Tailscale's policy only: headscale does not read it.
    """
    version = offered(work, user_id=work.actor.user_id or 0, grace=grace)
    slots, number = slots_of(version), str(version.number)
    match form:
        case FormName.SNIPPET:
            made = forms.snippet(
                slots,
                version=number,
                ends_at=version.expires_at,
                omit_default_regions=omit_default_regions,
            )
        case FormName.HEADSCALE_YAML:
            made = forms.headscale_yaml(slots, version=number, ends_at=version.expires_at)
        case FormName.HEADSCALE_JSON:
            made = forms.headscale_json(slots)
        case FormName.POLICY | FormName.HEADSCALE_ADDRESS:
            raise ValueError(f"{form} is no file")
    _record_own(work, version, form)
    return made


def record_merge(work: UnitOfWork, *, version: AclVersion) -> None:
    """Log that the actor took his version merged into a policy."""
    _record_own(work, version, FormName.POLICY)


def known_slots(work: UnitOfWork) -> list[Slot]:
    """Return the slots of all of the actor's versions, ended ones too: what a paste may hold."""
    made = work.session.scalars(
        select(AclVersion.document)
        .where(AclVersion.user_id == work.actor.user_id)
        .order_by(AclVersion.number.desc())
        .limit(KNOWN_VERSIONS)
    )
    return [slot for text in made for slot in derpmap.slots_of(json.loads(text))]


def _record_own(work: UnitOfWork, version: AclVersion, form: FormName) -> None:
    record_download(
        work,
        user_id=version.user_id,
        username=work.actor.name,
        number=version.number,
        form=form,
    )


def record_download(
    work: UnitOfWork,
    *,
    user_id: int,
    username: str,
    number: int,
    form: FormName,
    machine: str | None = None,
    once_key: str | None = None,
) -> None:
    """Log that somebody took a version of a user's: from where, with what, in which form.

    `machine` stands in for what the actor says of his machine.
    """
    browser = browser_of(work.actor.user_agent)
    work.session.add(
        AclDownload(
            user_id=user_id,
            username=username,
            ip_address=work.actor.ip,
            location=place_of(work.actor.ip).label_zh,
            machine_code=machine or work.actor.machine or None,
            browser=browser.name,
            system=browser.system,
            acl_version=str(number),
            form=form,
            created_at=work.now,
            once_key=once_key,
        )
    )
