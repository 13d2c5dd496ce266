"""10,000 notices, duplicated, late, forged and odd: no wrong credit, no request of ours."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2 as httpx
from sqlalchemy import func, select

from derpman.finance import channels, orders, wallet
from derpman.finance import service as finance
from derpman.finance.models import JournalEntry, Method, Order
from derpman.finance.states import OrderStatus
from derpman.kit.work import UnitOfWork
from tests.drills._drill import Drill, program
from tests.drills._races import Installation
from tests.system.emulators.alipay import AlipayServer, Trade, new_key
from tests.system.emulators.wechatpay import Order as WeChatOrder
from tests.system.emulators.wechatpay import WeChatServer
from tests.system.folders import Folder
from tests.system.services import MariaDB

BUDGET_S = 120
PER_ORDER = 10
STRANGER = new_key()


@dataclass(frozen=True)
class Notice:
    """One notice to be sent; `is_good` ones tell the truth."""

    method: Method
    body: bytes
    headers: dict[str, str]
    is_good: bool
    kind: str


class Scene:
    def __init__(self, drill: Drill, folder: Path) -> None:
        self.drill = drill
        self.alipay = drill.use(AlipayServer())
        self.wechat = drill.use(WeChatServer())
        self.there = Installation(drill.use(MariaDB()).fresh(), folder)
        drill.finally_(self.there.system.engine.dispose)
        self.there.environment |= {
            "DERPMAN_ALIPAY_URL": self.alipay.gateway,
            "DERPMAN_WECHATPAY_URL": self.wechat.url,
        }
        self.there.edge(switch_on, Method.ALIPAY, self.alipay.credentials)
        self.there.edge(switch_on, Method.WECHAT, self.wechat.credentials)

    def place(self, user_id: int, method: Method) -> Order:
        order = self.there.edge(place, user_id, method)
        trade = f"{order.id:028d}"
        if method is Method.ALIPAY:
            amount = f"{order.amount_fen / 100:.2f}"
            self.alipay.trades[order.number] = Trade(order.number, amount, trade, "")
        else:
            self.wechat.orders[order.number] = WeChatOrder(
                order.number, order.amount_fen, "", trade
            )
        return order

    def notices_of(self, order: Order) -> list[Callable[[], Notice]]:
        """Return what makes good notices of an order, and many that are not.

        Each is made when it is sent: one of WeChat's is refused after five minutes.
        """
        kinds = self._alipay(order) if order.method is Method.ALIPAY else self._wechat(order)
        names = [name for name in kinds if name != "good"]
        bad = [kinds[name] for name in self.drill.random.choices(names, k=PER_ORDER - 2)]
        return [kinds["good"], kinds["good"], *bad]

    def _alipay(self, order: Order) -> dict[str, Callable[[], Notice]]:
        def make(kind: str, *, is_good: bool = False, **more: Any) -> Callable[[], Notice]:
            return lambda: self._form(self.alipay.notice(order.number, **more), is_good, kind)

        def changed(kind: str, change: Callable[[bytes], bytes]) -> Callable[[], Notice]:
            return lambda: self._form(change(self.alipay.notice(order.number)), False, kind)

        return {
            "good": make("good", is_good=True),
            "forged": make("forged", key=STRANGER),
            "another channel's key": make("another channel's key", key=self.wechat.own_key),
            "amount": make("amount", total_amount="0.01"),
            "app id": make("app id", app_id="2021000000000009"),
            "seller": make("seller", seller_id="2088000000000009"),
            "old": make("old", notify_time="2020-01-01 00:00:00"),
            "unknown order": make("unknown order", out_trade_no="D20200101000000AAAAAAAAAA"),
            "cut short": changed("cut short", lambda body: body[: len(body) // 2]),
            "twice a field": changed("twice a field", lambda body: body + b"&total_amount=0.01"),
            "not UTF-8": changed("not UTF-8", lambda body: body + b"&x=%ff%fe"),
            "raw bytes": changed("raw bytes", lambda body: b"\xff\xfe\x00" + body),
            "GBK": lambda: self._form(
                urlencode(
                    {"out_trade_no": order.number, "subject": "套餐"}, encoding="gbk"
                ).encode(),
                False,
                "GBK",
            ),
        }

    def _form(self, body: bytes, is_good: bool, kind: str) -> Notice:
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Notice(Method.ALIPAY, body, headers, is_good, kind)

    def _wechat(self, order: Order) -> dict[str, Callable[[], Notice]]:
        def make(kind: str, *, is_good: bool = False, **more: Any) -> Callable[[], Notice]:
            def build() -> Notice:
                body, headers = self.wechat.notice(order.number, **more)
                return self._json(body, headers, is_good, kind)

            return build

        def odd(kind: str, body: bytes) -> Callable[[], Notice]:
            return lambda: self._json(body, self.wechat.signed(b"{}"), False, kind)

        return {
            "good": make("good", is_good=True),
            "forged": make("forged", key=STRANGER),
            "another channel's key": make("another channel's key", key=self.alipay.own_key),
            "amount": make("amount", amount={"total": 1, "currency": "CNY"}),
            "currency": make("currency", amount={"total": order.amount_fen, "currency": "USD"}),
            "app id": make("app id", appid="wx9"),
            "merchant": make("merchant", mchid="1900000009"),
            "old time stamp": make("old time stamp", at=time.time() - 3600),
            "unknown serial": make("unknown serial", serial="5157F09EFDC096DE15EBE81A47057A72"),
            "serial not hex": make("serial not hex", serial="zz-top"),
            "another apiv3 key": make("another apiv3 key", apiv3_key="f" * 32),
            "unknown order": make("unknown order", out_trade_no="D20200101000000AAAAAAAAAA"),
            "no JSON": odd("no JSON", b"<xml></xml>"),
            "not UTF-8": odd("not UTF-8", b"\xff\xfe\x00"),
            "empty": odd("empty", b""),
        }

    def _json(self, body: bytes, headers: dict[str, str], is_good: bool, kind: str) -> Notice:
        headers = {"Content-Type": "application/json", **headers}
        return Notice(Method.WECHAT, body, headers, is_good, kind)


def play(drill: Drill) -> None:
    folder = Folder(Path("/var/tmp/derpman-money"))
    drill.finally_(folder.close)
    scene = Scene(drill, folder.path / "notices")
    there = scene.there
    count = drill.scaled(1000, least=20)
    with drill.step(f"place {count} orders, close a fifth of them"):
        people = list(there.add_people(count))
        methods = (Method.ALIPAY, Method.WECHAT)
        placed = [scene.place(one, methods[number % 2]) for number, one in enumerate(people)]
        closed = set(drill.random.sample(range(count), count // 5))
        for number in closed:
            there.edge(orders.cancel, order_id=placed[number].id)
    notices = [make for order in placed for make in scene.notices_of(order)]
    drill.random.shuffle(notices)
    url, process = there.serve()
    drill.finally_(process.kill)
    answers: Counter[str] = Counter()
    wrong: list[str] = []
    began = time.monotonic()
    with (
        drill.step(f"send {len(notices)} notices"),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        for make in notices:
            notice = make()
            path = f"/api/finance/notify/{notice.method}"
            answer = client.post(path, content=notice.body, headers=notice.headers)
            is_right = (
                answer.status_code < 300 if notice.is_good else 400 <= answer.status_code < 500
            )
            answers[f"{notice.kind}: {answer.status_code}"] += 1
            if not is_right:
                wrong.append(f"{notice.method} {notice.kind}: {answer.status_code} {answer.text}")
    seconds = time.monotonic() - began
    for problem in wrong[:20]:
        drill.say(problem)
    drill.figure("notices", len(notices))
    drill.figure("notices_per_s", round(len(notices) / seconds, 1))
    drill.figure("answers", dict(sorted(answers.items())))
    drill.figure("wrong_answers", len(wrong), equals=0)
    drill.figure("requests_of_ours", len(scene.alipay.asked) + len(scene.wechat.asked), equals=0)
    problems = there.edge.read(judge, [one.id for one in placed], {placed[n].id for n in closed})
    for problem in problems[:20]:
        drill.say(problem)
    drill.figure("wrong_credits", len(problems), equals=0)


def switch_on(work: UnitOfWork, method: Method, credentials: dict[str, str]) -> None:
    channels.set_credentials(
        work, method=method, version=0, is_enabled=True, credentials=credentials
    )


def place(work: UnitOfWork, user_id: int, method: Method) -> Order:
    plan = finance.plan_of_days(work, 30)
    return orders.place(work, user_id=user_id, request_key="drill", method=method, plan_id=plan.id)


def judge(work: UnitOfWork, order_ids: list[int], closed: set[int]) -> list[str]:
    """Return what is wrong: an order not paid once, or money that is nobody's."""
    problems: list[str] = []
    for order_id in order_ids:
        order = work.session.get_one(Order, order_id)
        entries = work.session.scalar(
            select(func.count(JournalEntry.id)).where(JournalEntry.order_id == order_id)
        )
        held = wallet.of(work, order.user_id).cash_fen
        wanted = OrderStatus.CANCELLED if order_id in closed else OrderStatus.PAID
        in_wallet = order.amount_fen if order_id in closed else 0
        if (order.status, entries, held) != (wanted, 1, in_wallet):
            problems.append(f"order {order_id}: {order.status}, {entries} entries, {held} held")
    everything = work.session.scalar(select(func.count(JournalEntry.id)))
    if everything != len(order_ids):
        problems.append(f"{everything} entries for {len(order_ids)} orders")
    return problems


if __name__ == "__main__":
    program(play)
