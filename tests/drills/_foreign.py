"""Things of a customer and of a distributor, for others to ask for."""

from __future__ import annotations

import secrets
from datetime import date, timedelta

from derpman.access.models import ApiToken
from derpman.access.states import TokenScope
from derpman.devices import service as devices
from derpman.devices.models import Knock, Source
from derpman.devices.states import KnockStatus
from derpman.distribution import applications, purchasing
from derpman.distribution.models import Statement
from derpman.finance import channels, orders
from derpman.finance.models import Method, OrderKind
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.tailnets.models import AclPush
from derpman.tailnets.states import PushKind, PushStatus


def offer_transfer(work: UnitOfWork) -> None:
    """Have a way of paying that leaves an order open."""
    channels.set_account(
        work,
        method=Method.ALIPAY_TRANSFER,
        version=0,
        is_enabled=True,
        account="drill@example.com",
        account_name="drill",
        qr_text=None,
    )


def of_customer(work: UnitOfWork, user_id: int) -> dict[str, list[int]]:
    """Give a customer one of each; return their ids by the names of parameters."""
    order = orders.place(
        work,
        user_id=user_id,
        request_key="foreign-order",
        method=Method.ALIPAY_TRANSFER,
        kind=OrderKind.TOP_UP,
        amount_fen=1000,
    )
    push = AclPush(
        user_id=user_id,
        kind=PushKind.PUSH,
        status=PushStatus.DONE,
        generation=1,
        is_automatic=False,
        actor_name="drill",
        attempts=1,
        due_at=work.now,
        created_at=work.now,
        done_at=work.now,
    )
    device = devices.register(
        work,
        user_id=user_id,
        node_key=f"nodekey:{secrets.token_hex(32)}",
        name="drill",
        source=Source.NODE_KEY,
    )
    knock = Knock(
        user_id=user_id,
        node_key=f"nodekey:{secrets.token_hex(32)}",
        ip_address="203.0.113.7",
        location="",
        slot=1,
        count=1,
        status=KnockStatus.WAITING,
        first_at=work.now,
        last_at=work.now,
    )
    token = ApiToken(
        user_id=user_id,
        role=Role.USER,
        name="drill",
        scope=TokenScope.READ,
        token_hash=secrets.token_hex(32),
        created_at=work.now,
        expires_at=work.now + timedelta(days=1),
    )
    work.session.add_all([push, knock, token])
    work.session.flush()
    return {
        "order_id": [order.id],
        "push_id": [push.id],
        "device_id": [device.id],
        "knock_id": [knock.id],
        "token_id": [token.id],
    }


def of_distributor(work: UnitOfWork, user_id: int) -> dict[str, list[int]]:
    """Give a distributor an application, a purchase and a statement; return their ids."""
    asked = applications.apply(work, user_id=user_id, plan_id=1, quantity=1, note=None)
    bought = purchasing.place(
        work,
        user_id=user_id,
        plan_id=1,
        quantity=1,
        request_key="foreign-purchase",
        method=Method.ALIPAY_TRANSFER,
    )
    statement = Statement(
        user_id=user_id,
        month=date(2026, 1, 1),
        opening_fen=0,
        earned_fen=0,
        taken_back_fen=0,
        to_credit_fen=0,
        to_wallet_fen=0,
        closing_fen=0,
        created_at=work.now,
    )
    work.session.add(statement)
    work.session.flush()
    return {
        "application_id": [asked.id],
        "order_id": [bought.id],
        "statement_id": [statement.id],
    }


def make(edge: Edge, *, customer_id: int, distributor_id: int) -> dict[str, list[int]]:
    """Make all of it; return the ids by the names of parameters."""
    edge(offer_transfer)
    found = edge(of_customer, user_id=customer_id)
    for name, ids in edge(of_distributor, user_id=distributor_id).items():
        found.setdefault(name, []).extend(ids)
    return found
