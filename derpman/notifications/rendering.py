"""Mails from templates: which there are, what each needs, and how secrets are kept out of rows.

A secret is rendered as a mark, `U+E000 name U+E001`; what is stored has only marks. `reveal` puts
the values in when the mail is sent, `conceal` dots when an admin reads it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import css_inline
from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    DictLoader,
    FileSystemLoader,
    StrictUndefined,
    select_autoescape,
)
from jinja2.sandbox import SandboxedEnvironment

LOCALES = ("zh-CN", "en")
SITE = "site_url"
"""The address of this installation: a mark in every template, known to whoever sends."""
BEIJING = timezone(timedelta(hours=8))
DOTS = "••••"
MARK = re.compile("\ue000([a-z_]+)\ue001")
PARTS = ("subject", "txt", "html")
FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Template:
    """The names that a template needs, no more and no fewer."""

    params: frozenset[str]
    secrets: frozenset[str] = field(default=frozenset())


def _needs(*params: str, secrets: tuple[str, ...] = ()) -> Template:
    return Template(frozenset(params), frozenset(secrets))


TEMPLATES: dict[str, Template] = {
    # No name: whoever registers chooses it, and the mail goes to whom he likes.
    "verify_address": _needs("minutes", secrets=("code", "token")),
    "address_exists": _needs("username"),
    "password_reset": _needs("username", "minutes", secrets=("code",)),
    "password_changed": _needs("username", "at", "ip", "place", "browser"),
    # happened: second_factor_on, _off, _reset, recovery_code_used, recovery_codes_new
    "security_event": _needs("username", "happened", "at", "ip", "place", "browser"),
    # relays: dicts of slot (1-3), region, address, port
    "rental_activated": _needs("username", "plan", "expires_at", "device_limit", "relays"),
    # changes_at: when what the new plan promises less begins to hold; or nothing
    "rental_renewed": _needs(
        *("username", "plan", "expires_at", "device_limit", "reason"),
        *("changes_at", "next_device_limit"),
    ),
    "rental_resumed": _needs(
        "username", "plan", "expires_at", "device_limit", "relays", "acl_goes_on"
    ),
    "rental_expiring": _needs("username", "plan", "expires_at", "can_renew"),
    # closes_at: when the account is deregistered; or nothing
    "rental_ended": _needs("username", "plan", "ended_at", "reason", "can_renew", "closes_at"),
    "account_closing": _needs("username", "ended_at", "closes_at", "can_renew"),
    "account_closed": _needs("username", "is_automatic"),
    "user_suspended": _needs("username", "reason"),
    "user_reinstated": _needs("username"),
    "device_added": _needs("username", "device", "node_key", "at", "ip", "place"),
    "device_removed": _needs("username", "device", "node_key", "at", "ip", "place"),
    # is_full: the plan's limit is reached; otherwise it waits for the customer's click
    "device_refused": _needs("username", "node_key", "at", "ip", "place", "limit", "is_full"),
    # used, amount: sizes as people read them; is_stopped: not only slow when all is used
    "quota_passed": _needs("username", "level", "used", "amount", "period_ends_at", "is_stopped"),
    "quota_opened": _needs("username", "amount", "period_ends_at"),
    "server_stopped": _needs("username", "region"),
    "acl_changed": _needs("username", "version", "reason", "relays"),
    # ends_at: when the relays of the version before stop
    "acl_rotated": _needs("username", "version", "reason", "relays", "ends_at"),
    "acl_reminder": _needs("username", "version", "old_version", "relays", "ends_at"),
    "acl_ended": _needs("username", "version", "old_version", "relays"),
    # why: a kind of the ledger's entries; order and reason may be empty
    "wallet_credited": _needs("username", "why", "amount", "balance", "order", "reason"),
    "receipt_refused": _needs("username", "order", "amount", "reason"),
    "renewal_unaffordable": _needs("username", "plan", "price", "balance", "expires_at"),
    # order, amount: what is to be paid, or nothing
    "application_decided": _needs(
        "username", "plan", "count", "is_approved", "reason", "order", "amount"
    ),
    "serials_ready": _needs("username", "order", "plan", "count", "amount", "expires_at", "codes"),
    "statement_made": _needs(
        *("username", "month", "opening", "earned", "taken_back"),
        *("to_credit", "to_wallet", "closing"),
    ),
    # what: a sentence about a control server, or about a policy
    "link_refused": _needs("username", "what"),
    "push_failed": _needs("username", "what"),
    # names of devices, separated by commas; empty when there are none
    "devices_followed": _needs("username", "added", "removed", "no_room"),
    "devices_held": _needs("username", "names"),
    "alert_raised": _needs("severity", "alert_type", "message", "at", "count"),
    # reaction: mail, throttle or stop
    "anomaly_noticed": _needs("username", "what", "reaction", "at"),
    "plain": _needs("username", "subject", "message"),
}
"""Times (`at`, `expires_at`, …) are aware datetimes and are shown in Beijing time."""


@dataclass(frozen=True)
class Wording:
    """The source of a mail: its subject, its text and its page as Jinja templates."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Rendered:
    """A mail as it is stored: with marks, no secret."""

    locale: str
    subject: str
    text: str
    html: str


