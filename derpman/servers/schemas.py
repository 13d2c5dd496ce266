"""JSON of servers and of the jobs on them."""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from derpman.kit.paging import ExportQuery
from derpman.kit.states import allowed_actions
from derpman.kit.types import MAX_ID, Body, IdValue, Line, Out, Part
from derpman.servers.models import (
    AtMargin,
    Server,
    ServerJob,
    ServerJobStep,
    ServerLink,
    Transport,
)
from derpman.servers.rootshell import Credential, fingerprint_of
from derpman.servers.states import TRANSITIONS, JobStatus, ServerStatus
from derpman.servers.texts import sentence
from derpman.servers.upkeep import PORT_FROM, PORT_TO

ASKED_FOR = ("check", "retry", "give_up", "remove", "clean_up")
"""Actions that an administrator may ask for; the others happen."""


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # its own words hold what was typed
        raise ValueError("not an IP address") from None
    if (
        address.is_multicast
        or address.is_unspecified
        or address.is_link_local  # clouds tell their secrets there
        or getattr(address, "scope_id", None)
    ):
        raise ValueError("not the address of one machine")
    return str(address)


def _fingerprint(text: str) -> str:
    if not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", text):
        raise ValueError("a fingerprint looks like SHA256:… with 43 characters")
    return text


def _phone(text: str) -> str:
    if not re.fullmatch(r"\+?[0-9][0-9 -]{4,24}", text):
        raise ValueError("a phone number has digits, spaces and dashes")
    return text


Address = Annotated[str, StringConstraints(max_length=45), AfterValidator(_address)]
Fingerprint = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=64), AfterValidator(_fingerprint)
]
Phone = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=26), AfterValidator(_phone)
]
Region = Annotated[Line, StringConstraints(max_length=64)]
Place = Annotated[Line, StringConstraints(max_length=128)]
Bytes = Annotated[int, Field(ge=1, le=MAX_ID)]
RelayPort = Annotated[int, Field(ge=1024, le=65535)]
SshPort = Annotated[int, Field(ge=1, le=65535)]
Capacity = Annotated[int, Field(ge=1, le=2000)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=1024)]
KeyText = Annotated[SecretStr, Field(min_length=1, max_length=16384)]


class SshAccess(Body):
    """An administrator's access: used once to set the server up, and erased."""

    user: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")] = "root"
    password: Secret | None = None
    private_key: KeyText | None = None
    passphrase: Secret | None = None
    sudo_password: Secret | None = None

    def credential(self) -> Credential:
        """Return it, readable; SshKeyInvalid when the private key is none."""
        secrets = {
            name: None if value is None else value.get_secret_value()
            for name, value in self
            if name != "user"
        }
        credential = Credential(user=self.user, **secrets)
        credential.key()  # opening one with a passphrase takes a while: not within a transaction
        return credential


class AddServer(Body):
    ip: Address
    region: Region
    ssh: SshAccess | None = None
    """Without it the answer holds a line that the operator runs on the server."""
    ssh_port: SshPort = 22
    host_key_fingerprint: Fingerprint | None = None
    public_ip: Address | None = None
    account_phone: Phone | None = None
    registered_place: Place | None = None
    monthly_allowance_bytes: Bytes | None = None
    port_from: RelayPort = PORT_FROM
    port_to: RelayPort = PORT_TO
    capacity: Capacity | None = None
    """Proposed from memory and allowance when it is not given."""


class Retry(Body):
    ssh: SshAccess | None = None
    host_key_fingerprint: Fingerprint | None = None


class Update(Body):
    region: Region | None = None
    account_phone: Phone | None = None
    registered_place: Place | None = None
    monthly_allowance_bytes: Bytes | None = None
    billing_day: Annotated[int, Field(ge=1, le=31)] | None = None
    margin_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    at_margin: AtMargin | None = None
    port_from: RelayPort | None = None
    port_to: RelayPort | None = None
    capacity: Capacity | None = None
    ssh_port: SshPort | None = None
    version: IdValue | None = None
    """Of the server as it was shown; refused when somebody changed it since."""

    def values(self) -> dict[str, object]:
        """Return what was given; null empties a field that may be empty."""
        may_be_empty = {
            "account_phone",
            "registered_place",
            "monthly_allowance_bytes",
            "margin_percent",
        }
        given = self.model_dump(exclude_unset=True, exclude={"version"})
        return {k: v for k, v in given.items() if v is not None or k in may_be_empty}


