"""Ways of paying that are switched on, money in wallets, and what the ledger must always say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from derpman.finance import channels, ledger, orders, service, settling
from derpman.finance.models import Account, AccountKind, Method, Order, OrderKind
from derpman.kit.work import Edge, UnitOfWork
from tests.conftest import Person

Buy = Callable[..., Order]
Fill = Callable[..., None]


def accounts_agree(work: UnitOfWork) -> None:
    """Every kept balance is the sum of its transfers, and all accounts together hold nothing."""
    accounts = list(work.session.scalars(select(Account)))
    sums = ledger.derived(work, [one.id for one in accounts])
    assert sum(sums.values()) == 0
    for account in accounts:
        assert account.balance_fen == (sums[account.id] if account.kind in ledger.OWNED else 0)


@pytest.fixture
def balances(edge: Edge) -> Callable[[], dict[str, int]]:
    """Return what every account holds, by its kind and owner: `cash:7`; zeros are left out."""

    def read(work: UnitOfWork) -> dict[str, int]:
        accounts_agree(work)
        accounts = list(work.session.scalars(select(Account)))
        sums = ledger.derived(work, [one.id for one in accounts])
        return {
            f"{one.kind}:{one.user_id}" if one.user_id else str(one.kind): sums[one.id]
            for one in accounts
            if sums[one.id]
        }

    return lambda: edge.read(read)


@pytest.fixture
def transfers_on(edge: Edge) -> None:
    edge(
        channels.set_account,
        method=Method.ALIPAY_TRANSFER,
        version=0,
        is_enabled=True,
        account="shop@example.com",
        account_name="Shop",
        qr_text="https://qr.example/abc",
    )


@pytest.fixture
def fill(edge: Edge, transfers_on: None) -> Fill:
    """Put money into somebody's wallet, as a top-up by transfer."""
    count = 0

    def run(person: Person, fen: int) -> None:
        nonlocal count
        count += 1
        order = edge(
            orders.place,
            user_id=person.id,
            request_key=f"fill-{count}",
            method=Method.ALIPAY_TRANSFER,
            kind=OrderKind.TOP_UP,
            amount_fen=fen,
        )
        edge(
            settling.receive,
            order_id=order.id,
            account=AccountKind.MANUAL,
            key=f"test:{order.id}",
            note="test",
        )

    return run


@pytest.fixture
def buy(edge_of: Callable[..., Edge], edge: Edge) -> Buy:
    """Order a plan as somebody himself."""
    count = 0

    def run(
        person: Person, method: Method = Method.WALLET, *, days: int = 30, key: str = ""
    ) -> Order:
        nonlocal count
        count += 1
        return edge_of(person.actor)(
            orders.place,
            user_id=person.id,
            request_key=key or f"buy-{count}",
            method=method,
            plan_id=edge.read(service.plan_of_days, days).id,
        )

    return run
