"""How each kind of channel is spoken to, and what its answers mean.

Webhooks are signed as standardwebhooks.com describes: `webhook-signature: v1,` and the Base64 of
HMAC-SHA256 over `id.timestamp.body`. Robots of WeCom and DingTalk answer 200 with an `errcode`;
DingTalk's address carries a signature over its timestamp.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from derpman.kit.outgoing import Answer
from derpman.notifications.errors import ChannelAway, ChannelWrong, MessageRefused
from derpman.notifications.states import ChannelKind

TEXT_BYTES = {ChannelKind.WECOM: 2048, ChannelKind.DINGTALK: 15_000}
"""The longest text of one message: WeCom's documented limit; DingTalk's is 20 kB of body."""
ROBOT_PAUSE = timedelta(seconds=3)
"""Both kinds of robot take 20 messages a minute."""
MESSAGES_AT_ONCE = 20
ABOUT_THE_MESSAGE = frozenset({400, 413, 422})
WEBHOOK_SECRET = "whsec_"  # noqa: S105 # how such a secret begins
SEPARATOR = "\n\n"


@dataclass(frozen=True)
class Item:
    """One message as a sender has it."""

    message_id: int
    key: str
    topic: str
    text: str
    data: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Post:
    """One request, ready to be sent: its address and signature are secrets, never log it."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def takes_many(kind: ChannelKind) -> bool:
    """Tell whether messages of a kind are joined into one."""
    return kind is not ChannelKind.WEBHOOK


def check_secret(kind: ChannelKind, secret: str | None) -> None:
    """Raise ChannelWrong when requests could not be signed with it."""
    if kind is ChannelKind.WEBHOOK:
        if secret is None or len(_signing_key(secret)) < 16:
            reason = "a webhook needs one of at least 16 bytes, such as whsec_ and Base64"
            raise ChannelWrong(field="secret", reason=reason)
    elif kind is ChannelKind.WECOM and secret is not None:
        raise ChannelWrong(field="secret", reason="robots of WeCom have none")


def fitting(kind: ChannelKind, items: Sequence[Item]) -> list[Item]:
    """Return those of the messages, in their order, that go into one request."""
    if not takes_many(kind):
        return list(items[:1])
    taken: list[Item] = []
    used = 0
    for item in items[:MESSAGES_AT_ONCE]:
        size = len(item.text.encode()) + (len(SEPARATOR) if taken else 0)
        if taken and used + size > TEXT_BYTES[kind]:
            break
        taken.append(item)
        used += size
    return taken


def post(
    kind: ChannelKind, url: str, secret: str | None, items: Sequence[Item], now: datetime
) -> Post:
    """Return the request that tells these messages."""
    headers = {"Content-Type": "application/json"}
    if kind is ChannelKind.WEBHOOK:
        return _webhook(url, secret or "", items[0], now, headers)
    text = _shortened(SEPARATOR.join(item.text for item in items), TEXT_BYTES[kind])
    body = json.dumps({"msgtype": "text", "text": {"content": text}}, ensure_ascii=False).encode()
    if kind is ChannelKind.DINGTALK and secret is not None:
        url += ("&" if "?" in url else "?") + urlencode(dingtalk_signature(secret, now))
    return Post(url, headers, body)


def dingtalk_signature(secret: str, now: datetime) -> dict[str, str]:
    """Return the query parameters that prove a request to a DingTalk robot."""
    milliseconds = str(round(now.timestamp() * 1000))
    digest = hmac.digest(secret.encode(), f"{milliseconds}\n{secret}".encode(), "sha256")
    return {"timestamp": milliseconds, "sign": base64.b64encode(digest).decode()}


def webhook_signature(secret: str, key: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a webhook's request."""
    signed = f"{key}.{timestamp}.".encode() + body
    digest = hmac.new(_signing_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def judge(kind: ChannelKind, answer: Answer) -> None:
    """Return when the messages were taken, else raise ChannelAway or MessageRefused."""
    if kind is ChannelKind.WEBHOOK and answer.status in ABOUT_THE_MESSAGE:
        raise MessageRefused(f"the answer was {answer.status}")
    if not 200 <= answer.status < 300:
        raise ChannelAway(f"the answer was {answer.status}")
    if kind is ChannelKind.WEBHOOK:
        return
    try:
        told: Any = json.loads(answer.body)
        code, words = told["errcode"], told.get("errmsg", "")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ChannelAway("the answer is not a robot's") from None
    if code != 0:
        raise ChannelAway(f"{code} {words}")


def _webhook(url: str, secret: str, item: Item, now: datetime, headers: Mapping[str, str]) -> Post:
    content = {
        "type": item.topic,
        "timestamp": item.created_at.astimezone(UTC).isoformat(),
        "text": item.text,
        "data": item.data,
    }
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    timestamp = int(now.timestamp())
    signed = {
        "webhook-id": item.key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": webhook_signature(secret, item.key, timestamp, body),
        "Idempotency-Key": item.key,
    }
    return Post(url, {**headers, **signed}, body)


def _signing_key(secret: str) -> bytes:
    if not secret.startswith(WEBHOOK_SECRET):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(WEBHOOK_SECRET), validate=True)
    except ValueError:
        raise ChannelWrong(field="secret", reason="what follows whsec_ is not Base64") from None


def _shortened(text: str, most_bytes: int) -> str:
    if len(text.encode()) <= most_bytes:
        return text
    return text.encode()[: most_bytes - 3].decode(errors="ignore") + "…"
