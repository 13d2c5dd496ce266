"""Verbs on links: make, replace, choose what they may do, forget; and record how they fare."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import undefer

from derpman.kit.db import changed
from derpman.kit.outgoing import AddressRefused, Outgoing
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.servers import queries as servers
from derpman.tailnets.control import ControlFailure, Trouble
from derpman.tailnets.errors import (
    LinkExists,
    LinkNotFound,
    LinkWrong,
    PushNeedsTailscale,
)
from derpman.tailnets.events import LinkAsked, LinkRefused, LinkRemoved
from derpman.tailnets.headscale import Headscale
from derpman.tailnets.models import AclPush, TailnetLink
from derpman.tailnets.states import (
    LINK_TRANSITIONS,
    PUSH_TRANSITIONS,
    LinkKind,
    LinkStatus,
    PushStatus,
)
from derpman.tailnets.tailscale import DEVICES_SCOPE, OWN_TAILNET, POLICY_SCOPE, Tailscale
from derpman.users import service as users

LIVE_TOPIC = "live.tailnets"
LONGEST_PAUSE = timedelta(hours=1)
FIRST_PAUSE = timedelta(seconds=30)
_TAILNET = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,252}")
_PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class LinkFacts:
    """What a customer says of his control server; no `secret` keeps the one there is."""

    kind: LinkKind
    address: str = ""
    tailnet: str = ""
    client_id: str = ""
    secret: str | None = field(default=None, repr=False)
    wants_push: bool = False
    wants_devices: bool = True
    is_automatic: bool = False


@dataclass(frozen=True)
class Access:
    """All that is needed to speak with a control server: never log it."""

    link_id: int
    user_id: int
    generation: int
    kind: LinkKind
    address: str
    tailnet: str
    client_id: str
    wants_push: bool
    wants_devices: bool
    secret: str | None = field(repr=False)
    """None when it cannot be read any more."""
    forbidden: tuple[str, ...] = ()
    """Addresses of the operator's own servers."""

    @property
    def realm(self) -> str:
        """Return what tells the ids of this control server's devices from those of another."""
        if self.kind is LinkKind.TAILSCALE:
            return ""  # its ids are the only ones of their kind anywhere
        return hashlib.sha256(self.address.encode()).hexdigest()[:8] + ":"

    def connect(self, outgoing: Outgoing, tailscale_url: str) -> Tailscale | Headscale:
        """Return the client of this control server; nothing is sent yet."""
        if self.secret is None:
            raise ControlFailure(Trouble.SECRET_LOST)
        networks = tuple(ipaddress.ip_network(address) for address in self.forbidden)
        guarded = replace(outgoing, forbidden=(*outgoing.forbidden, *networks))
        if self.kind is LinkKind.HEADSCALE:
            return Headscale(guarded, self.address, self.secret, self.tailnet)
        return Tailscale(guarded, tailscale_url, self.client_id, self.secret, self.tailnet)


def test(api: Tailscale | Headscale, access: Access) -> None:
    """Try what the link is to do, without changing anything; raises ControlFailure."""
    if isinstance(api, Headscale):
        api.devices()
        return
    granted = api.log_in()
    if access.wants_push:
        api.require(POLICY_SCOPE, granted)
        api.policy()
    if access.wants_devices:
        api.require(DEVICES_SCOPE, granted)
        api.devices()


def create(work: UnitOfWork, *, facts: LinkFacts, outgoing: Outgoing) -> TailnetLink:
    """Link the actor's tailnet; whether the credential works is found out at once afterwards."""
    user = users.require_active(work, work.actor.user_id or 0)
    if find(work, user_id=user.id) is not None:
        raise LinkExists
    if facts.secret is None:
        raise LinkWrong(field="secret", reason="there is none")
    link = TailnetLink(
        user_id=user.id,
        kind=facts.kind,
        generation=0,
        status=LinkStatus.TESTING,
        failures=0,
        leases=0,
        fruitless=0,
        held_removals=0,
        created_at=work.now,
    )
    _put_credential(work, link, facts, outgoing)
    work.session.add(link)
    work.session.flush()
    _log(work, "acl.link.create", link)
    work.emit(LinkAsked(link_id=link.id, generation=link.generation))
    work.wake(LIVE_TOPIC)
    return link


