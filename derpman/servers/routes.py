"""HTTP of servers, for admins; and the two calls that the operator's script makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from derpman.kit.csvfile import CSV, listed
from derpman.kit.errors import Unavailable
from derpman.kit.http import RunAdmin, RunAdminFresh, RunPublic
from derpman.kit.live import Live
from derpman.kit.paging import PageQuery
from derpman.kit.types import IdValue
from derpman.kit.work import UnitOfWork
from derpman.logs import queries as log_queries
from derpman.logs.schemas import ServerLogRow, ServerLogsOut
from derpman.servers import adding, bootstrap, jobs, queries, release, service, upkeep
from derpman.servers.errors import BootstrapTokenInvalid, NotBuilt, StepFailed
from derpman.servers.schemas import (
    AddedOut,
    AddServer,
    CommandOut,
    DoneOut,
    JobOut,
    JobQueuedOut,
    OneJobOut,
    OneServerOut,
    RegionOut,
    Retry,
    ScriptReport,
    ServerOut,
    ServersOut,
    ServersQuery,
    Update,
)
from derpman.servers.states import JobStatus

SCRIPT_SECONDS = 3600
router = APIRouter(prefix="/api/server", tags=["server"])


@router.post("/add")
def add_server(request: Request, run: RunAdminFresh, body: AddServer) -> AddedOut:
    """Begin to add a server. With SSH access a job sets it up; without, a script does."""
    values = body.model_dump(exclude={"ssh", "host_key_fingerprint", "capacity"})
    server, job = run(
        upkeep.add,
        **values,
        capacity=body.capacity or 0,
        credential=body.ssh.credential() if body.ssh else None,
        fingerprint=body.host_key_fingerprint,
    )
    command = None if body.ssh else _command(request, server.id)
    return AddedOut(server_id=server.id, job_id=job.id, command=command)


@router.get("/list", response_model=ServersOut, responses=CSV)
def list_servers(run: RunAdmin, query: Annotated[ServersQuery, Query()]) -> Any:
    """Servers, newest first, and the figures of every region."""
    return listed(
        query, lambda one: run.read(_list, one), name="servers", rows="servers", row=ServerOut
    )


@router.get("/jobs/{job_id}")
def show_job(run: RunAdmin, job_id: IdValue) -> OneJobOut:
    """A job with its steps."""
    return OneJobOut(job=run.read(_job, job_id))


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
def watch_job(request: Request, run: RunAdmin, job_id: IdValue) -> StreamingResponse:
    """The same as a stream of server-sent events, which ends when the job has."""
    live: Live = request.app.state.live
    if live.is_full:
        raise Unavailable
    run.read(jobs.get, job_id)
    has_ended = False

    def fetch() -> dict[str, Any] | None:
        nonlocal has_ended
        if has_ended:
            return None
        job: JobOut = run.read(_job, job_id)
        has_ended = job.status in (JobStatus.DONE, JobStatus.FAILED)
        return OneJobOut(job=job).model_dump(mode="json")

    return live.stream(request, f"server-job:{job_id}", fetch)


@router.get("/{server_id}")
def show_server(run: RunAdmin, server_id: IdValue) -> OneServerOut:
    """One server, with the last job on it."""
    return run.read(_one, server_id)


@router.get("/{server_id}/log")
def show_log(
    run: RunAdmin, server_id: IdValue, query: Annotated[PageQuery, Query()]
) -> ServerLogsOut:
    """What was done on it, by whom, with what result."""
    run.read(service.get, server_id)
    rows, next_before = run.read(log_queries.server_logs, server_id=server_id, **query.model_dump())
    return ServerLogsOut(
        logs=[ServerLogRow.model_validate(row) for row in rows], next_before=next_before
    )


@router.post("/{server_id}/check")
def check_server(run: RunAdmin, server_id: IdValue) -> JobQueuedOut:
    """Have it looked at: its node, its ports from outside, its clock, its distance."""
    return JobQueuedOut(job_id=run(upkeep.check, server_id=server_id).id)


@router.post("/{server_id}/retry")
def retry_server(run: RunAdminFresh, server_id: IdValue, body: Retry) -> JobQueuedOut:
    """Set it up again after it could not be added."""
    job = run(
        upkeep.retry,
        server_id=server_id,
        credential=body.ssh.credential() if body.ssh else None,
        fingerprint=body.host_key_fingerprint,
    )
    return JobQueuedOut(job_id=job.id)


@router.post("/{server_id}/update")
def update_server(run: RunAdmin, server_id: IdValue, body: Update) -> OneServerOut:
    """Change its fields; what is left out stays."""
    run(upkeep.change, server_id=server_id, values=body.values(), version=body.version)
    return run.read(_one, server_id)


@router.post("/{server_id}/clean_up")
def clean_up_server(run: RunAdmin, server_id: IdValue) -> JobQueuedOut:
    """Try once more to clean up on a removed server that could not be reached then."""
    return JobQueuedOut(job_id=run(upkeep.clean_up, server_id=server_id).id)


@router.post("/{server_id}/script")
def make_command(request: Request, run: RunAdminFresh, server_id: IdValue) -> CommandOut:
    """A new line for the operator to run on the server, good for one hour."""
    run.read(service.get, server_id)
    return CommandOut(command=_command(request, server_id))


@router.get("/{server_id}/bootstrap", response_class=StreamingResponse)
def give_script(
    request: Request,
    run: RunPublic,
    server_id: IdValue,
    token: Annotated[str, Query(max_length=128)],
) -> StreamingResponse:
    """The script that sets a server up, with the node's program inside."""
    system = request.app.state.system
    _check_token(system, server_id, token)
    try:
        node = bootstrap.program(system.settings.build_dir)
    except StepFailed:
        raise NotBuilt from None
    text: Iterator[str] = bootstrap.script(
        node=node,
        public_key=run.read(adding.public_key, server_id),
        release_key=run(release.release_key),
        report_url=f"{system.settings.public_url}/api/server/{server_id}/bootstrap",
        token=token,
    )
    return StreamingResponse(text, media_type="text/x-shellscript")


