"""How customers can pay us: receiving accounts that are shown, and gateways with credentials."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from derpman.finance.errors import ChannelChanged, MethodNotOffered
from derpman.finance.models import GATEWAYS, TRANSFERS, Method, PaymentChannel
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs


def offered(work: UnitOfWork) -> list[Method]:
    """Return the ways of paying that are switched on; the wallet always is."""
    found = work.session.scalars(
        select(PaymentChannel.method)
        .where(PaymentChannel.is_enabled)
        .order_by(PaymentChannel.method)
    )
    return [Method.WALLET, *found]


def require(work: UnitOfWork, method: Method) -> PaymentChannel:
    """Return a channel that is switched on, else raise MethodNotOffered."""
    channel = work.session.get(PaymentChannel, method)
    if channel is None or not channel.is_enabled:
        raise MethodNotOffered
    return channel


def all_of(work: UnitOfWork) -> list[PaymentChannel]:
    """Return every channel that was ever set, for the super admin."""
    return list(work.session.scalars(select(PaymentChannel).order_by(PaymentChannel.method)))


def set_account(
    work: UnitOfWork,
    *,
    method: Method,
    version: int,
    is_enabled: bool,
    account: str,
    account_name: str,
    qr_text: str | None,
) -> PaymentChannel:
    """Set the receiving account that is shown for transfers; `version` 0 is the first time."""
    if method not in TRANSFERS:
        raise MethodNotOffered
    channel = _changed(work, method, version)
    before = _shown(channel)
    channel.is_enabled = is_enabled
    channel.account, channel.account_name, channel.qr_text = account, account_name, qr_text
    return _recorded(work, channel, before)


def set_credentials(
    work: UnitOfWork,
    *,
    method: Method,
    version: int,
    is_enabled: bool,
    credentials: dict[str, Any] | None,
) -> PaymentChannel:
    """Set a gateway's credentials, or keep those it has when None, and switch it on or off.

    Who calls this has tried them.
    """
    if method not in GATEWAYS:
        raise MethodNotOffered
    channel = _changed(work, method, version)
    before = _shown(channel)
    if credentials is not None:
        channel.credentials = work.vault.seal(json.dumps(credentials))
        channel.account = str(credentials.get("app_id", ""))[:128]
    if is_enabled and channel.credentials is None:
        raise MethodNotOffered
    channel.is_enabled = is_enabled
    return _recorded(work, channel, before)


def _changed(work: UnitOfWork, method: Method, version: int) -> PaymentChannel:
    channel = work.session.get(PaymentChannel, method)
    if channel is None:
        channel = PaymentChannel(method=method, is_enabled=False, updated_at=work.now)
        if version:
            raise ChannelChanged
        work.session.add(channel)
    elif channel.version != version:
        raise ChannelChanged
    channel.updated_at = work.now
    return channel


def _shown(channel: PaymentChannel) -> dict[str, Any]:
    return {
        "method": channel.method,
        "is_enabled": channel.is_enabled,
        "account": channel.account,
        "account_name": channel.account_name,
        "qr_text": channel.qr_text,
    }


def _recorded(work: UnitOfWork, channel: PaymentChannel, before: dict[str, Any]) -> PaymentChannel:
    work.session.flush()
    logs.record(
        work,
        action="finance.channel",
        object_type="payment_channel",
        before=before,
        after=_shown(channel),
    )
    return channel


def credentials_of(work: UnitOfWork, method: Method) -> dict[str, Any] | None:
    """Return a gateway's credentials, also when it is switched off: its notices still come."""
    channel = work.session.get(PaymentChannel, method)
    if channel is None or channel.credentials is None:
        return None
    return json.loads(work.vault.open(channel.credentials))
