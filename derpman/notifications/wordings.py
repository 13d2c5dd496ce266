"""Verbs on the wordings of mails: an operator's own take the place of those built in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from jinja2 import TemplateError
from sqlalchemy import func, select

from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.notifications import language, rendering
from derpman.notifications.errors import (
    TemplateBuiltIn,
    TemplateChanged,
    TemplateNotFound,
    TemplateVersionNotFound,
    TemplateWrong,
)
from derpman.notifications.language import PartName
from derpman.notifications.models import MailTemplate
from derpman.notifications.rendering import LOCALES, SITE, TEMPLATES, Rendered, Wording
from derpman.notifications.samples import SAMPLES

BROKEN = (TemplateError, TypeError, ValueError, AttributeError, LookupError)
"""What running a template can raise."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Edition:
    """What is in use of a template in one language; version 0 was never edited."""

    name: str
    locale: str
    version: int
    row: MailTemplate | None

    @property
    def wording(self) -> Wording | None:
        """Return the operator's wording; None for the built-in one."""
        return None if self.row is None else wording_of(self.row)


def wording_of(row: MailTemplate) -> Wording | None:
    """Return what a version says; None when it says what is built in."""
    if row.subject is None or row.text is None or row.html is None:
        return None
    return Wording(row.subject, row.text, row.html)


def render(work: UnitOfWork, name: str, locale: str, params: Mapping[str, Any]) -> Rendered:
    """Return a mail in the wording in use.

    A wording that cannot say this mail, which a new release may bring about, gives way to the
    built-in one: no mail is lost for a template.
    """
    edition = current(work, name=name, locale=rendering.nearest(locale))
    if edition.wording is not None:
        try:
            return rendering.render(name, locale, params, edition.wording)
        except BROKEN as error:
            log.warning(
                "mail template gave way to the built-in one",
                template=name,
                locale=edition.locale,
                version=edition.version,
                error=type(error).__name__,
            )
    return rendering.render(name, locale, params)


def current(work: UnitOfWork, *, name: str, locale: str) -> Edition:
    """Return what is in use of a template in one of our languages."""
    if name not in TEMPLATES or locale not in LOCALES:
        raise TemplateNotFound(name=name, locale=locale)
    row = work.session.scalar(
        select(MailTemplate)
        .where(MailTemplate.name == name, MailTemplate.locale == locale)
        .order_by(MailTemplate.version.desc())
        .limit(1)
    )
    return Edition(name, locale, 0 if row is None else row.version, row)


def editions(work: UnitOfWork) -> list[Edition]:
    """Return every template in every language as it is in use."""
    newest = select(func.max(MailTemplate.id)).group_by(MailTemplate.name, MailTemplate.locale)
    rows = {
        (row.name, row.locale): row
        for row in work.session.scalars(select(MailTemplate).where(MailTemplate.id.in_(newest)))
    }
    return [
        Edition(name, locale, row.version if (row := rows.get((name, locale))) else 0, row)
        for name in TEMPLATES
        for locale in LOCALES
    ]


def history(work: UnitOfWork, *, name: str, locale: str) -> list[MailTemplate]:
    """Return the versions of a template, the newest first."""
    current(work, name=name, locale=locale)
    found = select(MailTemplate).where(MailTemplate.name == name, MailTemplate.locale == locale)
    return list(work.session.scalars(found.order_by(MailTemplate.version.desc()).limit(200)))


def version_of(work: UnitOfWork, *, name: str, locale: str, version: int) -> MailTemplate:
    """Return one version of a template."""
    row = work.session.scalar(
        select(MailTemplate).where(
            MailTemplate.name == name,
            MailTemplate.locale == locale,
            MailTemplate.version == version,
        )
    )
    if row is None:
        raise TemplateVersionNotFound(name=name, locale=locale, version=version)
    return row


