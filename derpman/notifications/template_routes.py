"""HTTP of mail templates, for super admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from derpman.kit.http import RunSuperAdmin
from derpman.kit.work import UnitOfWork
from derpman.notifications import rendering, wordings
from derpman.notifications.template_schemas import (
    OneTemplateOut,
    PreviewOut,
    TemplateEdit,
    TemplateLine,
    TemplateReset,
    TemplatesOut,
    VersionLine,
    VersionOut,
    WordingIn,
    WordingPart,
    template_out,
)

router = APIRouter(prefix="/api/notifications/templates", tags=["notifications"])
Name = Annotated[str, Path(max_length=64, pattern="^[a-z_]+$")]
Locale = Annotated[str, Path(max_length=16, pattern="^[A-Za-z-]+$")]
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("")
def list_templates(run: RunSuperAdmin) -> TemplatesOut:
    """Every mail the system writes, in every language."""
    editions = run.read(wordings.editions)
    return TemplatesOut(templates=[TemplateLine.of(edition) for edition in editions])


@router.get("/{name}/{locale}")
def show_template(run: RunSuperAdmin, name: Name, locale: Locale) -> OneTemplateOut:
    """One template: the wording in use, the built-in one, what it may name, its history."""
    return run.read(_shown, name, locale)


@router.post("/{name}/{locale}")
def edit_template(
    run: RunSuperAdmin, name: Name, locale: Locale, body: TemplateEdit
) -> OneTemplateOut:
    """Use another wording for mails from now on; refused when it cannot be rendered."""
    run(wordings.edit, name=name, locale=locale, wording=body.wording, version=body.version)
    return run.read(_shown, name, locale)


@router.post("/{name}/{locale}/reset")
def reset_template(
    run: RunSuperAdmin, name: Name, locale: Locale, body: TemplateReset
) -> OneTemplateOut:
    """Use the built-in wording again."""
    run(wordings.reset, name=name, locale=locale, version=body.version)
    return run.read(_shown, name, locale)


@router.post("/{name}/{locale}/preview")
def preview_template(
    _run: RunSuperAdmin, name: Name, locale: Locale, body: WordingIn
) -> PreviewOut:
    """What a wording makes of samples; nothing is kept."""
    return PreviewOut.of(wordings.preview(name=name, locale=locale, wording=body.wording))


@router.get("/{name}/{locale}/versions/{version}")
def show_version(run: RunSuperAdmin, name: Name, locale: Locale, version: Version) -> VersionOut:
    """An earlier wording."""
    row = run.read(wordings.version_of, name=name, locale=locale, version=version)
    wording = wordings.wording_of(row) or rendering.built_in(name, locale)
    return VersionOut(version=VersionLine.of(row), wording=WordingPart.model_validate(wording))


def _shown(work: UnitOfWork, name: str, locale: str) -> OneTemplateOut:
    edition = wordings.current(work, name=name, locale=locale)
    history = wordings.history(work, name=name, locale=locale)
    return OneTemplateOut(template=template_out(edition, wordings.problem_of(edition), history))
