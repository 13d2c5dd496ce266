"""Tables of servers, of the links to them, and of the jobs that add and check them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from derpman.kit.db import Base
from derpman.kit.types import SEALED, Id, LongText, UtcDateTime, enum_column
from derpman.servers.states import JobStatus, ServerStatus, StageStatus, UpgradeStatus


class Transport(StrEnum):
    SSH = "ssh"
    LOCAL = "local"
    FAKE = "fake"
    """In the worker's own process, for tests and load: relays nothing, and says so."""


class AtMargin(StrEnum):
    """What is done with the relays of a server that comes to its margin."""

    STOP = "stop"
    MOVE = "move"


class Server(Base):
    """One machine that carries relays: where it is, whose it is, what it can take."""

    __tablename__ = "servers"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    ip: Mapped[str] = mapped_column(String(45))
    present_ip: Mapped[str | None] = mapped_column(String(45), unique=True)
    """The address while the server is not removed: nothing is added twice."""
    region: Mapped[str] = mapped_column(String(64), index=True)
    load: Mapped[float] = mapped_column(default=0.0)
    status: Mapped[ServerStatus] = mapped_column(enum_column(ServerStatus))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    public_ip: Mapped[str] = mapped_column(String(45))
    account_phone: Mapped[str | None] = mapped_column(String(32))
    """The phone number of the cloud account (Aliyun) it belongs to."""
    registered_place: Mapped[str | None] = mapped_column(String(128))
    """Where in China its address is registered."""
    traffic_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    month_traffic_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    monthly_allowance_bytes: Mapped[int | None] = mapped_column(BigInteger)
    billing_day: Mapped[int] = mapped_column(default=1)
    """Day of the month on which the operator's provider begins to count anew (Beijing time)."""
    margin_percent: Mapped[int | None] = mapped_column()
    """At this share of the allowance `at_margin` is done; empty: nothing is."""
    at_margin: Mapped[AtMargin] = mapped_column(enum_column(AtMargin), default=AtMargin.STOP)
    draining_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when it takes no new relays, because an operator wants it empty."""
    drain_reason: Mapped[str | None] = mapped_column(String(32))
    """`by_hand` or `at_margin`, which ends by itself when its provider counts anew."""
    is_moving_off: Mapped[bool] = mapped_column(default=False)
    """Its relays are moved to other servers while it drains."""
    leaving_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when it is to be removed as soon as it is empty."""
    leave_reason: Mapped[str | None] = mapped_column(String(500))
    leaves_at_once: Mapped[bool] = mapped_column(default=False)
    """Its relays do not wait until customers have taken their next map."""
    halted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when none of its relays runs, because its allowance is used up."""
    port_from: Mapped[int] = mapped_column()
    port_to: Mapped[int] = mapped_column()
    capacity: Mapped[int] = mapped_column(default=0)
    memory_bytes: Mapped[int] = mapped_column(BigInteger, default=0)

    transport: Mapped[Transport] = mapped_column(enum_column(Transport))
    socket_path: Mapped[str | None] = mapped_column(String(255))
    ssh_port: Mapped[int] = mapped_column(default=22)
    host_key: Mapped[str | None] = mapped_column(Text)
    """The pinned public host key, as it stands in known_hosts after the host."""
    ssh_key: Mapped[str | None] = mapped_column(Text, deferred=True, info=SEALED)
    """Our private key for this server alone, sealed."""

    relay_count: Mapped[int] = mapped_column(default=0)
    """How many relays are wanted here; moved only together with a placement."""
    desired_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    """Counts up with every change of what is wanted here; compared with what the node accepted."""
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class ServerLink(Base):
    """What the worker that holds a server knows of its node. Written by that worker only."""

    __tablename__ = "server_links"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id"), primary_key=True, autoincrement=False
    )
    leased_by: Mapped[str | None] = mapped_column(String(64))
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    contact_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(64))
    """Code of why there is no contact."""
    error_detail: Mapped[str | None] = mapped_column(String(500))
    applied_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    cursor: Mapped[str | None] = mapped_column(String(128))
    node_version: Mapped[str | None] = mapped_column(String(64))
    runtime: Mapped[str | None] = mapped_column(String(16))
    """What its relays run in: `docker`, `process`, or `fake`, which relays nothing."""
    relay_label: Mapped[str | None] = mapped_column(String(128))
    host: Mapped[str | None] = mapped_column(Text)
    """The host's figures of the last whole snapshot, as JSON."""
    rates: Mapped[str | None] = mapped_column(LongText)
    """Bytes per second of the relays that send, by id, of the last whole snapshot, as JSON."""


