"""JSON of the ACL module."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from derpman.acl.derpmap import Severity
from derpman.acl.forms import FormName
from derpman.acl.states import AclStatus, Evidence, RotationStatus
from derpman.kit.paging import TimedQuery
from derpman.kit.types import Body, IdValue, Line, Out, Part
from derpman.logs.schemas import LogQuery

PastedText = Annotated[str, Field(max_length=900_000)]
Word = Annotated[Line, Field(max_length=64)]


class DownloadForm(StrEnum):
    """The forms that are files; a merged policy and the secret address have routes of their own."""

    SNIPPET = FormName.SNIPPET.value
    HEADSCALE_YAML = FormName.HEADSCALE_YAML.value
    HEADSCALE_JSON = FormName.HEADSCALE_JSON.value


class Merge(Body):
    policy: PastedText
    omit_default_regions: bool = False
    """Leave out Tailscale's own relays; counts where the policy has no derpMap yet."""


class RemoveFrom(Body):
    policy: PastedText


class Lint(Body):
    text: PastedText


class FindingPart(Part):
    code: str
    path: str
    severity: Severity
    params: Mapping[str, Any]


class AppliedPart(Part):
    """Which version a tailnet has applied, and how we know."""

    version: int
    evidence: Evidence
    since: datetime


class UsagePart(Part):
    user_id: int
    username: str
    current_version: int
    applied: AppliedPart | None
    on_new_since: datetime | None
    """Since when a device is on a relay that only the version in force names."""
    off_old_since: datetime | None
    """Since when none is on a relay that it names no more."""


class UsagesOut(Out):
    usages: list[UsagePart]
    next_before: int | None


class UsageQuery(TimedQuery):
    user_id: IdValue | None = None
    evidence: Evidence | None = None
    is_behind: bool | None = None
    """Only those whose tailnets have not applied the version in force, or only the others."""


class Applied(Body):
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class AppliedOut(Out):
    applied: AppliedPart | None


class RotationPart(Part):
    """The making of somebody's next version."""

    id: int
    user_id: int
    username: str
    job_id: int | None
    status: RotationStatus
    reason: str
    is_new_ports: bool
    actor_name: str
    version: int | None
    """The version that was made."""
    error: str | None
    """The code of what stood in the way."""
    created_at: datetime
    begun_at: datetime | None
    ended_at: datetime | None


class RotationOut(Out):
    rotation: RotationPart


class RotationsOut(Out):
    rotations: list[RotationPart]
    next_before: int | None


class RotationsQuery(TimedQuery):
    user_id: IdValue | None = None
    job_id: IdValue | None = None
    status: RotationStatus | None = None


class JobPart(Part):
    """The next version for everybody on a server, and how far it is."""

    id: int
    server_id: int
    reason: str
    is_new_ports: bool
    actor_name: str
    created_at: datetime
    cancelled_at: datetime | None
    total: int
    done: int
    cancelled: int
    is_over: bool


class JobOut(Out):
    job: JobPart


class JobsOut(Out):
    jobs: list[JobPart]
    next_before: int | None


class RelayPart(Part):
    slot: int
    region_id: int
    address: str
    port: int


class FormerPart(Part):
    """A version before the one in force that still works, and what only such ones name."""

    version: int
    ends_at: datetime
    relays: list[RelayPart]


class CurrentPart(Part):
    version: int
    created_at: datetime
    ends_at: datetime
    digest: str
    """SHA-256 of the derpMap as an address gives it out, lower-case hex."""
    region_ids: list[int]
    is_offered: bool
    """Whether it can be taken now; `reason` says why not."""
    reason: str | None
    forms: list[FormName]
    applied: AppliedPart | None
    """Which version the tailnet has applied; null when nothing is known."""
    former: list[FormerPart]


class ChangesPart(Part):
    version: int
    since: int
    """The version before it."""
    diff: str
    """Unified, of each region's name, host, ports and the beginning of its pin."""


class ChangesOut(Out):
    changes: ChangesPart | None
    """Null without a former version."""


class CurrentOut(Out):
    acl: CurrentPart | None


class MergeOut(Out):
    policy: str
    diff: str
    is_new: bool
    """Whether the pasted policy was empty: what comes back has nothing but the derpMap."""
    version: int
    notes: list[FindingPart]


class RemovedOut(Out):
    policy: str
    diff: str


class LintOut(Out):
    findings: list[FindingPart]


class VersionPart(Part):
    id: int
    user_id: int
    rental_id: int
    version: Annotated[int, Field(validation_alias="number")]
    status: AclStatus
    reason: str
    digest: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class VersionsOut(Out):
    versions: list[VersionPart]
    next_before: int | None


class VersionsQuery(TimedQuery):
    user_id: IdValue | None = None
    status: AclStatus | None = None


class AddressPart(Part):
    url: str | None
    """The whole address, for `derp.urls` of headscale; null when it cannot be read any more."""
    created_at: datetime
    fetched_at: datetime | None
    """When it was last asked, as the log of downloads has it: at most an hour too early."""


class AddressOut(Out):
    address: AddressPart | None


class UserLogQuery(LogQuery):
    """`version` is its number, `user_id` or `username` whose it is."""

    user_id: IdValue | None = None
    username: Word | None = None
    ip_address: Annotated[Word | None, Field(alias="ip")] = None
    acl_version: Annotated[Word | None, Field(alias="version")] = None


class GenerationsQuery(UserLogQuery):
    reason: Word | None = None


class DownloadsQuery(UserLogQuery):
    form: FormName | None = None
    machine_code: Annotated[Line | None, Field(alias="machine")] = None


class GenerationPart(Part):
    id: int
    user_id: int
    username: str = ""
    ip_address: str
    location: str
    acl_version: str
    reason: str
    actor_name: str
    created_at: datetime


class GenerationsOut(Out):
    logs: list[GenerationPart]
    next_before: int | None


class DownloadPart(Part):
    id: int
    user_id: int
    username: str
    ip_address: str
    location: str
    machine_code: str | None
    """`browser:…`, `machine:…` or `address:…`; null when there was none."""
    browser: str
    system: str
    acl_version: str
    form: FormName
    created_at: datetime


class DownloadLine(DownloadPart):
    """A download in a CSV file, where an empty cell would say nothing."""

    machine_code: Annotated[str | None, BeforeValidator(lambda code: code or "none")]


class DownloadsOut(Out):
    downloads: list[DownloadPart]
    next_before: int | None