@router.post("/{server_id}/bootstrap")
def hear_script(
    request: Request, run: RunPublic, server_id: IdValue, body: ScriptReport
) -> DoneOut:
    """The script has run on the server, whose SSH host key is this."""
    _check_token(request.app.state.system, server_id, body.token)
    run(upkeep.report_script, server_id=server_id, host_key=body.host_key)
    return DoneOut()


def _command(request: Request, server_id: int) -> str:
    system = request.app.state.system
    until = int(system.clock().timestamp()) + SCRIPT_SECONDS
    token = f"{until}.{system.vault.sign(f'bootstrap:{server_id}:{until}')}"
    address = f"{system.settings.public_url}/api/server/{server_id}/bootstrap?token={token}"
    return f"curl -fsS '{address}' | sudo sh"


def _check_token(system: Any, server_id: int, token: str) -> None:
    until, _, signature = token.partition(".")
    if not (until.isascii() and until.isdigit() and len(until) < 16):
        raise BootstrapTokenInvalid
    is_ours = system.vault.is_signed(f"bootstrap:{server_id}:{until}", signature)
    if not is_ours or int(until) < system.clock().timestamp():
        raise BootstrapTokenInvalid


def _list(work: UnitOfWork, query: ServersQuery) -> ServersOut:
    found, next_before = queries.servers(work, **query.asked())
    links = queries.links(work, [server.id for server in found])
    return ServersOut(
        servers=[ServerOut.of(server, links.get(server.id)) for server in found],
        next_before=next_before,
        regions=[RegionOut.of_row(row) for row in queries.regions(work)],
    )


def _one(work: UnitOfWork, server_id: int) -> OneServerOut:
    server = service.get(work, server_id)
    job = jobs.newest(work, server_id)
    return OneServerOut(
        server=ServerOut.of(server, queries.links(work, [server_id]).get(server_id)),
        job=JobOut.of(job, jobs.steps(work, job.id)) if job else None,
    )


def _job(work: UnitOfWork, job_id: int) -> JobOut:
    return JobOut.of(jobs.get(work, job_id), jobs.steps(work, job_id))