def render(
    name: str, locale: str, params: Mapping[str, Any], wording: Wording | None = None
) -> Rendered:
    """Return a mail in the nearest locale we have; ValueError when it needs other `params`.

    An operator's `wording` takes the place of the built-in one, and its errors are raised.
    """
    template = TEMPLATES[name]
    if wrong := template.params.symmetric_difference(params):
        raise ValueError(f"mail template {name} and its params differ in {sorted(wrong)}")
    locale = nearest(locale)
    marks = {secret: f"\ue000{secret}\ue001" for secret in (*template.secrets, SITE)}
    context = {**params, **marks, "locale": locale, "when": partial(_when, locale=locale)}
    environment = _environment() if wording is None else _edited(name, locale, wording)
    subject, text, page = (
        environment.get_template(f"{name}.{locale}.{part}.j2").render(context) for part in PARTS
    )
    return Rendered(
        locale=locale,
        subject=" ".join(subject.split())[:255],
        text=text.strip() + "\n",
        html=_inliner().inline(page),
    )


def built_in(name: str, locale: str) -> Wording:
    """Return the wording that came with the product."""
    return Wording(*((FOLDER / f"{name}.{locale}.{part}.j2").read_text("utf-8") for part in PARTS))


@cache
def shared_files() -> frozenset[str]:
    """Return the names of the files that wordings may build on: layouts and common pieces."""
    own = {
        f"{name}.{locale}.{part}.j2" for name in TEMPLATES for locale in LOCALES for part in PARTS
    }
    return frozenset(path.name for path in FOLDER.iterdir()) - own


def nearest(locale: str) -> str:
    """Return which of our locales a reader of `locale` gets."""
    return "zh-CN" if locale.lower().startswith("zh") else "en"


def reveal(text: str, values: Mapping[str, str], *, escape: bool = False) -> str:
    """Return the text with values in the place of marks; what only looks like a mark stays."""

    def value(mark: re.Match[str]) -> str:
        plain = values.get(mark[1], mark[0])
        return html.escape(plain) if escape else plain

    return MARK.sub(value, text)


def conceal(text: str) -> str:
    """Return the text for reading: dots for secrets, links without our address."""
    return MARK.sub(lambda mark: "" if mark[1] == SITE else DOTS, text)


def _when(instant: datetime, locale: str) -> str:
    local = instant.astimezone(BEIJING)
    if locale == "zh-CN":
        return f"{local:%Y-%m-%d %H:%M}（北京时间）"
    return f"{local:%Y-%m-%d %H:%M} (Beijing time, UTC+8)"


@cache
def _environment() -> SandboxedEnvironment:
    return _sandbox(FileSystemLoader(FOLDER))


@lru_cache(maxsize=64)
def _edited(name: str, locale: str, wording: Wording) -> SandboxedEnvironment:
    sources = zip(PARTS, (wording.subject, wording.text, wording.html), strict=True)
    own = {f"{name}.{locale}.{part}.j2": source for part, source in sources}
    return _sandbox(ChoiceLoader([DictLoader(own), FileSystemLoader(FOLDER)]))


def _sandbox(loader: BaseLoader) -> SandboxedEnvironment:
    # Only what ends in .html.j2 is a page; text and subjects must not be escaped.
    return SandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(load_remote_stylesheets=False)
