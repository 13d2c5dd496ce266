"""A small model of money, and a machine that does the same at random to it and to the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from sqlalchemy import func, select

from derpman.finance import channels, earning, ledger, orders, settling, wallet
from derpman.finance import service as finance
from derpman.finance.models import (
    Account,
    AccountKind,
    Earning,
    JournalEntry,
    Method,
    Order,
    OrderKind,
    Transfer,
)
from derpman.kit.errors import DomainError
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.serials import service as serials
from derpman.users import service as users
from tests.drills._purses import Purse, Wish

BEGINNING = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
MOST_PENDING = 10
FOREVER = date.max  # so many months pass in a full run that the year 2465 came too soon
KEYS = st.integers(0, 5)
AMOUNTS = st.one_of(st.integers(1, 5000), st.sampled_from([699, 3900, 600]))


class Money(RuleBasedStateMachine):
    """One example: three customers, their orders and serials, against the model."""

    edge: ClassVar[Edge]
    plans: ClassVar[dict[int, tuple[int, int]]]
    """Days to (plan's id, price)."""
    done: ClassVar[int] = 0
    now: ClassVar[datetime] = BEGINNING
    people: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.purses = [Purse(one) for one in self.run(_people, type(self).people, 3)]
        type(self).people += 3
        self.wishes: list[Wish] = []
        self.keys: dict[tuple[int, int], Wish] = {}
        self.codes: dict[str, str] = {}

    def run(self, verb: Any, *args: Any, **named: Any) -> Any:
        at = type(self).now
        return replace(type(self).edge, clock=lambda: at)(verb, *args, **named)

    def outcome(self, verb: Any, *args: Any, **named: Any) -> tuple[str, Any]:
        """Return what came of it: `ok` or the code of the refusal."""
        type(self).done += 1
        try:
            return "ok", self.run(verb, *args, **named)
        except DomainError as refused:
            return refused.code, None

    @property
    def day(self) -> int:
        return (type(self).now + timedelta(hours=8)).date().toordinal()

    # orders

    @rule(
        who=st.integers(0, 2),
        key=KEYS,
        days=st.sampled_from([3, 5, 30, 180]),
        at_once=st.booleans(),
    )
    def order(self, who: int, key: int, days: int, at_once: bool) -> None:
        purse, (plan_id, price) = self.purses[who], self.plans[days]
        known = self.keys.get((who, key))
        method = Method.WALLET if at_once else Method.ALIPAY_TRANSFER
        came, placed = self.outcome(
            orders.place,
            user_id=purse.user_id,
            request_key=f"key-{purse.user_id}-{key}",
            method=method,
            plan_id=plan_id,
        )
        if known is not None:
            same = not known.is_top_up and known.days == days
            assert came == ("ok" if same else "finance.key_used")
            assert not same or placed.id == known.id
            return
        if self._pending(purse) >= MOST_PENDING:
            assert came == "finance.too_many_orders"
            return
        if at_once and purse.cash + purse.bonus < price:
            assert came == "finance.not_enough_money"
            return
        assert came == "ok"
        wish = self._wish(placed.id, purse, price, days, is_top_up=False)
        self.keys[who, key] = wish
        if at_once:
            self._pay_by_wallet(wish)

    def _wish(self, number: int, purse: Purse, amount: int, days: int, *, is_top_up: bool) -> Wish:
        closes_at = type(self).now + timedelta(hours=24)
        wish = Wish(number, purse, is_top_up, amount, days, closes_at)
        self.wishes.append(wish)
        return wish

    def _pending(self, purse: Purse) -> int:
        return sum(one.purse is purse and one.status == "pending" for one in self.wishes)

    def _pay_by_wallet(self, wish: Wish) -> None:
        wish.bonus = min(wish.purse.bonus, wish.amount)
        wish.purse.bonus -= wish.bonus
        wish.purse.cash -= wish.amount - wish.bonus
        wish.status = "paid"

    @rule(who=st.integers(0, 2), key=st.integers(10, 15), fen=st.integers(50, 20_000))
    def top_up(self, who: int, key: int, fen: int) -> None:
        purse = self.purses[who]
        known = self.keys.get((who, key))
        came, placed = self.outcome(
            orders.place,
            user_id=purse.user_id,
            request_key=f"key-{purse.user_id}-{key}",
            method=Method.ALIPAY_TRANSFER,
            kind=OrderKind.TOP_UP,
            amount_fen=fen,
        )
        if known is not None:
            assert came == ("ok" if known.amount == fen else "finance.key_used")
        elif self._pending(purse) >= MOST_PENDING:
            assert came == "finance.too_many_orders"
        elif fen < 100:
            assert came == "finance.amount_refused"
        else:
            assert came == "ok"
            self.keys[who, key] = self._wish(placed.id, purse, fen, 0, is_top_up=True)

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def pay_by_wallet(self, data: st.DataObject) -> None:
        wish = self._any(data)
        came, _ = self.outcome(orders.pay, order_id=wish.id, method=Method.WALLET)
        if wish.status != "pending":
            assert came == "finance.order_not_payable"
        elif wish.is_top_up:
            assert came == "finance.method_not_offered"
        elif wish.purse.cash + wish.purse.bonus < wish.amount:
            assert came == "finance.not_enough_money"
        else:
            assert came == "ok"
            self._pay_by_wallet(wish)

    @precondition(lambda self: self.wishes)
    @rule(data=st.data(), key=st.integers(0, 2))
    def money_comes(self, data: st.DataObject, key: int) -> None:
        wish = self._any(data)
        name = f"trade:{wish.id}:{key}"
        came, is_new = self.outcome(
            settling.receive, order_id=wish.id, account=AccountKind.ALIPAY, key=name, note="x"
        )
        assert (came, is_new) == ("ok", name not in wish.keys)
        if name in wish.keys:
            return
        wish.keys.add(name)
        if wish.status == "pending" and not wish.is_top_up:
            wish.status = "paid"
        else:
            wish.purse.cash += wish.amount
            wish.status = "completed" if wish.status == "pending" else wish.status

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        wish = self._any(data)
        came, _ = self.outcome(orders.cancel, order_id=wish.id)
        assert came == ("ok" if wish.status == "pending" else "state.illegal")
        wish.status = "cancelled" if wish.status == "pending" else wish.status

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        wish = self._any(data)
        assert self.outcome(orders.expire, order_id=wish.id)[0] == "ok"
        if wish.status == "pending" and wish.closes_at <= type(self).now:
            wish.status = "expired"

    @precondition(lambda self: self.wishes)
    @rule(data=st.data(), action=st.sampled_from(["complete", "renew"]))
    def deliver(self, data: st.DataObject, action: str) -> None:
        wish = self._any(data)
        came, _ = self.outcome(settling.deliver, order_id=wish.id, action=action)
        assert came == ("ok" if wish.status == "paid" else "state.illegal")
        if wish.status == "paid":
            wish.status = "completed" if action == "complete" else "renewed"
            if wish.left:
                wish.parts.append((wish.left, self.day, wish.days, wish.days))

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        wish = self._any(data)
        came, _ = self.outcome(settling.give_up, order_id=wish.id, reason="drill")
        assert came == ("ok" if wish.status == "paid" else "state.illegal")
        if wish.status == "paid":
            self._back(wish, wish.left)

    @precondition(lambda self: self.wishes)
    @rule(data=st.data(), key=st.integers(0, 2), fen=st.one_of(st.none(), AMOUNTS))
    def refund(self, data: st.DataObject, key: int, fen: int | None) -> None:
        wish = self._any(data)
        name = f"refund:{key}"
        came, _ = self.outcome(
            settling.refund, order_id=wish.id, fen=fen, reason="drill", request_key=name
        )
        if name in wish.keys:
            assert came == "ok"
        elif wish.is_top_up or wish.status not in {"paid", "completed", "renewed"}:
            assert came == "state.illegal"
        elif not 0 < (wish.left if fen is None else fen) <= wish.left:
            assert came == "finance.too_much_refunded"
        else:
            assert came == "ok"
            wish.keys.add(name)
            self._back(wish, wish.left if fen is None else fen)

    def _back(self, wish: Wish, fen: int) -> None:
        in_cash = min(fen, max(0, wish.amount - wish.bonus - wish.refunded))
        wish.purse.cash += in_cash
        wish.purse.bonus += fen - in_cash
        wish.refunded += fen
        wish.status = "refunded" if wish.refunded == wish.amount else wish.status
        for number, (amount, first, days, lasts) in enumerate(wish.parts):
            passed = max(0, self.day - first)
            if fen == 0 or passed >= lasts:
                continue
            unearned = amount - amount * passed // days
            taken = min(fen, unearned)
            if taken == 0:
                continue
            wish.parts[number] = (amount, first, days, passed)
            if unearned > taken:
                rest = (unearned - taken, first + passed, days - passed, days - passed)
                wish.parts.append(rest)
            fen -= taken

    def _any(self, data: st.DataObject) -> Wish:
        return self.wishes[data.draw(st.integers(0, len(self.wishes) - 1))]

    # gifts, serials, time

    @rule(who=st.integers(0, 2), key=KEYS, fen=AMOUNTS)
    def compensate(self, who: int, key: int, fen: int) -> None:
        purse = self.purses[who]
        came, entry = self.outcome(
            wallet.compensate, user_id=purse.user_id, fen=fen, reason="drill", request_key=str(key)
        )
        assert came == "ok"
        if key not in purse.gifts:
            purse.gifts[key], purse.gift_fen[key] = entry.id, fen
            purse.bonus += fen
        assert entry.id == purse.gifts[key]

    @precondition(lambda self: any(one.gifts for one in self.purses))
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        purse = data.draw(st.sampled_from([one for one in self.purses if one.gifts]))
        key = data.draw(st.sampled_from(sorted(purse.gifts)))
        came, _ = self.outcome(ledger.reverse, entry_id=purse.gifts[key], reason="drill")
        if key in purse.taken_back:
            assert came == "finance.already_booked"
        elif purse.bonus < purse.gift_fen[key]:
            assert came == "finance.not_enough_money"
        else:
            assert came == "ok"
            purse.taken_back.add(key)
            purse.bonus -= purse.gift_fen[key]

    @rule(days=st.sampled_from([3, 30]))
    def make_serial(self, days: int) -> None:
        came, made = self.outcome(serials.generate, duration_days=days)
        assert came == "ok"
        self.codes[made[0].code] = "unused"

    @precondition(lambda self: self.codes)
    @rule(data=st.data(), who=st.integers(0, 2))
    def use_serial(self, data: st.DataObject, who: int) -> None:
        code = data.draw(st.sampled_from(sorted(self.codes)))
        came, _ = self.outcome(serials.redeem, code=code, user_id=self.purses[who].user_id)
        assert (came == "ok") == (self.codes[code] == "unused")
        self.codes[code] = "used"

    @rule(hours=st.integers(1, 60))
    def time_passes(self, hours: int) -> None:
        type(self).now += timedelta(hours=hours)
        came, _ = self.outcome(earning.book_days)
        assert came == "ok"
        # Serials of this example might expire, and are none of money's business.
        self.codes = {} if hours > 50 else self.codes

    # what must hold

    def teardown(self) -> None:
        for purse in self.purses:
            held = self.run(wallet.of, purse.user_id)
            assert (held.cash_fen, held.bonus_fen) == (purse.cash, purse.bonus), "a wallet differs"
        self.run(self._check)

    def _check(self, work: UnitOfWork) -> None:
        ids = [purse.user_id for purse in self.purses]
        accounts = work.session.execute(
            select(Account.id, Account.balance_fen).where(Account.user_id.in_(ids))
        ).all()
        sums = ledger.derived(work, [row.id for row in accounts])
        assert all(row.balance_fen == sums[row.id] >= 0 for row in accounts), "a cache differs"
        for wish in self.wishes:
            order = work.session.get_one(Order, wish.id, populate_existing=True)
            assert (order.status, order.refunded_fen) == (wish.status, wish.refunded)
            rows = list(work.session.scalars(select(Earning).where(Earning.order_id == wish.id)))
            earned = sum(amount * lasts // days for amount, _, days, lasts in wish.parts)
            assert earning.earned_until(rows, FOREVER) == earned, "what is earned differs"
            waiting = wish.left if wish.status == "paid" else 0
            assert deferred_of(work, wish.id) == earned + waiting, "deferred money differs"


def deferred_of(work: UnitOfWork, order_id: int) -> int:
    """Return what an order's own entries left in deferred revenue."""
    deferred = select(Account.id).where(Account.kind == AccountKind.DEFERRED).scalar_subquery()
    total = 0
    for column, sign in ((Transfer.credit_id, 1), (Transfer.debit_id, -1)):
        amount = work.session.scalar(
            select(func.sum(Transfer.amount_fen))
            .join(JournalEntry, JournalEntry.id == Transfer.entry_id)
            .where(JournalEntry.order_id == order_id, column == deferred)
        )
        total += sign * int(amount or 0)
    return total


def _people(work: UnitOfWork, first: int, count: int) -> list[int]:
    return [
        users.create(
            work,
            username=f"person{first + number}",
            email=f"person{first + number}@example.com",
            password_hash="-",
            role=Role.USER,
            locale="en",
        ).id
        for number in range(count)
    ]


def prepare(work: UnitOfWork) -> dict[int, tuple[int, int]]:
    """Switch transfers on; return plans by their days, one at an awkward price."""
    channels.set_account(
        work,
        method=Method.ALIPAY_TRANSFER,
        version=0,
        is_enabled=True,
        account="shop@example.com",
        account_name="Shop",
        qr_text=None,
    )
    awkward = finance.plan_of_days(work, 5)
    finance.update_plan(work, plan_id=awkward.id, version=awkward.version, price_fen=699)
    return {plan.duration_days: (plan.id, plan.price_fen) for plan in finance.plans(work)}
