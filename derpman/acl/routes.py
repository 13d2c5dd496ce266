"""HTTP of ACLs: what customers do with theirs, and the logs that admins search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from derpman.acl import addresses, documents, queries, service, standing, steps
from derpman.acl.diff import unified
from derpman.acl.errors import AclExpired, AclNotFound
from derpman.acl.forms import FormName
from derpman.acl.models import AclAddress
from derpman.acl.schemas import (
    AddressOut,
    AddressPart,
    ChangesOut,
    ChangesPart,
    CurrentOut,
    CurrentPart,
    DownloadForm,
    DownloadLine,
    DownloadPart,
    DownloadsOut,
    DownloadsQuery,
    FindingPart,
    GenerationPart,
    GenerationsOut,
    GenerationsQuery,
    Lint,
    LintOut,
    Merge,
    MergeOut,
    RemovedOut,
    RemoveFrom,
    UserLogQuery,
    VersionPart,
    VersionsOut,
    VersionsQuery,
)
from derpman.kit.csvfile import CSV, csv_file, listed
from derpman.kit.errors import NotFound
from derpman.kit.http import Guarded, RunAdmin, RunUser
from derpman.kit.paging import PageQuery
from derpman.kit.throttle import Limit
from derpman.kit.types import Out, Part
from derpman.kit.work import Edge, UnitOfWork
from derpman.users import service as users

router = APIRouter(prefix="/api/acl", tags=["acl"])
FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {f"application/{kind}": {} for kind in ("hujson", "json", "yaml")}}
}
DOWNLOADS = Limit("acl-downloads", 120, 600)
"""How many files one user may take in ten minutes: each is a row of the log."""
POLICIES = Limit("acl-policies", 60, 600)
"""How many pastes of one user are read in ten minutes: the largest takes two seconds of a core."""


def grace_of(request: Request) -> timedelta:
    """Return how long a version is handed out after its 32 days."""
    return timedelta(days=request.app.state.system.settings.acl_grace_days)


def site_of(request: Request) -> str:
    """Return the address of this installation, without a slash at its end."""
    return str(request.app.state.system.settings.public_url).rstrip("/")


Grace = Annotated[timedelta, Depends(grace_of)]
Site = Annotated[str, Depends(site_of)]


@router.get("/current")
def show_current(run: RunUser, grace: Grace) -> CurrentOut:
    """The version that the caller should use now; null without a rental."""
    return CurrentOut(acl=run.read(_current, grace))


@router.get("/changes")
def show_changes(run: RunUser) -> ChangesOut:
    """What the caller's version changed since the one before it."""
    found = run.read(documents.changes, user_id=run.actor.user_id or 0)
    return ChangesOut(changes=None if found is None else ChangesPart.model_validate(found))


@router.get("/download", response_class=Response, responses=FILES)
def download(
    run: RunUser,
    guards: Guarded,
    grace: Grace,
    form: DownloadForm = DownloadForm.SNIPPET,
    omit_default_regions: bool = False,
) -> Response:
    """The caller's ACL as a file; every download is logged."""
    _take(guards, DOWNLOADS, run)
    made = run(
        documents.download,
        form=FormName(form),
        omit_default_regions=omit_default_regions,
        grace=grace,
    )
    headers = {
        "Content-Disposition": f'attachment; filename="{made.file_name}"',
        "Cache-Control": "no-store",
        "ETag": made.etag,
    }
    return Response(made.body, media_type=made.media_type, headers=headers)


@router.post("/merge")
def merge(run: RunUser, guards: Guarded, grace: Grace, body: Merge) -> MergeOut:
    """A pasted policy with the caller's regions in it, all else as it was; nothing of it is kept.

    A region of his under one of these ids is a finding `region.clash` that names free ones.
    """
    _take(guards, POLICIES, run)
    made = steps.merge(run, **body.model_dump(), grace=grace)
    return MergeOut(
        policy=made.merged.text,
        diff=made.diff,
        is_new=made.merged.created,
        version=made.version,
        notes=[FindingPart.model_validate(note) for note in made.merged.notes],
    )


@router.post("/remove_from")
def remove_from(run: RunUser, guards: Guarded, body: RemoveFrom) -> RemovedOut:
    """A pasted policy without the regions of any version the caller ever had."""
    _take(guards, POLICIES, run)
    text = steps.remove_from(run, policy=body.policy)
    return RemovedOut(policy=text, diff=unified(body.policy, text))


@router.post("/lint")
def lint(run: RunUser, guards: Guarded, body: Lint) -> LintOut:
    """The known faults of a pasted policy, derpMap or headscale file; nothing of it is kept."""
    _take(guards, POLICIES, run)
    findings = steps.lint(run, text=body.text)
    return LintOut(findings=[FindingPart.model_validate(finding) for finding in findings])


@router.get("/versions")
def my_versions(run: RunUser, query: Annotated[PageQuery, Query()]) -> VersionsOut:
    """The caller's versions, newest first."""
    return _versions(run, user_id=run.actor.user_id, before=query.before, limit=query.limit)


@router.get("/downloads")
def my_downloads(run: RunUser, query: Annotated[PageQuery, Query()]) -> DownloadsOut:
    """Who took the caller's ACL, newest first."""
    rows, next_before = run.read(
        queries.downloads, user_id=run.actor.user_id, before=query.before, limit=query.limit
    )
    parts = [DownloadPart.model_validate(row) for row in rows]
    return DownloadsOut(downloads=parts, next_before=next_before)


