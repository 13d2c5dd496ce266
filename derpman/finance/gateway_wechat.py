"""WeChat Pay v3, Native, by `wechatpayv3` with the platform's public key; the rest is ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, cast

from wechatpayv3 import WeChatPay, WeChatPayType

from derpman.finance.errors import CredentialsRefused, NoticeRefused
from derpman.finance.gateway_terms import TEXT, Bill, Told, TradeState
from derpman.kit.errors import PermanentFailure, TransientFailure

BEIJING = timezone(timedelta(hours=8))
TIMEOUTS = (5, 10)
MAX_AGE = 300
"""Seconds that a signed notice may be old: WeChat signs each repetition anew."""
SIGNED_BY = "WECHATPAY2-SHA256-RSA2048"
MAX_BODY = 65_536
STATES = {
    "SUCCESS": TradeState.PAID,
    "NOTPAY": TradeState.WAITING,
    "USERPAYING": TradeState.WAITING,
    "CLOSED": TradeState.CLOSED,
    "REVOKED": TradeState.CLOSED,
    "PAYERROR": TradeState.CLOSED,
    "REFUND": TradeState.OTHER,
}
NEVER_HEARD = frozenset({"ORDER_NOT_EXIST", "RESOURCE_NOT_EXISTS", "ORDERNOTEXIST"})
APIV3_KEY = re.compile(r"[0-9A-Za-z]{32}")
DIGITS = re.compile(r"[0-9]{9,11}")
BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


class WeChat:
    """A merchant's account at WeChat Pay."""

    def __init__(self, credentials: Mapping[str, Any], url: str, notify_url: str) -> None:
        self._app_id, self._mchid = str(credentials["app_id"]), str(credentials["mchid"])
        self._key_id = str(credentials["public_key_id"])
        apiv3_key = str(credentials["apiv3_key"])
        if not APIV3_KEY.fullmatch(apiv3_key):
            raise CredentialsRefused(why="apiv3_key has 32 letters and digits")
        if not (credentials["private_key"] and credentials["public_key"] and self._key_id):
            # Without a public key the library would fetch certificates, here and now.
            raise CredentialsRefused(why="a key is missing")
        try:
            self._client: Any = WeChatPay(
                wechatpay_type=WeChatPayType.NATIVE,
                mchid=self._mchid,
                private_key=str(credentials["private_key"]),
                cert_serial_no=str(credentials["cert_serial_no"]),
                appid=self._app_id,
                apiv3_key=apiv3_key,
                notify_url=notify_url,
                timeout=TIMEOUTS,
                public_key=str(credentials["public_key"]),
                public_key_id=self._key_id,
            )
        except KeyError:
            raise
        except Exception:  # noqa: BLE001 # the library raises nothing more exact
            raise CredentialsRefused(why="a key cannot be read") from None
        self._client._core._gate_way = url.rstrip("/")  # it has no option for it

    def begin(self, bill: Bill) -> str:
        answer = self._call(
            self._client.pay,
            description=bill.subject,
            out_trade_no=bill.number,
            amount={"total": bill.fen, "currency": "CNY"},
            time_expire=bill.closes_at.astimezone(BEIJING).isoformat(timespec="seconds"),
        )
        return str(answer["code_url"])

    def page(self, bill: Bill, return_url: str) -> str | None:
        del bill, return_url
        return None

    def ask(self, number: str) -> Told | None:
        answer = self._call(self._client.query, out_trade_no=number, may_be_unknown=True)
        if not answer:
            return None
        try:
            told = self._told(answer)
        except NoticeRefused:
            told = None
        if told is None or told.number != number:
            raise TransientFailure("WeChat Pay answered about another order")
        return told

    def close(self, number: str) -> None:
        self._call(self._client.close, out_trade_no=number, may_be_unknown=True)

    def _call(
        self, call: Callable[..., Any], *, may_be_unknown: bool = False, **named: Any
    ) -> dict[str, Any]:
        """Return a signed answer; an empty one for an order that it does not know."""
        try:
            status, text = call(**named)
            answer: dict[str, Any] = json.loads(text or "{}")
        except Exception as error:  # noqa: BLE001 # bare Exception for a wrong signature
            raise TransientFailure(f"no answer of WeChat Pay: {type(error).__name__}") from None
        if 200 <= int(status) < 300:
            return answer
        code = str(answer.get("code"))
        if may_be_unknown and (code in NEVER_HEARD or int(status) == 404):
            return {}
        told = f"WeChat Pay says {status} {code}"[:300]
        if int(status) >= 500 or int(status) == 429:
            raise TransientFailure(told)
        raise PermanentFailure(told)

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Told:
        text = self._refuse_strange(headers, body, now)
        try:
            notice: Any = self._client.callback(dict(headers), text)
        except Exception:  # noqa: BLE001 # whatever a stranger's bytes make the library raise
            notice = None
        if not isinstance(notice, dict):
            raise NoticeRefused(why="signature")
        told_of = cast("dict[str, Any]", notice)
        if told_of.get("event_type") != "TRANSACTION.SUCCESS":
            resource: Any = told_of.get("resource") or {}
            number, trade = (
                str(resource.get("out_trade_no", "")),
                str(resource.get("refund_id", "")),
            )
            return Told(number, trade, 0, TradeState.OTHER)
        told = self._told(told_of.get("resource"))
        if told is None:
            raise NoticeRefused(why="form")
        return told

    def _refuse_strange(self, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
        """Refuse what the library would ask WeChat about, or would take although it is old."""
        if headers.get("wechatpay-serial") != self._key_id:
            raise NoticeRefused(why="serial")
        if headers.get("wechatpay-signature-type") != SIGNED_BY:
            raise NoticeRefused(why="signature")
        stamp = headers.get("wechatpay-timestamp", "")
        if not DIGITS.fullmatch(stamp) or abs(now.timestamp() - int(stamp)) > MAX_AGE:
            raise NoticeRefused(why="time")
        signature = headers.get("wechatpay-signature", "")
        if not BASE64.fullmatch(signature) or len(signature) > 1024:
            raise NoticeRefused(why="signature")
        if len(body) > MAX_BODY:
            raise NoticeRefused(why="form")
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise NoticeRefused(why="form") from None

    def _told(self, resource: Any) -> Told | None:
        """Return what a trade says; NoticeRefused when it is not this merchant's, None if odd."""
        if not isinstance(resource, dict):
            return None
        trade = cast("dict[str, Any]", resource)
        if trade.get("appid") != self._app_id:
            raise NoticeRefused(why="app_id")
        if trade.get("mchid") != self._mchid:
            raise NoticeRefused(why="mchid")
        state = STATES.get(str(trade.get("trade_state")), TradeState.OTHER)
        number, trade_no = str(trade.get("out_trade_no", "")), str(trade.get("transaction_id", ""))
        given: Any = trade.get("amount")
        amount = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        if state is TradeState.PAID:
            total = amount.get("total")
            if not isinstance(total, int) or isinstance(total, bool):
                return None
            if amount.get("currency") != "CNY":
                raise NoticeRefused(why="currency")
            if not TEXT.fullmatch(number) or not TEXT.fullmatch(trade_no):
                return None
            return Told(number, trade_no, total, state)
        return Told(number, trade_no, 0, state) if TEXT.fullmatch(number) else None
