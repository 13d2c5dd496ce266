"""What the APIs of control servers have in common: single requests that fail in words of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, cast

from derpman.kit.outgoing import AddressRefused, Answer, NotAnswered, Outgoing

LONGEST_WAIT_SECONDS = 3600
MAX_PEERS = 5000


class Trouble(StrEnum):
    """Why a control server did not do what was asked; `texts` says what to do about it."""

    CREDENTIAL_REFUSED = "link.credential_refused"
    KEY_REFUSED = "link.key_refused"
    SCOPE_MISSING = "link.scope_missing"
    WRONG_TAILNET = "link.wrong_tailnet"
    NO_API = "link.no_api"
    RATE_LIMITED = "link.rate_limited"
    SERVER_ERROR = "link.server_error"
    UNEXPECTED = "link.unexpected"
    NO_ANSWER = "link.no_answer"
    UNREADABLE = "link.unreadable"
    ADDRESS_REFUSED = "link.address_refused"
    SECRET_LOST = "link.secret_lost"  # noqa: S105 # a code
    POLICY_REFUSED = "push.policy_refused"
    POLICY_UNFIT = "push.policy_unfit"
    POLICY_KEEPS_CHANGING = "push.policy_keeps_changing"
    CHANGED_SINCE = "push.changed_since"
    NO_ETAG = "push.no_etag"
    NO_ACL = "push.no_acl"


PASSING = frozenset(
    {
        Trouble.RATE_LIMITED,
        Trouble.SERVER_ERROR,
        Trouble.NO_ANSWER,
        Trouble.UNREADABLE,
        Trouble.POLICY_KEEPS_CHANGING,
    }
)
"""What may be better in a moment; everything else waits for somebody."""


class ControlFailure(Exception):
    """A control server did not do what was asked. Parameters are shown: never pass a secret."""

    def __init__(
        self, trouble: Trouble, *, wait_seconds: float | None = None, **params: Any
    ) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble
        self.params: dict[str, Any] = params
        self.wait_seconds = wait_seconds
        """When the other side wants to be asked again, if it said so."""

    @property
    def is_passing(self) -> bool:
        return self.trouble in PASSING


@dataclass(frozen=True)
class Peer:
    """A device as a control server lists it; what it says of itself is not checked here."""

    stable_id: str
    node_key: str
    name: str
    system: str = ""
    addresses: tuple[str, ...] = ()
    last_seen: str = ""
    is_external: bool = False
    """Of another tailnet, and only shared into this one."""
    is_authorized: bool = True
    is_ephemeral: bool = False
    """Made for a job and gone with it."""


@dataclass(frozen=True)
class Asking:
    """Sends requests to one control server; answers are judged by who asked."""

    outgoing: Outgoing
    base: str
    secrets: tuple[str, ...] = field(repr=False, default=())
    """What must not come back in words that are shown."""

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer, whatever its status; ControlFailure without one, and for 429."""
        try:
            answer = self.outgoing.request(
                method, self.base + path, headers={**(headers or {})}, body=body
            )
        except AddressRefused as error:
            raise ControlFailure(Trouble.ADDRESS_REFUSED, reason=str(error)) from None
        except NotAnswered as error:
            raise ControlFailure(Trouble.NO_ANSWER, reason=str(error)) from None
        if answer.status == 429:
            wait = retry_after_seconds(answer.headers.get("retry-after", ""))
            raise ControlFailure(Trouble.RATE_LIMITED, wait_seconds=wait)
        return answer

    def shown(self, text: str, length: int = 300) -> str:
        """Return words of the other side fit to be shown: one line, short, none of our secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "…")
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= length else line[: length - 1] + "…"


def retry_after_seconds(header: str) -> float | None:
    """Return what a Retry-After header says (RFC 9110, 10.2.3), at most an hour.

    A date is read as a wait of a minute: our clock and theirs may differ.
    """
    header = header.strip()
    if header.isascii() and header.isdigit() and len(header) < 10:
        return float(min(int(header), LONGEST_WAIT_SECONDS))
    try:
        parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    return 60.0


def json_object(answer: Answer) -> dict[str, Any]:
    """Return an answer's JSON object; UNREADABLE when it is something else."""
    try:
        read: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise ControlFailure(Trouble.UNREADABLE, status=answer.status) from None
    if not isinstance(read, dict):
        raise ControlFailure(Trouble.UNREADABLE, status=answer.status)
    return cast("dict[str, Any]", read)


def objects(answer: Answer, name: str) -> list[dict[str, Any]]:
    """Return the objects in a list of an answer's object; UNREADABLE when there is no such list.

    A list that is missing is not an empty one: devices would be taken for deleted.
    """
    found = json_object(answer).get(name)
    if not isinstance(found, list):
        raise ControlFailure(Trouble.UNREADABLE, status=answer.status)
    listed = cast("list[object]", found)
    if not all(isinstance(one, dict) for one in listed):
        raise ControlFailure(Trouble.UNREADABLE, status=answer.status)
    return cast("list[dict[str, Any]]", listed)[:MAX_PEERS]


def word(fields: Mapping[str, Any], name: str) -> str:
    """Return a field that is a text or a number, as text; else nothing."""
    value = fields.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def words(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a field that is a list of texts."""
    value = fields.get(name)
    if not isinstance(value, list):
        return ()
    return tuple(one for one in cast("list[object]", value) if isinstance(one, str))