def change(work: UnitOfWork, *, facts: LinkFacts, outgoing: Outgoing) -> TailnetLink:
    """Put another credential in the place of the actor's, or other wishes; it is tested at once."""
    link = mine(work)
    moved = (facts.kind, facts.address.rstrip("/"), facts.client_id) != (
        link.kind,
        link.address,
        link.client_id,
    )
    if facts.secret is None and moved:  # a secret is not sent where it was not meant to go
        raise LinkWrong(field="secret", reason="another address or client needs its own")
    link.status = next_state(LINK_TRANSITIONS, link.status, "replace")
    link.kind = facts.kind
    _put_credential(work, link, facts, outgoing)
    if moved:
        link.pushed_at, link.pushed_version_id = None, None  # another policy: look before pushing
    work.session.flush()
    _log(work, "acl.link.change", link)
    work.emit(LinkAsked(link_id=link.id, generation=link.generation))
    work.wake(LIVE_TOPIC)
    return link


def retest(work: UnitOfWork) -> TailnetLink:
    """Find out again whether the actor's credential works."""
    link = mine(work)
    work.emit(LinkAsked(link_id=link.id, generation=link.generation))
    return link


def remove(work: UnitOfWork) -> None:
    """Remove the actor's link; what it did stays as it is: registered devices, the policy."""
    link = mine(work)
    _log(work, "acl.link.remove", link)
    forget(work, user_id=link.user_id)


def forget(work: UnitOfWork, *, user_id: int) -> None:
    """Destroy a customer's credential and what was kept of his policy; also without a link."""
    cancelled = next_state(PUSH_TRANSITIONS, PushStatus.QUEUED, "cancel")
    work.session.execute(
        update(AclPush)
        .where(AclPush.user_id == user_id, AclPush.status == PushStatus.QUEUED)
        .values(status=cancelled, open_user_id=None, done_at=work.now)
        .execution_options(synchronize_session=False)
    )
    work.session.execute(
        update(AclPush)
        .where(AclPush.user_id == user_id)
        .values(former=None, diff=None, unregistered=None)
        .execution_options(synchronize_session=False)
    )
    gone = changed(
        work.session,
        delete(TailnetLink)
        .where(TailnetLink.user_id == user_id)
        .execution_options(synchronize_session=False),
    )
    if gone:
        work.emit(LinkRemoved(user_id=user_id))
        work.wake(LIVE_TOPIC)


def find(work: UnitOfWork, *, user_id: int) -> TailnetLink | None:
    """Return a customer's link, without its secret."""
    return work.session.scalar(select(TailnetLink).where(TailnetLink.user_id == user_id))


def mine(work: UnitOfWork) -> TailnetLink:
    """Return the actor's link; LinkNotFound when he has none."""
    link = find(work, user_id=work.actor.user_id or 0)
    if link is None:
        raise LinkNotFound
    return link


def access(work: UnitOfWork, *, link_id: int) -> Access | None:
    """Return what is needed to speak through a link; None when it was removed."""
    link = work.session.get(TailnetLink, link_id, options=[undefer(TailnetLink.secret)])
    if link is None:
        return None
    try:
        secret = work.vault.open(link.secret)
    except ValueError:
        secret = None
    is_ours = link.kind is LinkKind.HEADSCALE
    return Access(
        link_id=link.id,
        user_id=link.user_id,
        generation=link.generation,
        kind=link.kind,
        address=link.address,
        tailnet=link.tailnet,
        client_id=link.client_id,
        wants_push=link.wants_push,
        wants_devices=link.wants_devices,
        secret=secret,
        forbidden=tuple(servers.addresses(work)) if is_ours else (),
    )


def is_refused(link: TailnetLink, scope: str) -> bool:
    """Tell whether the control server refuses what needs a scope; another one may be missing."""
    if link.status is not LinkStatus.REFUSED:
        return False
    if link.error != Trouble.SCOPE_MISSING:
        return True
    return json.loads(link.error_params or "{}").get("scope") == scope


def record_success(work: UnitOfWork, *, link_id: int, generation: int, scope: str = "") -> None:
    """Write down that the control server did what was asked: all of it, or what needs a scope.

    That one scope is there says nothing of another one that was missing.
    """
    link = _of_generation(work, link_id, generation)
    if link is None:
        return
    link.succeeded_at, link.failures, link.paused_until = work.now, 0, None
    if scope and link.error == Trouble.SCOPE_MISSING and not is_refused(link, scope):
        return
    if link.status is not LinkStatus.WORKING:
        link.status = next_state(LINK_TRANSITIONS, link.status, "succeed")
        link.look_at = work.now if link.wants_devices else None
        work.wake(LIVE_TOPIC)
    link.error = link.error_params = link.error_at = None


