"""An emulator of WeChat Pay v3: Native orders, query, close, signed and encrypted notices.

Requests and answers are signed as in https://pay.weixin.qq.com/doc/v3/merchant/4012365342 and
https://pay.weixin.qq.com/doc/v3/merchant/4013053249; notices are encrypted with AES-256-GCM as in
https://pay.weixin.qq.com/doc/v3/merchant/4012071382. Public-key mode: `/v3/certificates` is
refused with 403, as new merchants are.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.system.emulators.alipay import new_key, private_pem, public_pem, sign
from tests.system.emulators.api_server import ApiServer, Reply, Request

APP_ID, MCHID = "wx0000000000000001", "1900000001"
KEY_ID = "PUB_KEY_ID_0119000000012024000000000000000001"
SERIAL = "444F4864EA9B34415A1B2C3D4E5F60718293A4B5"
APIV3_KEY = "0123456789abcdef0123456789abcdef"
PARTS = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class Order:
    number: str
    total: int
    notify_url: str
    transaction_id: str
    state: str = "NOTPAY"


@dataclass
class WeChatServer(ApiServer):
    """WeChat Pay with one merchant."""

    orders: dict[str, Order] = field(default_factory=dict)
    merchant_key: rsa.RSAPrivateKey = field(default_factory=new_key)
    own_key: rsa.RSAPrivateKey = field(default_factory=new_key)

    @property
    def credentials(self) -> dict[str, str]:
        """What the merchant types in."""
        return {
            "app_id": APP_ID,
            "mchid": MCHID,
            "cert_serial_no": SERIAL,
            "private_key": private_pem(self.merchant_key),
            "apiv3_key": APIV3_KEY,
            "public_key": public_pem(self.own_key),
            "public_key_id": KEY_ID,
        }

    def answer(self, request: Request) -> Reply:
        if not self._is_signed(request):
            return self._reply(401, {"code": "SIGN_ERROR", "message": "签名错误"})
        if request.path == "/v3/certificates":
            return self._reply(403, {"code": "NO_AUTH", "message": "no certificates"})
        if request.path == "/v3/pay/transactions/native":
            return self._native(json.loads(request.body))
        number = request.path.split("/")[5]
        order = self.orders.get(number)
        if order is None:
            return self._reply(404, {"code": "ORDER_NOT_EXIST", "message": "订单不存在"})
        if request.path.endswith("/close"):
            if order.state == "SUCCESS":
                return self._reply(400, {"code": "ORDERPAID", "message": "订单已支付"})
            order.state = "CLOSED"
            return self._reply(204, None)
        return self._reply(200, self.trade(order))

    def _native(self, asked: Mapping[str, Any]) -> Reply:
        if (asked["appid"], asked["mchid"]) != (APP_ID, MCHID):
            return self._reply(400, {"code": "APPID_MCHID_NOT_MATCH"})
        if asked["amount"]["currency"] != "CNY" or asked["amount"]["total"] < 1:
            return self._reply(400, {"code": "PARAM_ERROR"})
        number = asked["out_trade_no"]
        if number not in self.orders:
            transaction_id = f"4200000000{len(self.orders) + 1:018d}"
            self.orders[number] = Order(
                number, asked["amount"]["total"], asked["notify_url"], transaction_id
            )
        return self._reply(200, {"code_url": f"weixin://wxpay/bizpayurl?pr={number[-8:]}"})

    def _is_signed(self, request: Request) -> bool:
        kind, _, rest = request.headers.get("authorization", "").partition(" ")
        parts = dict(PARTS.findall(rest))
        path = f"{request.path}?{request.query}" if request.query else request.path
        message = f"{request.method}\n{path}\n{parts.get('timestamp')}\n{parts.get('nonce_str')}\n"
        try:
            self.merchant_key.public_key().verify(
                base64.b64decode(parts.get("signature", "")),
                f"{message}{request.body.decode()}\n".encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            return False
        return (
            kind == "WECHATPAY2-SHA256-RSA2048"
            and (parts.get("mchid"), parts.get("serial_no")) == (MCHID, SERIAL)
            and request.headers.get("wechatpay-serial") == KEY_ID
        )

    def _reply(self, status: int, told: object) -> Reply:
        body = b"" if told is None else json.dumps(told, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", **self.signed(body)}
        return Reply(status, body, headers)

    def signed(
        self,
        body: bytes,
        *,
        at: float | None = None,
        key: rsa.RSAPrivateKey | None = None,
        serial: str = KEY_ID,
    ) -> dict[str, str]:
        """Return the headers that sign a body."""
        stamp, nonce = str(int(at or time.time())), secrets.token_hex(16)
        message = f"{stamp}\n{nonce}\n{body.decode()}\n"
        return {
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature": sign(key or self.own_key, message),
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }

    def trade(self, order: Order, **changed: Any) -> dict[str, Any]:
        """Return an order as queries and notices tell it."""
        told: dict[str, Any] = {
            "appid": APP_ID,
            "mchid": MCHID,
            "out_trade_no": order.number,
            "trade_state": order.state,
            "trade_state_desc": "",
        }
        if order.state == "SUCCESS":
            told |= {
                "transaction_id": order.transaction_id,
                "trade_type": "NATIVE",
                "success_time": "2026-03-01T16:00:00+08:00",
                "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
                "amount": {
                    "total": order.total,
                    "payer_total": order.total,
                    "currency": "CNY",
                    "payer_currency": "CNY",
                },
            }
        return told | changed

    def pay(self, number: str) -> Order:
        """Somebody pays."""
        order = self.orders[number]
        order.state = "SUCCESS"
        return order

    def notice(
        self,
        number: str,
        *,
        at: float | None = None,
        key: rsa.RSAPrivateKey | None = None,
        serial: str = KEY_ID,
        apiv3_key: str = APIV3_KEY,
        **changed: Any,
    ) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of a notice of success, after what is changed in its trade."""
        order = self.orders.get(number) or Order(number, 3900, "", "420000000000")
        trade = self.trade(replace(order, state="SUCCESS"), **changed)
        nonce = secrets.token_hex(6)
        plain = json.dumps(trade, ensure_ascii=False).encode()
        sealed = AESGCM(apiv3_key.encode()).encrypt(nonce.encode(), plain, b"transaction")
        body = json.dumps(
            {
                "id": secrets.token_hex(16),
                "create_time": "2026-03-01T16:00:00+08:00",
                "resource_type": "encrypt-resource",
                "event_type": "TRANSACTION.SUCCESS",
                "summary": "支付成功",
                "resource": {
                    "original_type": "transaction",
                    "algorithm": "AEAD_AES_256_GCM",
                    "ciphertext": base64.b64encode(sealed).decode(),
                    "associated_data": "transaction",
                    "nonce": nonce,
                },
            },
            ensure_ascii=False,
        ).encode()
        return body, self.signed(body, at=at, key=key, serial=serial)
