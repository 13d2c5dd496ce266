"""A distributor with a class, and customers of his."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from derpman.distribution import purchasing, terms
from derpman.distribution.states import Level
from derpman.finance import service as finance
from derpman.finance.models import Method, Order
from derpman.kit.work import Edge
from derpman.serials import service as serials
from tests.conftest import Person
from tests.finance.conftest import balances, buy, fill, transfers_on

__all__ = ["balances", "buy", "fill", "transfers_on"]

Grade = Callable[..., None]
Purchase = Callable[..., Order]


@pytest.fixture
def grade(edge: Edge) -> Grade:
    """Give a distributor a class, credit and rights."""

    def run(person: Person, level: Level = Level.PLATINUM, **more: Any) -> None:
        shown = edge.read(terms.of, user_id=person.id)
        facts: dict[str, Any] = {"may_generate": False, "credit_limit_fen": 0, **more}
        edge(terms.set_terms, user_id=person.id, level=level, version=shown.version, **facts)

    return run


@pytest.fixture
def purchase(edge_of: Callable[..., Edge], edge: Edge) -> Purchase:
    """Order serials as a distributor himself."""
    count = 0

    def run(
        person: Person, method: Method | None = Method.WALLET, *, quantity: int = 1, days: int = 30
    ) -> Order:
        nonlocal count
        count += 1
        return edge_of(person.actor)(
            purchasing.place,
            user_id=person.id,
            plan_id=edge.read(finance.plan_of_days, days).id,
            quantity=quantity,
            request_key=f"purchase-{count}",
            method=method,
        )

    return run


@pytest.fixture
def redeem(edge_of: Callable[..., Edge]) -> Callable[[Person, str], None]:
    """Spend a serial as its customer."""

    def run(person: Person, code: str) -> None:
        edge_of(person.actor)(serials.redeem, code=code, user_id=person.id)

    return run
