"""Both gateways against emulators that sign and encrypt as the real ones do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from derpman.alerts.models import SystemAlert
from derpman.finance import asking, channels, orders, payments, wallet
from derpman.finance.gateways import Addresses, gateway_of
from derpman.finance.models import Method, Order, Payment, PaymentNotice
from derpman.finance.states import OrderStatus, PaymentStatus
from derpman.kit.errors import DomainError, PermanentFailure
from derpman.kit.work import Edge, UnitOfWork
from tests.conftest import MovableClock, Person
from tests.finance.conftest import Buy
from tests.system.emulators.alipay import AlipayServer, new_key
from tests.system.emulators.api_server import Fault, Reply
from tests.system.emulators.wechatpay import WeChatServer

PRICE = 3900
Balances = Callable[[], dict[str, int]]
STRANGER = new_key()


@pytest.fixture(scope="module")
def alipay_server() -> Iterator[AlipayServer]:
    with AlipayServer() as server:
        yield server


@pytest.fixture(scope="module")
def wechat_server() -> Iterator[WeChatServer]:
    with WeChatServer() as server:
        yield server


@pytest.fixture
def alipay(alipay_server: AlipayServer, edge: Edge) -> AlipayServer:
    return set_up(alipay_server, edge, Method.ALIPAY)


@pytest.fixture
def wechat(wechat_server: WeChatServer, edge: Edge) -> WeChatServer:
    return set_up(wechat_server, edge, Method.WECHAT)


def set_up(server: Any, edge: Edge, method: Method) -> Any:
    server.asked.clear()
    server.faults.clear()
    edge(
        channels.set_credentials,
        method=method,
        version=0,
        is_enabled=True,
        credentials=server.credentials,
    )
    return server


@pytest.fixture
def addresses(alipay_server: AlipayServer, wechat_server: WeChatServer) -> Addresses:
    return Addresses(alipay_server.gateway, wechat_server.url, "https://derp.example")


def begun(edge: Edge, addresses: Addresses, order: Order) -> int:
    payment = edge.read(orders.payment_of, order.id, order.method)
    assert payment is not None
    qr_text = asking.begin(edge, addresses, payment_id=payment.id)
    edge(asking.record_begun, payment_id=payment.id, qr_text=qr_text)
    return payment.id


def status_of(edge: Edge, order: Order) -> OrderStatus:
    return edge.read(orders.get, order.id).status


def notices(edge: Edge) -> list[str]:
    found = select(PaymentNotice.verdict).order_by(PaymentNotice.id)
    return edge.read(lambda work: list(work.session.scalars(found)))


def payment(edge: Edge, payment_id: int) -> Payment:
    return edge.read(lambda work: work.session.get_one(Payment, payment_id))


def test_alipay_gives_a_qr_code_and_a_page(
    alipay: AlipayServer, addresses: Addresses, edge: Edge, carl: Person, buy: Buy
):
    order = buy(carl, Method.ALIPAY)
    payment_id = begun(edge, addresses, order)
    assert (payment(edge, payment_id).qr_text or "").startswith("https://qr.alipay.com/")
    trade = alipay.trades[order.number]
    assert (trade.amount, trade.notify_url) == (
        "39.00",
        "https://derp.example/api/finance/notify/alipay",
    )
    before = len(alipay.asked)
    url = asking.page_of(edge, addresses, payment_id=payment_id, return_url="https://derp.example")
    assert url is not None
    assert url.startswith(f"{alipay.gateway}?")
    assert len(alipay.asked) == before, "a page's address asks nobody"


def test_wechat_gives_a_qr_code(
    wechat: WeChatServer, addresses: Addresses, edge: Edge, carl: Person, buy: Buy
):
    order = buy(carl, Method.WECHAT)
    payment_id = begun(edge, addresses, order)
    assert (payment(edge, payment_id).qr_text or "").startswith("weixin://")
    assert wechat.orders[order.number].total == PRICE
    assert asking.page_of(edge, addresses, payment_id=payment_id, return_url="x") is None


@pytest.mark.parametrize("method", [Method.ALIPAY, Method.WECHAT])
def test_a_question_finds_a_payment_of_which_no_notice_came(
    alipay: AlipayServer,
    wechat: WeChatServer,
    addresses: Addresses,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
    balances: Balances,
    method: Method,
):
    order = buy(carl, method)
    payment_id = begun(edge, addresses, order)
    assert asking.ask_due(edge, addresses) == 0
    clock.advance(seconds=15)
    assert asking.ask_due(edge, addresses) == 1
    assert status_of(edge, order) is OrderStatus.PENDING
    assert asking.ask_due(edge, addresses) == 0
    server = alipay if method is Method.ALIPAY else wechat
    server.pay(order.number)
    clock.advance(seconds=30)
    assert asking.ask_due(edge, addresses) == 1
    assert status_of(edge, order) is OrderStatus.PAID
    assert payment(edge, payment_id).status is PaymentStatus.SUCCEEDED
    assert balances() == {str(method): -PRICE, "deferred": PRICE}
    clock.advance(days=2)
    assert asking.ask_due(edge, addresses) == 0


@pytest.mark.parametrize("method", [Method.ALIPAY, Method.WECHAT])
def test_an_unpaid_order_is_asked_about_a_last_time_and_closed_at_the_gateway(
    alipay: AlipayServer,
    wechat: WeChatServer,
    addresses: Addresses,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
    method: Method,
):
    server: Any = alipay if method is Method.ALIPAY else wechat
    paid_at_last, unpaid = buy(carl, method), buy(carl, method)
    for order in (paid_at_last, unpaid):
        begun(edge, addresses, order)
    clock.advance(minutes=30)
    server.pay(paid_at_last.number)
    assert asking.expire_due(edge, addresses) == 2
    assert status_of(edge, paid_at_last) is OrderStatus.PAID
    assert status_of(edge, unpaid) is OrderStatus.EXPIRED
    if method is Method.ALIPAY:
        alipay.trades[unpaid.number].status = "WAIT_BUYER_PAY"
    asking.close_order(edge, addresses, order_id=unpaid.id)
    closed = (
        alipay.trades[unpaid.number].status
        if method is Method.ALIPAY
        else wechat.orders[unpaid.number].state
    )
    assert closed in {"TRADE_CLOSED", "CLOSED"}


@pytest.mark.parametrize("method", [Method.ALIPAY, Method.WECHAT])
def test_money_that_comes_while_an_order_is_closed_is_found(
    alipay: AlipayServer,
    wechat: WeChatServer,
    addresses: Addresses,
    edge: Edge,
    carl: Person,
    buy: Buy,
    method: Method,
):
    server: Any = alipay if method is Method.ALIPAY else wechat
    order = buy(carl, method)
    begun(edge, addresses, order)
    edge(orders.cancel, order_id=order.id)
    server.pay(order.number)
    asking.close_order(edge, addresses, order_id=order.id)
    assert status_of(edge, order) is OrderStatus.CANCELLED
    assert edge.read(wallet.of, carl.id).cash_fen == PRICE


def test_money_that_came_late_without_a_notice_is_found_a_day_later(
    wechat: WeChatServer,
    addresses: Addresses,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
):
    order = buy(carl, Method.WECHAT)
    begun(edge, addresses, order)
    clock.advance(minutes=30)
    asking.expire_due(edge, addresses)
    for minutes in (6, 70, 24 * 60):
        clock.advance(minutes=minutes)
        if minutes == 70:
            wechat.pay(order.number)
        asking.ask_due(edge, addresses)
    assert edge.read(wallet.of, carl.id).cash_fen == PRICE
    clock.advance(days=3)
    assert asking.ask_due(edge, addresses) == 0, "asked for good, and no more"


@pytest.mark.parametrize("method", [Method.ALIPAY, Method.WECHAT])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(reply=Reply(500, b"oops")),
        Fault(reply=Reply(200, b'{"trade_state": "SUCCESS"}')),
        Fault(reply=Reply(200, b"<html>")),
        Fault(is_cut=True),
        Fault(garbage=b"\x00\xff\x00"),
    ],
)
def test_a_gateway_that_fails_changes_nothing(
    alipay: AlipayServer,
    wechat: WeChatServer,
    addresses: Addresses,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
    method: Method,
    fault: Fault,
):
    order = buy(carl, method)
    payment_id = begun(edge, addresses, order)
    server: Any = alipay if method is Method.ALIPAY else wechat
    server.pay(order.number)
    # The library asks a second time when an answer's key is unknown; that fails alike.
    server.faults += [fault, Fault(**vars(fault))]
    clock.advance(seconds=15)
    asking.ask_due(edge, addresses)
    assert status_of(edge, order) is OrderStatus.PENDING
    assert "no answer" in (payment(edge, payment_id).answer or "") or "says" in (
        payment(edge, payment_id).answer or ""
    )
    server.faults.clear()
    clock.advance(seconds=61)
    asking.ask_due(edge, addresses)
    assert status_of(edge, order) is OrderStatus.PAID


def test_an_answer_that_another_key_signed_is_not_believed(
    alipay: AlipayServer,
    addresses: Addresses,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
):
    order = buy(carl, Method.ALIPAY)
    begun(edge, addresses, order)
    alipay.pay(order.number)
    own, alipay.own_key = alipay.own_key, STRANGER
    try:
        clock.advance(seconds=15)
        asking.ask_due(edge, addresses)
    finally:
        alipay.own_key = own
    assert status_of(edge, order) is OrderStatus.PENDING


def test_what_alipay_refuses_for_good_is_said(
    alipay: AlipayServer, addresses: Addresses, edge: Edge, carl: Person, buy: Buy
):
    order = buy(carl, Method.ALIPAY)
    found = edge.read(orders.payment_of, order.id, Method.ALIPAY)
    assert found is not None
    text = '{"code":"40004","sub_code":"ACQ.TOTAL_FEE_EXCEED","msg":"Business Failed"}'
    from tests.system.emulators.alipay import sign

    body = f'{{"alipay_trade_precreate_response":{text},"sign":"{sign(alipay.own_key, text)}"}}'
    alipay.faults.append(Fault(reply=Reply(200, body.encode())))
    with pytest.raises(PermanentFailure, match="TOTAL_FEE_EXCEED"):
        asking.begin(edge, addresses, payment_id=found.id)
    assert "TOTAL_FEE_EXCEED" in (payment(edge, found.id).answer or "")


@pytest.mark.parametrize("server_of", [AlipayServer, WeChatServer])
@pytest.mark.parametrize("wrong", ["nonsense", "", "-----BEGIN PRIVATE KEY-----\nAAAA"])
def test_credentials_that_cannot_be_used_are_refused(
    addresses: Addresses, server_of: type, wrong: str
):
    server = server_of()
    method = Method.ALIPAY if server_of is AlipayServer else Method.WECHAT
    gateway_of(method, server.credentials, addresses)
    for name in server.credentials:
        if "key" in name and not name.endswith("_id"):
            with pytest.raises(DomainError):
                gateway_of(method, {**server.credentials, name: wrong}, addresses)


def test_ones_own_key_is_not_taken_for_alipays(addresses: Addresses):
    server = AlipayServer()
    server.own_key = server.merchant_key
    with pytest.raises(DomainError) as refused:
        gateway_of(Method.ALIPAY, server.credentials, addresses)
    assert "not Alipay's" in str(refused.value.params)


def post_alipay(client: TestClient, body: bytes) -> int:
    answer = client.post(
        "/api/finance/notify/alipay",
        content=body,
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
    if answer.status_code == 200:
        assert answer.text == "success"
    return answer.status_code


def post_wechat(client: TestClient, notice: tuple[bytes, dict[str, str]]) -> int:
    return client.post(
        "/api/finance/notify/wechat",
        content=notice[0],
        headers={"Content-Type": "application/json", **notice[1]},
    ).status_code


def test_alipay_notices_count_once(
    alipay: AlipayServer,
    addresses: Addresses,
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
    balances: Balances,
):
    order = buy(carl, Method.ALIPAY)
    begun(edge, addresses, order)
    body = alipay.notice(order.number, now=clock.now)
    assert [post_alipay(client, body) for _ in range(3)] == [200, 200, 200]
    assert status_of(edge, order) is OrderStatus.PAID
    assert balances() == {"alipay": -PRICE, "deferred": PRICE}
    assert notices(edge) == ["accepted", "duplicate", "duplicate"]


@pytest.mark.parametrize(
    "changed",
    [
        {"app_id": "2021000000000009"},
        {"seller_id": "2088000000000009"},
        {"total_amount": "38.99"},
        {"total_amount": "39"},
        {"total_amount": "39.000"},
        {"total_amount": "3.9e1"},
        {"total_amount": "+39.00"},
        {"total_amount": "٣٩.00"},
        {"settle_currency": "USD"},
        {"out_trade_no": "D20260301160000ZZZZZZZZZZ"},
        {"out_trade_no": ""},
        {"notify_time": "2026-02-20 08:00:00"},
        {"notify_time": "soon"},
    ],
)
def test_genuine_alipay_notices_that_do_not_fit_are_refused(
    alipay: AlipayServer,
    addresses: Addresses,
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
    balances: Balances,
    changed: dict[str, str],
):
    order = buy(carl, Method.ALIPAY)
    begun(edge, addresses, order)
    assert (
        post_alipay(client, alipay.notice(order.number, now=clock.now, key=None, **changed)) == 422
    )
    assert status_of(edge, order) is OrderStatus.PENDING
    assert balances() == {}


def test_another_amount_is_an_alert(
    wechat: WeChatServer,
    addresses: Addresses,
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
):
    order = buy(carl, Method.WECHAT)
    begun(edge, addresses, order)
    amount = {"total": 1, "currency": "CNY"}
    notice = wechat.notice(order.number, at=clock.now.timestamp(), amount=amount)
    assert post_wechat(client, notice) == 422
    alerts = edge.read(lambda work: list(work.session.scalars(select(SystemAlert.alert_type))))
    assert alerts == ["payment_amount"]
    assert notices(edge) == ["wrong amount"]


@pytest.mark.parametrize("state", ["WAIT_BUYER_PAY", "TRADE_CLOSED"])
def test_alipay_notices_of_other_states_pay_nothing(
    alipay: AlipayServer,
    addresses: Addresses,
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
    state: str,
):
    order = buy(carl, Method.ALIPAY)
    begun(edge, addresses, order)
    body = alipay.notice(order.number, now=clock.now, trade_status=state)
    assert post_alipay(client, body) == 200
    refund = alipay.notice(order.number, now=clock.now, gmt_refund="2026-03-01 16:00:00")
    assert post_alipay(client, refund) == 200
    assert status_of(edge, order) is OrderStatus.PENDING


def strange_forms(body: bytes) -> list[bytes]:
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    unsigned = {name: value for name, value in fields.items() if name != "sign"}
    return [
        b"",
        b"sign=%ff%fe&out_trade_no=%ff",
        b"\xff\xfe\x00",
        body + b"&total_amount=39.00",
        body[:-10],
        urlencode(unsigned).encode(),
        urlencode({**fields, "sign": "!!!!"}).encode(),
        urlencode({**fields, "sign": fields["sign"][:-4] + "\u4e2d\u6587"}).encode(),
        urlencode({**fields, "sign_type": "RSA"}).encode(),
        urlencode({**unsigned, "sign": fields["sign"], "sign_type": "none"}).encode(),
        urlencode({**fields, "out_biz_no": "x"}).encode(),
        b"&".join(b"f%d=1" % number for number in range(100)),
    ]


def test_forged_alipay_notices_are_refused(
    alipay: AlipayServer,
    addresses: Addresses,
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
):
    order = buy(carl, Method.ALIPAY)
    begun(edge, addresses, order)
    asked = len(alipay.asked)
    good = alipay.notice(order.number, now=clock.now)
    forged = [alipay.notice(order.number, now=clock.now, key=STRANGER), *strange_forms(good)]
    assert {post_alipay(client, body) for body in forged} == {422}
    assert status_of(edge, order) is OrderStatus.PENDING
    assert len(alipay.asked) == asked, "a stranger made us ask somebody"
    assert "refused: signature" in notices(edge)
    assert len(notices(edge)) <= payments.KEPT_STRANGE


def test_wechat_notices_count_once(
    wechat: WeChatServer,
    addresses: Addresses,
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
    balances: Balances,
):
    order = buy(carl, Method.WECHAT)
    begun(edge, addresses, order)
    at = clock.now.timestamp()
    codes = [post_wechat(client, wechat.notice(order.number, at=at)) for _ in range(3)]
    assert codes == [204, 204, 204]
    assert balances() == {"wechat": -PRICE, "deferred": PRICE}
    assert notices(edge) == ["accepted", "duplicate", "duplicate"]


def test_forged_and_strange_wechat_notices_are_refused(
    wechat: WeChatServer,
    addresses: Addresses,
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
):
    order = buy(carl, Method.WECHAT)
    begun(edge, addresses, order)
    asked = len(wechat.asked)
    at = clock.now.timestamp()

    def notice(**changed: Any) -> tuple[bytes, dict[str, str]]:
        options: dict[str, Any] = {"at": at, **changed}
        return wechat.notice(order.number, **options)

    body, headers = notice()
    strange = [
        notice(key=STRANGER),
        notice(at=at - 301),
        notice(at=at + 301),
        notice(serial="5157F09EFDC096DE15EBE81A47057A7232F1B8E1"),
        notice(serial="not hex"),
        notice(serial=""),
        notice(apiv3_key="f" * 32),
        notice(appid="wx9"),
        notice(mchid="1900000009"),
        notice(amount={"total": PRICE, "currency": "USD"}),
        notice(amount={"total": "3900", "currency": "CNY"}),
        notice(amount={"total": 3900.0, "currency": "CNY"}),
        notice(amount={"total": True, "currency": "CNY"}),
        notice(amount={}),
        notice(transaction_id="<script>"),
        notice(out_trade_no="D20260301160000ZZZZZZZZZZ"),
        (body + b" ", headers),
        (b"\xff\xfe", headers),
        (b"", headers),
        (b"[]", wechat.signed(b"[]", at=at)),
        (b'{"resource": 5}', wechat.signed(b'{"resource": 5}', at=at)),
        (body, {}),
        (body, {**headers, "Wechatpay-Signature": "***"}),
        (body, {**headers, "Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"}),
        (body, {**headers, "Wechatpay-Timestamp": "1e9"}),
        (body, {**headers, "Wechatpay-Timestamp": "9" * 30}),
    ]
    codes = [post_wechat(client, one) for one in strange]
    assert set(codes) == {422}, codes
    assert status_of(edge, order) is OrderStatus.PENDING
    assert len(wechat.asked) == asked, "a stranger made us ask somebody"


def test_notices_of_one_channel_do_not_pay_orders_of_another(
    alipay: AlipayServer,
    wechat: WeChatServer,
    addresses: Addresses,
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
):
    order = buy(carl, Method.WECHAT)
    begun(edge, addresses, order)
    assert post_alipay(client, alipay.notice(order.number, now=clock.now)) == 422
    body, headers = wechat.notice(order.number, at=clock.now.timestamp(), key=alipay.own_key)
    assert post_wechat(client, (body, headers)) == 422
    assert status_of(edge, order) is OrderStatus.PENDING


def test_an_order_paid_twice_fills_the_wallet(
    alipay: AlipayServer,
    wechat: WeChatServer,
    addresses: Addresses,
    client: TestClient,
    edge: Edge,
    clock: MovableClock,
    carl: Person,
    buy: Buy,
):
    order = buy(carl, Method.ALIPAY)
    begun(edge, addresses, order)
    order = edge(orders.pay, order_id=order.id, method=Method.WECHAT)
    begun(edge, addresses, order)
    assert post_wechat(client, wechat.notice(order.number, at=clock.now.timestamp())) == 204
    assert post_alipay(client, alipay.notice(order.number, now=clock.now)) == 200
    shown = edge.read(orders.get, order.id)
    assert (shown.status, shown.method) == (OrderStatus.PAID, Method.WECHAT)
    assert edge.read(wallet.of, carl.id).cash_fen == PRICE


def test_without_credentials_a_notice_is_refused(client: TestClient):
    assert post_alipay(client, b"a=b") == 409
    assert post_wechat(client, (b"{}", {})) == 409


def test_a_notice_is_limited_in_size(client: TestClient, alipay: AlipayServer):
    assert post_alipay(client, b"a=" + b"b" * 70_000) == 413


def test_secrets_are_sealed_and_never_shown(
    client: TestClient, edge: Edge, root: Person, alipay_server: AlipayServer
):
    body = {"version": 0, "is_enabled": True, "credentials": alipay_server.credentials}
    answer = client.post("/api/finance/channels/alipay", json=body, headers=root.headers)
    assert answer.status_code == 200, answer.text
    shown = client.get("/api/finance/channels", headers=root.headers)
    for text in (answer.text, shown.text):
        assert "PRIVATE" not in text
    [channel] = shown.json()["channels"]
    assert channel["has_credentials"] is True
    assert channel["notify_url"] == "https://derp.example/api/finance/notify/alipay"

    def stored(work: UnitOfWork) -> str:
        return channels.all_of(work)[0].credentials or ""

    assert "PRIVATE" not in edge.read(stored)
    stale = client.post("/api/finance/channels/alipay", json=body, headers=root.headers)
    assert stale.json()["error"]["code"] == "finance.channel_changed"
    bad = {**body, "version": 1, "credentials": {**alipay_server.credentials, "private_key": "x"}}
    refused = client.post("/api/finance/channels/alipay", json=bad, headers=root.headers)
    assert refused.json()["error"]["code"] == "finance.credentials_refused"
    logs = edge.read(lambda work: json.dumps(channels.credentials_of(work, Method.ALIPAY)))
    assert "PRIVATE" in logs