@router.get("/address")
def show_address(run: RunUser, site: Site) -> AddressOut:
    """The caller's secret address for headscale; null when he has none."""
    return AddressOut(address=run.read(_address, addresses.show, site))


@router.post("/address")
def create_address(run: RunUser, site: Site) -> AddressOut:
    """Make the caller's secret address: whoever knows it reads his ACL until it is revoked."""
    return AddressOut(address=run(_address, addresses.create, site))


@router.post("/address/revoke")
def revoke_address(run: RunUser) -> Out:
    """Make the caller's secret address worthless."""
    run(addresses.revoke)
    return Out()


@router.get("/all_versions", response_model=VersionsOut, responses=CSV)
def all_versions(run: RunAdmin, query: Annotated[VersionsQuery, Query()]) -> Any:
    """Everybody's versions, newest first; a document itself is for its owner alone."""
    return listed(
        query,
        lambda one: _versions(run, **one.asked()),
        name="acl_versions",
        rows="versions",
        row=VersionPart,
    )


@router.get("/logs", response_model=GenerationsOut, responses=CSV)
def generations(run: RunAdmin, query: Annotated[GenerationsQuery, Query()]) -> Any:
    """Who made which version for whom, when, from where and why."""
    if query.format == "csv":
        return _csv(run, _generations, query, "acl_logs", GenerationPart)
    parts, next_before = run.read(_generations, query, query.before, query.limit)
    return GenerationsOut(logs=parts, next_before=next_before)


@router.get("/all_downloads", response_model=DownloadsOut, responses=CSV)
def all_downloads(run: RunAdmin, query: Annotated[DownloadsQuery, Query()]) -> Any:
    """Who took whose ACL, when, from where, with what and in which form."""
    if query.format == "csv":
        return _csv(run, _downloads, query, "acl_downloads", DownloadLine)
    parts, next_before = run.read(_downloads, query, query.before, query.limit)
    return DownloadsOut(downloads=parts, next_before=next_before)


def _take(guards: Guarded, limit: Limit, run: Edge) -> None:
    guards.take(limit, str(run.actor.user_id))


def _current(work: UnitOfWork, grace: timedelta) -> CurrentPart | None:
    user_id = work.actor.user_id or 0
    version = service.current(work, user_id=user_id)
    if version is None:
        return None
    reason = None
    try:
        service.offered(work, user_id=user_id, grace=grace)
    except (AclExpired, AclNotFound) as refusal:
        reason = refusal.code
    return CurrentPart(
        version=version.number,
        created_at=version.created_at,
        ends_at=service.ends_at(version, grace),
        digest=version.digest,
        region_ids=[slot.region_id for slot in documents.slots_of(version)],
        is_offered=reason is None,
        reason=reason,
        forms=list(FormName) if reason is None else [],
        applied=standing.applied(work, user_id=user_id),
        former=standing.former(work, user_id=user_id, grace=grace),
    )


def _versions(run: Edge, **filters: Any) -> VersionsOut:
    rows, next_before = run.read(queries.versions, **filters)
    parts = [VersionPart.model_validate(row) for row in rows]
    return VersionsOut(versions=parts, next_before=next_before)


def _address(
    work: UnitOfWork, verb: Callable[[UnitOfWork], AclAddress | None], site: str
) -> AddressPart | None:
    address = verb(work)
    if address is None:
        return None
    path = addresses.path(work, address)
    return AddressPart(
        url=None if path is None else site + path,
        created_at=address.created_at,
        fetched_at=address.fetched_at,
    )


def _generations(
    work: UnitOfWork, query: UserLogQuery, before: int | None, limit: int
) -> tuple[list[GenerationPart], int | None]:
    filters = _filters(work, query)
    if filters is None:
        return [], None
    rows, next_before = queries.generations(work, before=before, limit=limit, **filters)
    parts = [GenerationPart.model_validate(row) for row in rows]
    usernames = users.names_of(work, user_ids=[part.user_id for part in parts])
    for part in parts:
        part.username = usernames.get(part.user_id, "")
    return parts, next_before


def _downloads(
    work: UnitOfWork, query: UserLogQuery, before: int | None, limit: int
) -> tuple[list[DownloadPart], int | None]:
    filters = _filters(work, query)
    if filters is None:
        return [], None
    rows, next_before = queries.downloads(work, before=before, limit=limit, **filters)
    return [DownloadPart.model_validate(row) for row in rows], next_before


def _filters(work: UnitOfWork, query: UserLogQuery) -> dict[str, Any] | None:
    """Return what is asked for, a username as its user's id; None when nobody can be meant."""
    filters = query.filters()
    username = filters.pop("username")
    if username is not None:
        try:
            user_id = users.by_username(work, username=username).id
        except NotFound:
            return None
        if filters["user_id"] not in (None, user_id):
            return None
        filters["user_id"] = user_id
    return filters


def _csv(
    run: Edge,
    find: Callable[[UnitOfWork, UserLogQuery, int | None, int], tuple[Sequence[Part], int | None]],
    query: UserLogQuery,
    name: str,
    line: type[Part],
) -> StreamingResponse:
    def fetch(before: int | None, limit: int) -> tuple[list[Part], int | None]:
        parts, next_before = run.read(find, query, before, limit)
        return [line.model_validate(part) for part in parts], next_before

    return csv_file(name, list(line.model_fields), fetch)
