from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image
from sqlalchemy import select
from starlette.testclient import TestClient

from derpman.finance import orders, receipts, settling, wallet
from derpman.finance.errors import ReceiptRefusedForm, SuperAdminConfirms
from derpman.finance.images import picture_of
from derpman.finance.models import Method, Order, OrderKind, ReceiptImage
from derpman.finance.payments import due_orders
from derpman.finance.states import OrderStatus
from derpman.kit.work import Edge, Role
from tests.conftest import MovableClock, Person, QueuedMail
from tests.finance.conftest import Buy

PRICE = 3900


def picture(size: tuple[int, int] = (300, 400), form: str = "PNG", colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_made_anew(form: str):
    found = picture_of(picture(form=form) + b"<script>alert(1)</script>")
    with Image.open(io.BytesIO(found.data)) as image:
        assert (image.format, image.size) == ("JPEG", (300, 400))
    assert b"script" not in found.data


def test_what_a_picture_carries_along_is_dropped():
    out = io.BytesIO()
    image = Image.new("RGB", (400, 300), "blue")
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "where I live"
    image.save(out, "JPEG", exif=exif)
    found = picture_of(out.getvalue())
    with Image.open(io.BytesIO(found.data)) as kept:
        assert kept.size == (300, 400), "turned upright"
        assert not dict(kept.getexif())


def test_a_large_picture_is_made_smaller():
    found = picture_of(picture((6000, 3000)))
    with Image.open(io.BytesIO(found.data)) as image:
        assert image.size == (2000, 1000)


def test_the_same_picture_in_another_file_is_the_same():
    assert picture_of(picture()).digest == picture_of(picture() + b"tail").digest
    assert picture_of(picture()).digest != picture_of(picture(colour="blue")).digest


def bomb(width: int, height: int) -> bytes:
    """Return a small file that says it is a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "upload",
    [
        b"",
        b"GIF89a" + b"\0" * 100,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"<html>",
        picture((100, 400)),
        picture()[:200],
        picture(form="JPEG")[:300],
        picture(form="WEBP")[:60],
        picture(form="BMP"),
        picture(form="TIFF"),
        bomb(60_000, 60_000),
        bomb(8000, 8000),
        bomb(200, 200),
        b"x" * (8 * 1024 * 1024 + 1),
    ],
    ids=range(15),
)
def test_what_is_no_sane_picture_is_refused(upload: bytes):
    with pytest.raises(ReceiptRefusedForm):
        picture_of(upload)


def upload(
    client: TestClient, person: Person, order: Order, data: bytes | None = None, **form: str
):
    return client.post(
        f"/api/finance/orders/{order.id}/receipt",
        files={"file": ("proof.png", data or picture(), "image/png")},
        data={"method": "alipay_transfer", **form},
        headers=person.headers,
    )


@pytest.fixture
def order(carl: Person, buy: Buy, transfers_on: None) -> Order:
    return buy(carl, Method.ALIPAY_TRANSFER)


def test_the_account_and_its_qr_code_are_shown(client: TestClient, carl: Person, order: Order):
    shown = client.get("/api/finance/methods", headers=carl.headers).json()
    assert shown["methods"] == ["wallet", "alipay_transfer"]
    [account] = shown["accounts"]
    assert (account["account"], account["account_name"]) == ("shop@example.com", "Shop")
    url = f"/api/finance/orders/{order.id}/qr?method=alipay_transfer"
    drawn = client.get(url, headers=carl.headers)
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    assert drawn.text.startswith("<svg xmlns=")
    assert "sandbox" in drawn.headers["content-security-policy"]


def test_a_proof_is_looked_at_and_pays(
    client: TestClient, edge: Edge, carl: Person, root: Person, order: Order
):
    answer = upload(client, carl, order, note="from my wife's account")
    assert answer.status_code == 200, answer.text
    receipt = answer.json()["receipt"]
    assert (receipt["status"], receipt["amount"]) == ("waiting", "39.00")
    queue = client.get("/api/finance/receipts?status=waiting", headers=root.headers).json()
    assert [one["id"] for one in queue["receipts"]] == [receipt["id"]]
    image = client.get(f"/api/finance/receipts/{receipt['id']}/image", headers=root.headers)
    assert image.headers["content-type"] == "image/jpeg"
    assert image.headers["x-content-type-options"] == "nosniff"
    url = f"/api/finance/receipts/{receipt['id']}/confirm"
    assert client.post(url, headers=carl.headers).status_code == 403
    assert client.post(url, headers=root.headers).json()["receipt"]["status"] == "confirmed"
    assert client.post(url, headers=root.headers).json()["error"]["code"] == "state.illegal"
    assert edge.read(orders.get, order.id).status is OrderStatus.PAID


def test_a_refused_proof_is_told_with_its_reason_and_another_may_follow(
    client: TestClient,
    edge: Edge,
    carl: Person,
    root: Person,
    order: Order,
    follow: Callable[..., None],
    mails: Callable[[str], list[QueuedMail]],
):
    receipt_id = upload(client, carl, order).json()["receipt"]["id"]
    waiting = upload(client, carl, order)
    assert waiting.json()["error"]["code"] == "finance.receipt_waiting"
    url = f"/api/finance/receipts/{receipt_id}/refuse"
    assert client.post(url, json={}, headers=root.headers).status_code == 422
    client.post(url, json={"reason": "the amount is missing"}, headers=root.headers)
    follow("finance.tell_refused")
    assert "the amount is missing" in mails(carl.email)[-1].text
    assert edge.read(orders.get, order.id).status is OrderStatus.PENDING
    again = upload(client, carl, order)
    assert again.status_code == 200
    page = client.get("/api/finance/receipts", headers=root.headers).json()["receipts"]
    assert [one["same_picture"] for one in page] == [1, 1]


def test_an_order_whose_proof_waits_is_not_closed(
    client: TestClient, edge: Edge, clock: MovableClock, carl: Person, order: Order
):
    upload(client, carl, order)
    clock.advance(days=5)
    assert edge.read(due_orders, limit=10) == []


def test_a_proof_of_a_cancelled_order_still_fills_the_wallet(
    client: TestClient, edge: Edge, carl: Person, root: Person, order: Order
):
    receipt_id = upload(client, carl, order).json()["receipt"]["id"]
    edge(orders.cancel, order_id=order.id)
    edge(receipts.confirm, receipt_id=receipt_id)
    assert edge.read(wallet.of, carl.id).cash_fen == PRICE


def test_the_receipt_of_a_distributors_purchase_is_for_the_super_admin(
    client: TestClient,
    edge: Edge,
    edge_of: Callable[..., Edge],
    person: Callable[..., Person],
    root: Person,
    carl: Person,
    order: Order,
):
    receipt_id = upload(client, carl, order).json()["receipt"]["id"]

    def into_purchase(work):
        work.session.get_one(Order, order.id).kind = OrderKind.SERIALS

    edge(into_purchase)
    admin = person("dora", Role.ADMIN)
    with pytest.raises(SuperAdminConfirms):
        edge_of(admin.actor)(receipts.confirm, receipt_id=receipt_id)
    edge_of(root.actor)(receipts.confirm, receipt_id=receipt_id)


def test_nobody_sees_or_uploads_anothers_receipt(
    client: TestClient, carl: Person, eve: Person, root: Person, order: Order
):
    receipt_id = upload(client, carl, order).json()["receipt"]["id"]
    image = f"/api/finance/receipts/{receipt_id}/image"
    assert client.get(image, headers=eve.headers).status_code == 404
    assert client.get(image, headers=carl.headers).status_code == 200
    assert upload(client, eve, order).status_code == 404
    assert upload(client, root, order).status_code == 404, "staff prove nobody else's payment"
    assert client.get("/api/finance/receipts", headers=eve.headers).status_code == 403


def test_an_upload_may_be_larger_than_other_requests_but_not_too_large(
    client: TestClient, carl: Person, order: Order
):
    assert upload(client, carl, order, picture() + b"x" * 3_000_000).status_code == 200
    assert upload(client, carl, order, b"x" * 9_000_000).status_code == 413
    assert upload(client, carl, order, b"x" * 1000).status_code in {409, 422}


def test_refused_uploads_leave_nothing(client: TestClient, edge: Edge, carl: Person, order: Order):
    refused = upload(client, carl, order, b"x" * 1000)
    assert refused.json()["error"]["code"] == "finance.receipt_not_an_image"
    assert edge.read(lambda work: list(work.session.scalars(select(ReceiptImage.receipt_id)))) == []


def test_the_trace_says_why_an_order_is_not_paid(
    client: TestClient, edge: Edge, carl: Person, root: Person, order: Order
):
    def verdict() -> str:
        return client.get(f"/api/finance/orders/{order.id}/trace", headers=root.headers).json()[
            "verdict"
        ]

    assert verdict() == "nothing has come in by alipay_transfer yet"
    receipt_id = upload(client, carl, order).json()["receipt"]["id"]
    assert verdict() == "a receipt waits for an admin"
    edge(receipts.refuse, receipt_id=receipt_id, reason="unreadable")
    assert verdict() == "the last receipt was refused: unreadable"
    edge(orders.cancel, order_id=order.id, reason="changed my mind")
    assert verdict() == "cancelled without payment: changed my mind"
    denied = client.get(f"/api/finance/orders/{order.id}/trace", headers=carl.headers)
    assert denied.status_code == 403


def test_routes_of_orders_and_wallets(
    client: TestClient, edge: Edge, carl: Person, eve: Person, root: Person, order: Order
):
    listed = client.get("/api/finance/orders", headers=carl.headers).json()["orders"]
    assert [(one["number"], one["allowed_actions"]) for one in listed] == [
        (order.number, ["pay", "cancel"])
    ]
    assert client.get("/api/finance/orders", headers=eve.headers).json()["orders"] == []
    everything = client.get("/api/finance/orders?status=pending", headers=root.headers).json()
    assert [one["username"] for one in everything["orders"]] == ["carl"]
    assert everything["orders"][0]["allowed_actions"] == ["cancel"]
    for method, path in (
        ("GET", f"/api/finance/orders/{order.id}"),
        ("POST", f"/api/finance/orders/{order.id}/cancel"),
        ("POST", f"/api/finance/orders/{order.id}/pay"),
        ("GET", f"/api/finance/orders/{order.id}/qr?method=alipay_transfer"),
    ):
        body = {"method": "wallet"} if path.endswith("pay") else {}
        answer = client.request(method, path, json=body, headers=eve.headers)
        assert answer.status_code == 404, path
    by_staff = client.post(
        f"/api/finance/orders/{order.id}/pay", json={"method": "wallet"}, headers=root.headers
    )
    assert by_staff.status_code == 404, "staff pay nobody else's order"
    edge(settling.receive, order_id=order.id, account="manual", key="x", note="x")  # type: ignore[arg-type]
    done = client.post(
        f"/api/finance/orders/{order.id}/complete", json={"reason": "by hand"}, headers=root.headers
    )
    assert done.json()["order"]["status"] == "completed"
    body = {"fen": 900, "reason": "an outage", "request_key": "refund-1"}
    for _ in range(2):
        back = client.post(
            f"/api/finance/orders/{order.id}/refund", json=body, headers=root.headers
        )
        assert back.json()["order"]["refunded"] == "9.00"
    wallet_of = client.get("/api/finance/wallet", headers=carl.headers).json()
    assert (wallet_of["balance"], wallet_of["balance_fen"]) == ("9.00", 900)
    moves = client.get("/api/finance/wallet/statement", headers=carl.headers).json()["movements"]
    assert [(one["kind"], one["amount"], one["order_number"]) for one in moves] == [
        ("refund", "9.00", order.number)
    ]
    assert client.get(f"/api/finance/wallets/{carl.id}", headers=eve.headers).status_code == 403
    assert (
        client.get(f"/api/finance/wallets/{carl.id}", headers=root.headers).json()["cash_fen"]
        == 900
    )
    exported = client.get("/api/finance/orders/export", headers=root.headers)
    assert order.number in exported.text
    assert json.dumps(moves)
