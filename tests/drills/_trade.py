"""The model of money with a distributor in it: purchases, credit, commissions, settlements."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import func, select

from derpman.distribution import commissions, purchasing, settlement, terms
from derpman.distribution.models import Commission
from derpman.distribution.states import Level
from derpman.finance import earning, ledger, orders, purchases, settling, wallet
from derpman.finance.models import AccountKind, Method, Order, OrderKind
from derpman.kit.work import Role, UnitOfWork
from derpman.serials import queries as serial_queries
from derpman.serials import service as serials
from derpman.users import service as users
from tests.drills._money import KEYS, Money
from tests.drills._purses import Purse, Wish

LIMIT_FEN = 9000
RATES = {Level.GOLD: 1000, Level.WHITE_GOLD: 1500, Level.PLATINUM: 2000}
FULFILLED = {"completed", "renewed"}


@dataclass
class Line:
    """A part of a commission, by the model."""

    day: date
    fen: int
    is_settled: bool = False


@dataclass
class Seller:
    """A distributor, by the model."""

    purse: Purse
    owed: int = 0
    carried: int = 0
    """Zero or less."""
    lines: list[Line] = field(default_factory=list[Line])
    classes: list[tuple[datetime, Level]] = field(default_factory=list)
    bought: int = 0

    @property
    def level(self) -> Level:
        return self.classes[-1][1]

    def rate_at(self, instant: datetime) -> int:
        """Return the share that held at an instant."""
        return RATES[[level for at, level in self.classes if at <= instant][-1]]


class Trade(Money):
    """One example: three customers, and a distributor whom they may come to belong to."""

    def __init__(self) -> None:
        super().__init__()
        user_id = self.run(_seller, type(self).people)
        type(self).people += 1
        self.seller = Seller(Purse(user_id), classes=[(type(self).now, Level.GOLD)])
        self.belongs: set[int] = set()
        self.rates: dict[int, int] = {}
        """What each order was booked at first."""

    def _wish(self, number: int, purse: Purse, amount: int, days: int, *, is_top_up: bool) -> Wish:
        wish = super()._wish(number, purse, amount, days, is_top_up=is_top_up)
        wish.earns = not is_top_up and purse.user_id in self.belongs
        return wish

    def _back(self, wish: Wish, fen: int) -> None:
        before = wish.purse.cash
        super()._back(wish, fen)
        if wish.by_credit:
            lowered = min(wish.purse.cash - before, self.seller.owed)
            wish.purse.cash -= lowered
            self.seller.owed -= lowered

    # purchases

    @rule(fen=st.integers(100, 20_000))
    def seller_has_money(self, fen: int) -> None:
        purse = self.seller.purse
        self.seller.bought += 1
        name = f"seller-{purse.user_id}-{self.seller.bought}"
        came, placed = self.outcome(
            orders.place,
            user_id=purse.user_id,
            request_key=name,
            method=Method.ALIPAY_TRANSFER,
            kind=OrderKind.TOP_UP,
            amount_fen=fen,
        )
        assert came == "ok"
        came, _ = self.outcome(
            settling.receive, order_id=placed.id, account=AccountKind.MANUAL, key=name, note="x"
        )
        assert came == "ok"
        purse.cash += fen

    @rule(
        days=st.sampled_from([3, 5, 30]),
        quantity=st.integers(1, 4),
        method=st.sampled_from([Method.WALLET, Method.CREDIT]),
    )
    def buy(self, days: int, quantity: int, method: Method) -> None:
        seller, (plan_id, unit) = self.seller, self.plans[days]
        listed = unit * quantity
        price = listed - listed * RATES[seller.level] // 10_000
        seller.bought += 1
        came, order = self.outcome(
            purchasing.place,
            user_id=seller.purse.user_id,
            plan_id=plan_id,
            quantity=quantity,
            request_key=f"purchase-{seller.purse.user_id}-{seller.bought}",
            method=method,
        )
        if method is Method.WALLET and seller.purse.cash < price:
            assert came == "finance.not_enough_money"
            return
        if method is Method.CREDIT and seller.owed + price > LIMIT_FEN:
            assert came == "finance.credit_used_up"
            return
        assert (came, order.amount_fen) == ("ok", price)
        wish = self._wish(order.id, seller.purse, price, days, is_top_up=False)
        wish.status, wish.by_credit = "completed", method is Method.CREDIT
        wish.parts.append((price, self.day, days, days))
        wish.codes = self.run(serial_queries.codes_of_order, order_id=order.id, limit=10)
        assert len(wish.codes) == quantity
        self.codes.update(dict.fromkeys(wish.codes, "unused"))
        if wish.by_credit:
            seller.owed += price
        else:
            seller.purse.cash -= price

    @rule(fen=st.integers(0, 6000), key=KEYS)
    def repay(self, fen: int, key: int) -> None:
        seller = self.seller
        seller.bought += 1
        came, _ = self.outcome(
            purchases.repay,
            user_id=seller.purse.user_id,
            fen=fen,
            request_key=f"{key}-{seller.bought}",
        )
        if not 0 < fen <= seller.owed:
            assert came == "finance.not_owed"
        elif seller.purse.cash < fen:
            assert came == "finance.not_enough_money"
        else:
            assert came == "ok"
            seller.purse.cash -= fen
            seller.owed -= fen

    @precondition(lambda self: self.codes)
    @rule(data=st.data(), who=st.integers(0, 2))
    def use_serial(self, data: st.DataObject, who: int) -> None:
        code = data.draw(st.sampled_from(sorted(self.codes)))
        was, user_id = self.codes[code], self.purses[who].user_id
        came, _ = self.outcome(serials.redeem, code=code, user_id=user_id)
        assert (came == "ok") == (was == "unused")
        if came == "ok":
            self.codes[code] = "used"
            if any(code in wish.codes for wish in self.wishes):
                self.belongs.add(user_id)

    # commissions

    @rule(level=st.sampled_from(list(Level)))
    def change_class(self, level: Level) -> None:
        came, _ = self.outcome(_grade, self.seller.purse.user_id, level)
        assert came == "ok"
        self.seller.classes.append((type(self).now, level))

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def follow(self, data: st.DataObject) -> None:
        self._follow(self._any(data))

    @precondition(lambda self: any(wish.earns for wish in self.wishes))
    @rule(data=st.data())
    def follow_a_customers(self, data: st.DataObject) -> None:
        self._follow(data.draw(st.sampled_from([wish for wish in self.wishes if wish.earns])))

    def _follow(self, wish: Wish) -> None:
        assert self.outcome(commissions.follow, order_id=wish.id)[0] == "ok"
        if wish.status == "refunded":
            for code in wish.codes:
                if self.codes.get(code) == "unused":
                    self.codes[code] = "revoked"
        if not wish.earns or not (wish.commission or wish.status in FULFILLED):
            return
        rate = self.seller.rate_at(self.run(_paid_at, wish.id))
        if wish.commission:
            rate = self.rates[wish.id]
        self.rates[wish.id] = rate
        due = max(0, wish.amount - wish.bonus - wish.refunded) * rate // 10_000
        missing = due - sum(wish.commission)
        if missing:
            wish.commission.append(missing)
            self.seller.lines.append(Line(date.fromordinal(self.day), missing))

    @rule(days=st.integers(20, 40))
    def a_month_passes(self, days: int) -> None:
        type(self).now += timedelta(days=days)
        assert self.outcome(earning.book_days)[0] == "ok"
        self.codes = {}

    @rule()
    def settle(self) -> None:
        seller = self.seller
        came, made = self.outcome(settlement.settle, user_id=seller.purse.user_id)
        assert came == "ok"
        this = date.fromordinal(self.day).replace(day=1)
        due = [one for one in seller.lines if not one.is_settled and one.day < this]
        months = sorted({one.day.replace(day=1) for one in due})
        assert [one.month for one in made] == months
        for month in months:
            lines = [one for one in due if one.day.replace(day=1) == month]
            net = seller.carried + sum(one.fen for one in lines)
            to_credit = min(max(0, net), seller.owed)
            seller.owed -= to_credit
            seller.purse.cash += max(0, net) - to_credit
            seller.carried = min(0, net)
            for one in lines:
                one.is_settled = True

    # what must hold

    def teardown(self) -> None:
        super().teardown()
        seller = self.seller
        held = self.run(wallet.of, seller.purse.user_id)
        assert held.cash_fen == seller.purse.cash, "a distributor's wallet differs"
        owed = -self.run(ledger.balance, ledger.credit(seller.purse.user_id))
        assert owed == seller.owed, "what a distributor owes differs"
        open_fen = seller.carried + sum(one.fen for one in seller.lines if not one.is_settled)
        payable = self.run(ledger.balance, commissions.payable(seller.purse.user_id))
        assert payable == open_fen, "what a distributor is owed differs"
        booked = self.run(_booked, seller.purse.user_id)
        wanted = {wish.id: sum(wish.commission) for wish in self.wishes if wish.commission}
        assert booked == wanted, "commissions differ"


def _seller(work: UnitOfWork, number: int) -> int:
    user = users.create(
        work,
        username=f"seller{number}",
        email=f"seller{number}@example.com",
        password_hash="-",
        role=Role.DISTRIBUTOR,
        locale="en",
    )
    work.session.flush()
    _grade(work, user.id, Level.GOLD)
    return user.id


def _grade(work: UnitOfWork, user_id: int, level: Level) -> None:
    terms.set_terms(
        work,
        user_id=user_id,
        level=level,
        may_generate=True,
        credit_limit_fen=LIMIT_FEN,
        version=terms.of(work, user_id=user_id).version,
    )


def _paid_at(work: UnitOfWork, order_id: int) -> Any:
    return work.session.get_one(Order, order_id, populate_existing=True).paid_at


def _booked(work: UnitOfWork, user_id: int) -> dict[int, int]:
    rows = work.session.execute(
        select(Commission.order_id, func.sum(Commission.fen))
        .where(Commission.user_id == user_id)
        .group_by(Commission.order_id)
    )
    return {row[0]: int(row[1]) for row in rows}
