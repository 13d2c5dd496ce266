"""Alipay: page and QR payment, by `python-alipay-sdk`, and the checks that it leaves to us."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast
from urllib.parse import parse_qsl

from alipay import AliPay
from alipay.utils import AliPayConfig

from derpman.finance.errors import CredentialsRefused, NoticeRefused
from derpman.finance.gateway_terms import TEXT, Bill, Told, TradeState, fen_of, yuan_of
from derpman.kit.errors import PermanentFailure, TransientFailure

BEIJING = timezone(timedelta(hours=8))
TIMEOUT_SECONDS = 10
TOLD_AGAIN_FOR = timedelta(hours=48)
"""Alipay repeats a notice for 25 hours. What is older is not believed; a question finds it."""
MAX_FIELDS = 60
STATES = {
    "TRADE_SUCCESS": TradeState.PAID,
    "TRADE_FINISHED": TradeState.PAID,
    "WAIT_BUYER_PAY": TradeState.WAITING,
    "TRADE_CLOSED": TradeState.CLOSED,
}
NEVER_HEARD = "ACQ.TRADE_NOT_EXIST"
BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


class _Client(AliPay):
    """The library's client with the two things that it fixes: the address, and Beijing's time."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(**options)
        self._gateway = url

    def build_body(self, method: str, biz_content: Any = None, **more: Any) -> dict[str, Any]:
        body = cast("dict[str, Any]", super().build_body(method, biz_content, **more))
        now = datetime.now(BEIJING)  # noqa: TID251 # a protocol's time stamp, no fact of ours
        body["timestamp"] = now.strftime("%Y-%m-%d %H:%M:%S")
        return body


class Alipay:
    """A merchant's application at Alipay."""

    def __init__(self, credentials: Mapping[str, Any], url: str, notify_url: str) -> None:
        self._app_id = str(credentials["app_id"])
        self._seller_id = str(credentials["seller_id"])
        self._url, self._notify_url = url, notify_url
        try:
            self._client: Any = _Client(
                url,
                appid=self._app_id,
                app_private_key_string=_pem(str(credentials["private_key"]), "PRIVATE KEY"),
                alipay_public_key_string=_pem(str(credentials["alipay_public_key"]), "PUBLIC KEY"),
                config=AliPayConfig(timeout=TIMEOUT_SECONDS),
            )
        except (ValueError, IndexError, TypeError):
            raise CredentialsRefused(why="a key cannot be read") from None
        if not self._client.app_private_key.has_private():
            raise CredentialsRefused(why="private_key is a public key")
        if self._client.alipay_public_key.n == self._client.app_private_key.n:
            raise CredentialsRefused(why="alipay_public_key is your own key, not Alipay's")

    def begin(self, bill: Bill) -> str:
        answer = self._call(
            self._client.api_alipay_trade_precreate,
            bill.subject,
            bill.number,
            yuan_of(bill.fen),
            notify_url=self._notify_url,
            time_expire=_beijing(bill.closes_at),
        )
        return str(answer["qr_code"])

    def page(self, bill: Bill, return_url: str) -> str | None:
        query = self._client.api_alipay_trade_page_pay(
            bill.subject,
            bill.number,
            yuan_of(bill.fen),
            return_url=return_url,
            notify_url=self._notify_url,
            time_expire=_beijing(bill.closes_at),
        )
        return f"{self._url}?{query}"

    def ask(self, number: str) -> Told | None:
        answer = self._call(
            self._client.api_alipay_trade_query, out_trade_no=number, allowed=NEVER_HEARD
        )
        if not answer:
            return None
        fen = fen_of(str(answer.get("total_amount", "")))
        if answer.get("out_trade_no") != number or fen is None:
            raise TransientFailure("Alipay answered about another order")
        state = STATES.get(str(answer.get("trade_status")), TradeState.OTHER)
        return Told(number, str(answer.get("trade_no", "")), fen, state)

    def close(self, number: str) -> None:
        self._call(self._client.api_alipay_trade_close, out_trade_no=number, allowed=NEVER_HEARD)

    def _call(
        self, call: Callable[..., Any], *words: Any, allowed: str = "", **named: Any
    ) -> dict[str, Any]:
        """Return a signed answer; an empty one for the refusal that is allowed."""
        try:
            answer: dict[str, Any] = call(*words, **named)
        except Exception as error:  # noqa: BLE001 # the library trips over answers that are odd
            raise TransientFailure(f"no answer of Alipay: {type(error).__name__}") from None
        if answer.get("code") == "10000":
            return answer
        if allowed and answer.get("sub_code") == allowed:
            return {}
        told = f"Alipay says {answer.get('code')} {answer.get('sub_code')}"[:300]
        if answer.get("code") == "20000":  # it is busy, in its own words
            raise TransientFailure(told)
        raise PermanentFailure(told)

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Told:
        del headers
        fields = _form(body)
        signature = fields.pop("sign", "")
        self._refuse_unsigned(dict(fields), signature)
        if fields.get("app_id") != self._app_id:
            raise NoticeRefused(why="app_id")
        if fields.get("seller_id") != self._seller_id:
            raise NoticeRefused(why="seller_id")
        if any(fields.get(name, "CNY") != "CNY" for name in ("trans_currency", "settle_currency")):
            raise NoticeRefused(why="currency")
        fen = fen_of(fields.get("total_amount", ""))
        number, trade_no = fields.get("out_trade_no", ""), fields.get("trade_no", "")
        if fen is None or not TEXT.fullmatch(number) or not TEXT.fullmatch(trade_no):
            raise NoticeRefused(why="form")
        told_at = _instant(fields.get("notify_time", ""))
        if told_at is None or not -TOLD_AGAIN_FOR < now - told_at < TOLD_AGAIN_FOR:
            raise NoticeRefused(why="time")
        state = STATES.get(fields.get("trade_status", ""), TradeState.OTHER)
        if "gmt_refund" in fields or "refund_fee" in fields:
            state = TradeState.OTHER
        return Told(number, trade_no, fen, state)

    def _refuse_unsigned(self, fields: dict[str, str], signature: str) -> None:
        """The library takes a field out of what it is given, and raises what it likes."""
        if fields.get("sign_type") != "RSA2" or not BASE64.fullmatch(signature):
            raise NoticeRefused(why="signature")
        try:
            is_genuine: bool = self._client.verify(fields, signature)
        except Exception:  # noqa: BLE001 # whatever a stranger's bytes make the library raise
            is_genuine = False
        if not is_genuine:
            raise NoticeRefused(why="signature")


def _form(body: bytes) -> dict[str, str]:
    """Return a form's fields, empty ones too: they are signed like the others."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise NoticeRefused(why="form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or not fields:
        raise NoticeRefused(why="form")
    return fields


def _pem(key: str, kind: str) -> str:
    """Alipay's own tool hands out keys without their first and last line."""
    text = "".join(key.split()) if "-----" not in key else key.strip()
    return text if "-----" in text else f"-----BEGIN {kind}-----\n{text}\n-----END {kind}-----"


def _beijing(instant: datetime) -> str:
    return instant.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def _instant(text: str) -> datetime | None:
    try:
        naive = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 # Beijing's, always
    except ValueError:
        return None
    return naive.replace(tzinfo=BEIJING).astimezone(UTC)