class ServerHealth(Base):
    """Why a server is in its state of health, and how often it was lost lately."""

    __tablename__ = "server_health"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id"), primary_key=True, autoincrement=False
    )
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    cause: Mapped[str | None] = mapped_column(String(32))
    """`no_contact` or `relays_unreachable`; empty when nothing is wrong."""
    losses: Mapped[int] = mapped_column(default=0)
    lost_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    settles_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When a server that came back counts as healthy, if it stays."""


class ServerHealthChange(Base):
    """The history of servers' states: when, from which to which, why, on what evidence."""

    __tablename__ = "server_health_changes"
    __table_args__ = (Index("ix_server_health_changes_server_id_id", "server_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    before: Mapped[ServerStatus] = mapped_column(enum_column(ServerStatus))
    after: Mapped[ServerStatus] = mapped_column(enum_column(ServerStatus))
    cause: Mapped[str | None] = mapped_column(String(32))
    evidence: Mapped[str] = mapped_column(Text)
    """What was seen by whom, as JSON."""


class ProbeVote(Base):
    """What one server sees of another that the panel misses."""

    __tablename__ = "probe_votes"

    target_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id"), primary_key=True, autoincrement=False
    )
    observer_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id"), primary_key=True, autoincrement=False
    )
    misses: Mapped[int] = mapped_column()
    """How often in a row it was not reached; 0: it was."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class RefusedHostKey(Base):
    """The host key of a server that was given up: never trusted again."""

    __tablename__ = "refused_host_keys"

    fingerprint: Mapped[str] = mapped_column(String(128), primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(String(500))


class ServerJob(Base):
    """Something long done to a server in the background, shown step by step."""

    __tablename__ = "server_jobs"
    __table_args__ = (Index("ix_server_jobs_status_leased_until", "status", "leased_until"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    status: Mapped[JobStatus] = mapped_column(enum_column(JobStatus))
    credential: Mapped[str | None] = mapped_column(Text, deferred=True, info=SEALED)
    """An administrator's access, sealed, erased when the job ends."""
    actor_name: Mapped[str] = mapped_column(String(64))
    leased_by: Mapped[str | None] = mapped_column(String(64))
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(64))


class ServerJobStep(Base):
    """One step of a job: what it does, how it went, in words an operator understands."""

    __tablename__ = "server_job_steps"
    __table_args__ = (Index("ix_server_job_steps_job_id_id", "job_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("server_jobs.id"))
    name: Mapped[str] = mapped_column(String(64))
    status: Mapped[JobStatus] = mapped_column(enum_column(JobStatus))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    params: Mapped[str | None] = mapped_column(Text)


class Upgrade(Base):
    """One roll-out of a node program and a relay image over servers, one server at a time."""

    __tablename__ = "server_upgrades"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    status: Mapped[UpgradeStatus] = mapped_column(enum_column(UpgradeStatus))
    open: Mapped[bool | None] = mapped_column(unique=True)
    """True while it is under way or paused, else empty: there is one at a time."""
    node_version: Mapped[str] = mapped_column(String(64))
    node_sha256: Mapped[str] = mapped_column(String(64))
    relay_label: Mapped[str] = mapped_column(String(128))
    watch_seconds: Mapped[int] = mapped_column()
    """How long the first server is watched before others follow."""
    reason: Mapped[str | None] = mapped_column(String(500))
    error: Mapped[str | None] = mapped_column(String(64))
    """Code of what it was paused by, unless an admin paused it."""
    actor_name: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class UpgradeStage(Base):
    """One server's turn in a roll-out."""

    __tablename__ = "server_upgrade_stages"
    __table_args__ = (UniqueConstraint("upgrade_id", "position"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    upgrade_id: Mapped[int] = mapped_column(ForeignKey("server_upgrades.id"))
    position: Mapped[int] = mapped_column()
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"), index=True)
    status: Mapped[StageStatus] = mapped_column(enum_column(StageStatus))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("server_jobs.id"), index=True)
    """The job that did, or does, the work; the newest one."""
    label_before: Mapped[str | None] = mapped_column(String(128))
    """The relay image that the server had, to go back to."""
    verdict_before: Mapped[str | None] = mapped_column(String(40))
    """When its node had last decided about a program before this turn; empty text: never."""
    watch_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(64))
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PanelKey(Base):
    """A key pair of this installation, such as the release key that signs relay images."""

    __tablename__ = "panel_keys"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    public: Mapped[str] = mapped_column(Text)
    private: Mapped[str] = mapped_column(Text, deferred=True, info=SEALED)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
