"""JSON of mail templates: what is in use, what is built in, what was before."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from derpman.kit.types import Body, Out, Part
from derpman.notifications import rendering
from derpman.notifications.models import MailTemplate
from derpman.notifications.rendering import TEMPLATES, Rendered, Wording
from derpman.notifications.wordings import Edition, wording_of

Source = Annotated[str, StringConstraints(min_length=1, max_length=200_000)]


class WordingIn(Body):
    """Jinja sources of the three parts; `params` of the template says what they may name."""

    subject: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    text: Source
    html: Source

    @property
    def wording(self) -> Wording:
        return Wording(self.subject, self.text, self.html)


class TemplateEdit(WordingIn):
    version: Annotated[int, Field(ge=0, le=2**31 - 1)]
    """The version that was read before."""


class TemplateReset(Body):
    version: Annotated[int, Field(ge=0, le=2**31 - 1)]


class WordingPart(Part):
    subject: str
    text: str
    html: str


class TemplateLine(Part):
    name: str
    locale: str
    version: int
    is_edited: bool
    editor: str | None
    edited_at: datetime | None
    allowed_actions: list[str]

    @classmethod
    def of(cls, edition: Edition) -> TemplateLine:
        """Return what is in use of a template, and what may be done with it."""
        row = edition.row
        is_edited = edition.wording is not None
        return cls(
            name=edition.name,
            locale=edition.locale,
            version=edition.version,
            is_edited=is_edited,
            editor=row and row.editor,
            edited_at=row and row.edited_at,
            allowed_actions=["edit", "reset"] if is_edited else ["edit"],
        )


class VersionLine(Part):
    version: int
    is_built_in: bool
    editor: str
    edited_at: datetime

    @classmethod
    def of(cls, row: MailTemplate) -> VersionLine:
        """Return a line of the history."""
        return cls(
            version=row.version,
            is_built_in=wording_of(row) is None,
            editor=row.editor,
            edited_at=row.edited_at,
        )


class TemplateOut(TemplateLine):
    wording: WordingPart
    built_in: WordingPart
    params: list[str]
    """Facts that it may name."""
    secrets: list[str]
    """Codes that text and page must contain and the subject may not."""
    shared_files: list[str]
    """What it may extend or include."""
    problem: str | None
    """Why the wording in use cannot be used any more; mails are built in then."""
    history: list[VersionLine]


def template_out(edition: Edition, problem: str | None, history: list[MailTemplate]) -> TemplateOut:
    """Return all about a template in one language."""
    template = TEMPLATES[edition.name]
    built_in = rendering.built_in(edition.name, edition.locale)
    return TemplateOut(
        **TemplateLine.of(edition).model_dump(),
        wording=WordingPart.model_validate(edition.wording or built_in),
        built_in=WordingPart.model_validate(built_in),
        params=sorted(template.params | {rendering.SITE, "locale"}),
        secrets=sorted(template.secrets),
        shared_files=sorted(rendering.shared_files()),
        problem=problem,
        history=[VersionLine.of(row) for row in history],
    )


class TemplatesOut(Out):
    templates: list[TemplateLine]


class OneTemplateOut(Out):
    template: TemplateOut


class VersionOut(Out):
    version: VersionLine
    wording: WordingPart


class PreviewOut(Out):
    """A mail of samples, with dots where codes stand."""

    preview: WordingPart

    @classmethod
    def of(cls, rendered: Rendered) -> PreviewOut:
        """Return a mail of samples for reading."""
        return cls(
            preview=WordingPart(
                subject=rendering.conceal(rendered.subject),
                text=rendering.conceal(rendered.text),
                html=rendering.conceal(rendered.html),
            )
        )