def edit(work: UnitOfWork, *, name: str, locale: str, wording: Wording, version: int) -> Edition:
    """Put an operator's wording into use, for mails queued from now on.

    `version` is what he had before him. Raises TemplateWrong when it cannot be used,
    TemplateChanged when somebody else was quicker.
    """
    preview(name=name, locale=locale, wording=wording)
    return _add(work, name, locale, wording, version)


def reset(work: UnitOfWork, *, name: str, locale: str, version: int) -> Edition:
    """Put the built-in wording into use again; the operator's stay in the history."""
    if current(work, name=name, locale=locale).wording is None:
        raise TemplateBuiltIn
    return _add(work, name, locale, None, version)


def preview(*, name: str, locale: str, wording: Wording) -> Rendered:
    """Return the mail that a wording makes of samples; TemplateWrong when it makes none."""
    if name not in TEMPLATES or locale not in LOCALES:
        raise TemplateNotFound(name=name, locale=locale)
    template = TEMPLATES[name]
    facts = template.params | {SITE, "locale"}
    shared = rendering.shared_files()
    # What opens something does not belong where it is read over a shoulder.
    language.judge("subject", wording.subject, names=facts, shared=shared)
    all_names = facts | template.secrets
    language.judge("text", wording.text, names=all_names, shared=shared)
    language.judge("html", wording.html, names=all_names, shared=shared)
    shown = [_tried(name, locale, wording, params) for params in _samples(template.params)]
    for rendered in shown:
        if not rendered.subject:
            raise TemplateWrong(part="subject", line=1, reason="nothing is left of it")
        for secret in sorted(template.secrets):
            mark = f"\ue000{secret}\ue001"
            for part, body in (("text", rendered.text), ("html", rendered.html)):
                if mark not in body:
                    raise TemplateWrong(part=part, line=1, reason=f"“{secret}” is missing")
    return shown[0]


def problem_of(edition: Edition) -> str | None:
    """Return why a wording in use cannot say what it should any more; None when all is well."""
    if edition.wording is None:
        return None
    try:
        preview(name=edition.name, locale=edition.locale, wording=edition.wording)
    except TemplateWrong as error:
        return error.message
    return None


def _samples(names: frozenset[str]) -> list[dict[str, Any]]:
    """Return facts for both sides of every condition."""
    full = {name: SAMPLES[name] for name in names}
    bare = {
        name: False if isinstance(value, bool) else None if name in OPTIONAL else value
        for name, value in full.items()
    }
    return [full, bare]


OPTIONAL = frozenset({"reason"})
"""Facts that a mail may have to do without."""


def _tried(name: str, locale: str, wording: Wording, params: Mapping[str, Any]) -> Rendered:
    parts: tuple[tuple[PartName, Wording], ...] = (
        ("subject", Wording(wording.subject, "", "")),
        ("text", Wording("", wording.text, "")),
        ("html", wording),
    )
    rendered: Rendered | None = None
    for part, alone in parts:  # one by one, so that it can be told which is wrong
        try:
            rendered = rendering.render(name, locale, params, alone)
        except BROKEN as error:
            line = getattr(error, "lineno", None) or 1
            raise TemplateWrong(part=part, line=line, reason=str(error)[:300]) from None
    assert rendered is not None
    return rendered


def _add(
    work: UnitOfWork, name: str, locale: str, wording: Wording | None, version: int
) -> Edition:
    before = current(work, name=name, locale=locale)
    if before.version != version:
        raise TemplateChanged(version=before.version)
    row = MailTemplate(
        name=name,
        locale=locale,
        version=version + 1,
        subject=wording and wording.subject,
        text=wording and wording.text,
        html=wording and wording.html,
        edited_by=work.actor.user_id,
        editor=work.actor.name[:64],
        edited_at=work.now,
    )
    work.session.add(row)
    work.session.flush()
    logs.record(
        work,
        action="mail_template.edit" if wording else "mail_template.reset",
        object_type="mail_template",
        object_id=row.id,
        before={"version": before.version},
        after={"name": name, "locale": locale, "version": row.version},
    )
    return Edition(name, locale, row.version, row)