def record_failure(
    work: UnitOfWork, *, link_id: int, generation: int, failure: ControlFailure
) -> timedelta:
    """Write down why the control server did not do it; return how long to leave it alone."""
    link = _of_generation(work, link_id, generation)
    if link is None:
        return LONGEST_PAUSE
    pause = min(FIRST_PAUSE * 2 ** min(link.failures, 10), LONGEST_PAUSE)
    if failure.wait_seconds is not None:
        pause = max(timedelta(seconds=failure.wait_seconds), FIRST_PAUSE)
        link.paused_until = work.now + pause
    link.failures += 1
    if failure.trouble.startswith("push."):
        return pause  # it is the policy's trouble, not the link's
    before = (link.status, link.error)
    action = "stumble" if failure.is_passing else "refuse"
    link.status = next_state(LINK_TRANSITIONS, link.status, action)
    if failure.is_passing and link.status is LinkStatus.REFUSED:
        return LONGEST_PAUSE
    code, params = failure.trouble.value, json.dumps(failure.params, ensure_ascii=False)
    link.error, link.error_params, link.error_at = code, params, work.now
    if link.status is LinkStatus.REFUSED:
        pause = LONGEST_PAUSE
        if before != (link.status, code):
            work.emit(LinkRefused(user_id=link.user_id, code=code, params=params))
    work.wake(LIVE_TOPIC)
    return pause


def _of_generation(work: UnitOfWork, link_id: int, generation: int) -> TailnetLink | None:
    link = work.session.get(TailnetLink, link_id, populate_existing=True)
    return None if link is None or link.generation != generation else link


def _put_credential(
    work: UnitOfWork, link: TailnetLink, facts: LinkFacts, outgoing: Outgoing
) -> None:
    if facts.kind is LinkKind.HEADSCALE:
        if facts.wants_push:
            raise PushNeedsTailscale
        link.address, link.client_id = _base(facts.address, outgoing), ""
        link.tailnet = facts.tailnet
    else:
        if facts.address:
            raise LinkWrong(field="address", reason="Tailscale has one address for all")
        if not _PRINTABLE.fullmatch(facts.client_id):
            raise LinkWrong(field="client_id", reason="it is empty or has blanks")
        if facts.tailnet not in ("", OWN_TAILNET) and not _TAILNET.fullmatch(facts.tailnet):
            raise LinkWrong(field="tailnet", reason="it is not the name of an organization")
        link.address, link.client_id = "", facts.client_id
        link.tailnet = facts.tailnet or OWN_TAILNET
    if facts.secret is not None:
        if not _PRINTABLE.fullmatch(facts.secret):
            raise LinkWrong(field="secret", reason="it is empty or has blanks")
        link.secret = work.vault.seal(facts.secret)
    link.wants_push, link.wants_devices = facts.wants_push, facts.wants_devices
    link.is_automatic = facts.is_automatic and facts.wants_push
    link.generation += 1
    link.failures, link.fruitless = 0, 0
    link.paused_until = link.error = link.error_params = link.error_at = None
    link.look_at = work.now if facts.wants_devices else None


def _base(address: str, outgoing: Outgoing) -> str:
    address = address.rstrip("/")
    try:
        parts = outgoing.checked(address)
    except AddressRefused as error:
        raise LinkWrong(field="address", reason=str(error)) from None
    if parts.scheme != "https" and not outgoing.allow_private:
        raise LinkWrong(field="address", reason="it must begin with https://")
    if parts.query or parts.fragment or len(address) > 512:
        raise LinkWrong(field="address", reason="it must be without ? and #")
    return address


def _log(work: UnitOfWork, action: str, link: TailnetLink) -> None:
    facts: dict[str, Any] = {
        "kind": link.kind.value,
        "address": link.address,
        "tailnet": link.tailnet,
        "client_id": link.client_id,
        "wants_push": link.wants_push,
        "wants_devices": link.wants_devices,
        "is_automatic": link.is_automatic,
    }
    logs.record(work, action=action, object_type="tailnet_link", object_id=link.id, after=facts)
    logs.record_user(work, user_id=link.user_id, action=action, detail={"kind": link.kind.value})
