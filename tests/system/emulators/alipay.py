"""An emulator of Alipay's gateway: precreate, page payment, query, close, signed notices.

Signing as in https://opendocs.alipay.com/common/02mse7 (requests and answers: RSA2 over the sorted
parameters, and over the answer's JSON text) and https://opendocs.alipay.com/open/270/105902
(notices: the sorted parameters without `sign` and `sign_type`); refusals as each method's page
lists them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.system.emulators.api_server import ApiServer, Reply, Request

BEIJING = timezone(timedelta(hours=8))
APP_ID, SELLER_ID = "2021000000000001", "2088000000000001"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    """Return a key as PKCS#8."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def sign(key: rsa.RSAPrivateKey, message: str) -> str:
    made = key.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(made).decode()


def sorted_text(fields: Mapping[str, str], without: tuple[str, ...]) -> str:
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name not in without)


@dataclass
class Trade:
    """What somebody is to pay."""

    number: str
    amount: str
    trade_no: str
    notify_url: str
    status: str = ""
    """Empty until somebody has opened the cashier: a query does not know it before."""


@dataclass
class AlipayServer(ApiServer):
    """Alipay with one merchant application."""

    trades: dict[str, Trade] = field(default_factory=dict)
    merchant_key: rsa.RSAPrivateKey = field(default_factory=new_key)
    own_key: rsa.RSAPrivateKey = field(default_factory=new_key)

    @property
    def credentials(self) -> dict[str, str]:
        """What the merchant types in."""
        return {
            "app_id": APP_ID,
            "seller_id": SELLER_ID,
            "private_key": private_pem(self.merchant_key),
            "alipay_public_key": public_pem(self.own_key),
        }

    @property
    def gateway(self) -> str:
        return f"{self.url}/gateway.do"

    def answer(self, request: Request) -> Reply:
        fields = dict(parse_qsl(request.query, keep_blank_values=True))
        method = fields.get("method", "")
        if not self._is_signed(fields):
            return self._reply(method, {"code": "40002", "sub_code": "isv.invalid-signature"})
        asked: dict[str, Any] = json.loads(fields["biz_content"])
        if method == "alipay.trade.precreate":
            trade = self._trade(asked, fields["notify_url"])
            code = f"https://qr.alipay.com/{trade.trade_no}"
            return self._reply(
                method, {"code": "10000", "out_trade_no": trade.number, "qr_code": code}
            )
        if method == "alipay.trade.page.pay":
            trade = self._trade(asked, fields["notify_url"])
            trade.status = trade.status or "WAIT_BUYER_PAY"
            return Reply(200, b"<html>cashier</html>", {"Content-Type": "text/html"})
        trade_of = self.trades.get(asked.get("out_trade_no", ""))
        if trade_of is None or not trade_of.status:
            return self._reply(method, {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"})
        told = {"code": "10000", "out_trade_no": trade_of.number, "trade_no": trade_of.trade_no}
        if method == "alipay.trade.query":
            told |= {"trade_status": trade_of.status, "total_amount": trade_of.amount}
        elif method == "alipay.trade.close":
            if trade_of.status != "WAIT_BUYER_PAY":
                return self._reply(method, {"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR"})
            trade_of.status = "TRADE_CLOSED"
        else:
            return self._reply(
                method, {"code": "40006", "sub_code": "isv.insufficient-isv-permissions"}
            )
        return self._reply(method, told)

    def _is_signed(self, fields: Mapping[str, str]) -> bool:
        try:
            self.merchant_key.public_key().verify(
                base64.b64decode(fields.get("sign", "")),
                sorted_text(fields, ("sign",)).encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            return False
        return fields.get("app_id") == APP_ID

    def _trade(self, asked: Mapping[str, Any], notify_url: str) -> Trade:
        number = asked["out_trade_no"]
        if number not in self.trades:
            trade_no = f"20260301220014{len(self.trades) + 1:014d}"
            self.trades[number] = Trade(number, asked["total_amount"], trade_no, notify_url)
        return self.trades[number]

    def _reply(self, method: str, told: dict[str, str]) -> Reply:
        told.setdefault("msg", "Success" if told["code"] == "10000" else "Business Failed")
        text = json.dumps(told, separators=(",", ":"))
        name = method.replace(".", "_") + "_response"
        body = f'{{"{name}":{text},"sign":"{sign(self.own_key, text)}"}}'
        return Reply(200, body.encode(), {"Content-Type": "text/html;charset=utf-8"})

    def pay(self, number: str) -> Trade:
        """Somebody pays."""
        trade = self.trades[number]
        trade.status = "TRADE_SUCCESS"
        return trade

    def notice(
        self,
        number: str,
        *,
        now: datetime | None = None,
        key: rsa.RSAPrivateKey | None = None,
        **changed: str,
    ) -> bytes:
        """Return the body of a notice, signed by Alipay's key or another, after what is changed."""
        trade = self.trades.get(number) or Trade(number, "39.00", "2026030122001400", "")
        told_at = (now or datetime.now(UTC)).astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
        fields = {
            "notify_time": told_at,
            "notify_type": "trade_status_sync",
            "notify_id": f"n{trade.trade_no}",
            "app_id": APP_ID,
            "charset": "utf-8",
            "version": "1.0",
            "trade_no": trade.trade_no,
            "out_trade_no": trade.number,
            "out_biz_no": "",
            "buyer_id": "2088000000000002",
            "seller_id": SELLER_ID,
            "trade_status": "TRADE_SUCCESS",
            "total_amount": trade.amount,
            "receipt_amount": trade.amount,
            "subject": "DERP 30 天 / 30 days",
            "fund_bill_list": '[{"amount":"39.00","fundChannel":"ALIPAYACCOUNT"}]',
            **changed,
        }
        signature = sign(key or self.own_key, sorted_text(fields, ()))
        return urlencode({**fields, "sign_type": "RSA2", "sign": signature}).encode()