class ScriptReport(Body):
    token: Annotated[str, StringConstraints(max_length=128)]
    host_key: Annotated[
        str, StringConstraints(max_length=2048, pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$")
    ]


ServerSort = Literal[
    "time",
    "-time",
    "region",
    "-region",
    "load",
    "-load",
    "users",
    "-users",
    "month_traffic",
    "-month_traffic",
]


class ServersQuery(ExportQuery):
    region: Annotated[str, StringConstraints(max_length=64)] | None = None
    status: ServerStatus | None = None
    search: Annotated[str, StringConstraints(max_length=64)] | None = None
    sort: ServerSort | None = None
    """Newest first without it."""


class ServerOut(Part):
    id: int
    ip: str
    public_ip: str
    region: str
    status: ServerStatus
    users: int
    """Relays wanted here; each is one user's."""
    capacity: int
    load: float
    rate_bytes_per_second: int
    traffic_bytes: int
    month_traffic_bytes: int
    monthly_allowance_bytes: int | None
    month_remaining_bytes: int | None
    billing_day: int
    margin_percent: int | None
    at_margin: AtMargin
    halted_at: datetime | None
    """Since when its relays stand still because the allowance is used up."""
    draining_at: datetime | None
    """Since when nothing new is placed here, by an operator's wish or at its margin."""
    leaving_at: datetime | None
    """Since when it is to be removed as soon as it is empty."""
    account_phone: str | None
    registered_place: str | None
    port_from: int
    port_to: int
    memory_bytes: int
    transport: Transport
    ssh_port: int
    host_key_fingerprint: str | None
    runtime: str | None
    """`docker`, `process`, or `fake`, which relays nothing."""
    node_version: str | None
    relay_label: str | None
    contact_at: datetime | None
    error: str | None
    error_message: str | None
    is_in_step: bool
    """Its node confirmed the newest desired state."""
    host: dict[str, Any] | None
    """The machine's own figures, at most some seconds old while there is contact."""
    created_at: datetime
    updated_at: datetime
    version: int
    allowed_actions: list[str]

    @classmethod
    def of(cls, server: Server, link: ServerLink | None) -> Self:
        link = link or ServerLink(server_id=server.id, applied_generation=0)
        host: dict[str, Any] | None = json.loads(link.host) if link.host else None
        allowance = server.monthly_allowance_bytes
        remaining = None if allowance is None else max(0, allowance - server.month_traffic_bytes)
        detail = {"ip": server.ip, "port": server.ssh_port, "detail": link.error_detail}
        return cls(
            id=server.id,
            ip=server.ip,
            public_ip=server.public_ip,
            region=server.region,
            status=server.status,
            users=server.relay_count,
            capacity=server.capacity,
            load=server.load,
            rate_bytes_per_second=host.pop("rate_bytes_per_second", 0) if host else 0,
            traffic_bytes=server.traffic_bytes,
            month_traffic_bytes=server.month_traffic_bytes,
            monthly_allowance_bytes=allowance,
            month_remaining_bytes=remaining,
            billing_day=server.billing_day,
            margin_percent=server.margin_percent,
            at_margin=server.at_margin,
            halted_at=server.halted_at,
            draining_at=server.draining_at,
            leaving_at=server.leaving_at,
            account_phone=server.account_phone,
            registered_place=server.registered_place,
            port_from=server.port_from,
            port_to=server.port_to,
            memory_bytes=server.memory_bytes,
            transport=server.transport,
            ssh_port=server.ssh_port,
            host_key_fingerprint=fingerprint_of(server.host_key) if server.host_key else None,
            runtime=link.runtime,
            node_version=link.node_version,
            relay_label=link.relay_label,
            contact_at=link.contact_at,
            error=link.error,
            error_message=sentence(link.error, detail) if link.error else None,
            is_in_step=link.applied_generation == server.desired_generation,
            host=host,
            created_at=server.created_at,
            updated_at=server.updated_at,
            version=server.version,
            allowed_actions=[
                action
                for action in allowed_actions(TRANSITIONS, server.status)
                if action in ASKED_FOR
            ],
        )


class RegionOut(Part):
    region: str
    servers: int
    healthy: int
    users: int
    capacity: int
    load: float
    """Mean of its servers."""

    @classmethod
    def of_row(cls, row: tuple[str, int, int, int, int, float]) -> Self:
        """Return the figures of a region, as they were selected."""
        region, servers, healthy, users, capacity, load = row
        return cls(
            region=region,
            servers=servers,
            healthy=healthy,
            users=users,
            capacity=capacity,
            load=round(load, 2),
        )


class StepOut(Part):
    name: str
    status: JobStatus
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    message: str | None
    found: dict[str, Any]
    """What the step found out; also the parameters of its error."""

    @classmethod
    def of(cls, step: ServerJobStep) -> Self:
        return cls(
            name=step.name,
            status=step.status,
            started_at=step.started_at,
            finished_at=step.finished_at,
            error=step.error,
            message=step.message,
            found=json.loads(step.params) if step.params else {},
        )


class JobOut(Part):
    id: int
    server_id: int
    kind: str
    status: JobStatus
    error: str | None
    actor_name: str
    created_at: datetime
    finished_at: datetime | None
    steps: list[StepOut]

    @classmethod
    def of(cls, job: ServerJob, steps: list[ServerJobStep]) -> Self:
        return cls(
            id=job.id,
            server_id=job.server_id,
            kind=job.kind,
            status=job.status,
            error=job.error,
            actor_name=job.actor_name,
            created_at=job.created_at,
            finished_at=job.finished_at,
            steps=[StepOut.of(step) for step in steps],
        )


class AddedOut(Out):
    server_id: int
    job_id: int
    command: str | None = None
    """To be run on the server as it stands, when no SSH access was given. Good for one hour."""


class JobQueuedOut(Out):
    job_id: int


class CommandOut(Out):
    command: str


class OneJobOut(Out):
    job: JobOut


class OneServerOut(Out):
    server: ServerOut
    job: JobOut | None = None
    """The last job on it."""


class ServersOut(Out):
    servers: list[ServerOut]
    next_before: int | None
    regions: list[RegionOut]


class DoneOut(Out):
    pass
