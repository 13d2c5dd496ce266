"""Verbs on secret addresses, which a headscale fetches its owner's ACL from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import undefer

from derpman.acl import documents, usage
from derpman.acl.errors import AddressExists, AddressNotFound
from derpman.acl.forms import FormName
from derpman.acl.models import AclAddress, AclDownload, AclVersion
from derpman.acl.service import NO_GRACE
from derpman.acl.states import AclStatus, Evidence
from derpman.kit.db import changed
from derpman.kit.secrets import new_token, token_hash
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.users import service as users


@dataclass(frozen=True, repr=False)
class Offer:
    """What an address gives out at this moment."""

    address_id: int
    version_id: int
    user_id: int
    username: str
    number: int
    machine: str
    """The machine check code of whoever fetches here: the beginning of the token's digest."""
    etag: str
    body: bytes


def create(work: UnitOfWork) -> AclAddress:
    """Make the actor's secret address; he has one at a time, so that a second one is a leak."""
    user = users.require_active(work, work.actor.user_id or 0)
    if _live(work) is not None:
        raise AddressExists
    token = new_token()
    address = AclAddress(
        user_id=user.id,
        live_user_id=user.id,
        token_hash=token_hash(token),
        token=work.vault.seal(token),
        created_at=work.now,
    )
    work.session.add(address)
    work.session.flush()
    _record(work, "acl.address.create", address)
    return address


def show(work: UnitOfWork) -> AclAddress | None:
    """Return the actor's address, or None."""
    return _live(work)


def revoke(work: UnitOfWork) -> None:
    """Make the actor's address worthless: honoured within one second."""
    address = _live(work)
    if address is None:
        raise AddressNotFound
    revoked = changed(
        work.session,
        update(AclAddress)
        .where(AclAddress.id == address.id, AclAddress.revoked_at.is_(None))
        .values(revoked_at=work.now, live_user_id=None),
    )
    if revoked:
        _record(work, "acl.address.revoke", address)


def path(work: UnitOfWork, address: AclAddress) -> str | None:
    """Return the path of an address, secret and all; None when its key was lost."""
    try:
        return f"/derp/{work.vault.open(address.token)}.json"
    except ValueError:
        return None


def find(
    work: UnitOfWork, *, hashed_tokens: Collection[str], grace: timedelta = NO_GRACE
) -> dict[str, Offer]:
    """Return what addresses give out, by hashed token; not those unknown, revoked, or over."""
    rows = work.session.execute(
        select(
            AclAddress.id,
            AclAddress.token_hash,
            AclAddress.user_id,
            AclVersion.id.label("version_id"),
            AclVersion.number,
            AclVersion.digest,
            AclVersion.document,
        )
        .join(AclVersion, AclVersion.user_id == AclAddress.user_id)
        .where(
            AclAddress.token_hash.in_(hashed_tokens),
            AclAddress.revoked_at.is_(None),
            AclVersion.status == AclStatus.CURRENT,
            AclVersion.expires_at > work.now - grace,
        )
        .order_by(AclVersion.number)
    ).all()
    if not rows:
        return {}
    usernames = users.in_service(work, user_ids=[row.user_id for row in rows])
    return {
        row.token_hash: Offer(
            address_id=row.id,
            version_id=row.version_id,
            user_id=row.user_id,
            username=usernames[row.user_id],
            number=row.number,
            machine=f"address:{row.token_hash[:16]}",
            etag=f'"{row.digest}"',
            body=row.document.encode(),
        )
        for row in rows
        if row.user_id in usernames
    }


def record_fetch(work: UnitOfWork, *, offer: Offer, once_key: str) -> None:
    """Log that an address was asked, unless it was logged under this key; a unique key decides."""
    known = select(AclDownload.id).where(AclDownload.once_key == once_key)
    if work.session.scalar(known) is not None:
        return
    documents.record_download(
        work,
        user_id=offer.user_id,
        username=offer.username,
        number=offer.number,
        form=FormName.HEADSCALE_ADDRESS,
        machine=offer.machine,
        once_key=once_key,
    )
    work.session.execute(
        update(AclAddress).where(AclAddress.id == offer.address_id).values(fetched_at=work.now)
    )
    if not _is_looking(work.actor.user_agent):
        usage.record(
            work, user_id=offer.user_id, version_id=offer.version_id, evidence=Evidence.FETCHED
        )


def _is_looking(user_agent: str) -> bool:
    """Tell whether a person looks at the address: a browser applies nothing to a tailnet."""
    return user_agent.startswith("Mozilla/")


def _live(work: UnitOfWork) -> AclAddress | None:
    return work.session.scalar(
        select(AclAddress)
        .where(AclAddress.live_user_id == work.actor.user_id)
        .options(undefer(AclAddress.token))
    )


def _record(work: UnitOfWork, action: str, address: AclAddress) -> None:
    logs.record(work, action=action, object_type="acl_address", object_id=address.id)
    logs.record_user(work, user_id=address.user_id, action=action)
