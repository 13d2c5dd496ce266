"""The messages of a node that the panel reads, checked before anything believes them.

A node is another machine and may be in other hands: shapes and sizes are bounded here, and what
a relay's row says is checked by whoever writes it. Fields we do not know are left alone, so that
a newer node can talk to us. The whole protocol stands in docs/node-protocol.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from derpman.kit.types import MAX_ID
from derpman.servers.errors import NodeError

VERSION = 1
MAX_LINE_BYTES = 4 * 1024 * 1024
"""Longest line in either direction."""

Count = Annotated[int, Field(ge=0, le=MAX_ID)]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Word = Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f]*$")]
Code = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f]*$")]
NodeKey = Annotated[str, Field(pattern=r"^nodekey:[0-9a-f]{64}$")]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


M = TypeVar("M", bound=_Message)


class HelloHost(_Message):
    cpus: Count = 0
    memory_bytes: Count = 0
    disk_free_bytes: Count = 0
    docker: Word | None = None
    kernel: Word = ""


class Upgraded(_Message):
    """How the last upgrade of a node's program went."""

    version: Word
    sha256: Word
    result: Code
    reason: Annotated[str, Field(max_length=1000)] = ""
    at: AwareDatetime


class Hello(_Message):
    protocol: int
    version: Word
    runtime: Annotated[str, Field(max_length=16, pattern=r"^[a-z]+$")]
    boot_id: Word = ""
    relay_label: Word | None = None
    generation: Count
    host: HelloHost = HelloHost()
    program: Word = ""
    """SHA-256 of the program that runs; empty from nodes that cannot be upgraded."""
    upgrade: Upgraded | None = None


class Present(_Message):
    key: NodeKey
    address: Word
    since: AwareDatetime


class Checks(_Message):
    """What a node saw when it looked at a relay as a client would."""

    tls: bool
    pin: bool
    http: bool
    stun: bool
    echo: bool | None = None
    stranger_refused: bool | None = None

    @property
    def is_proven(self) -> bool:
        """Tell whether everything was tried and held."""
        light = self.tls and self.pin and self.http and self.stun
        return bool(light and self.echo and self.stranger_refused)


class Relay(_Message):
    id: Annotated[int, Field(ge=1, le=MAX_ID)]
    generation: Count
    label: Word | None = None
    """The image it was made from."""
    state: Literal["starting", "ready", "degraded", "stopped", "failed"]
    reason: Code | None = None
    start_id: Word | None = None
    started_at: AwareDatetime | None = None
    restarts: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    sent_bytes: Count = 0
    received_bytes: Count = 0
    probe_bytes: Count = 0
    total_sent_bytes: Count = 0
    rate_bytes_per_second: Count = 0
    throttled: bool = False
    connections: Count = 0
    presence: list[Present] = Field(default_factory=list[Present])
    checks: Checks | None = None


class Knock(_Message):
    relay: Annotated[int, Field(ge=1, le=MAX_ID)]
    key: NodeKey
    address: Code
    first_at: AwareDatetime
    last_at: AwareDatetime
    count: Annotated[int, Field(ge=1, le=2**31 - 1)]
    seq: Count


class NodeEvent(_Message):
    seq: Count
    at: AwareDatetime
    relay: Count | None = None
    kind: Code
    detail: dict[str, Any] | None = None


class FinishedStart(_Message):
    relay: Annotated[int, Field(ge=1, le=MAX_ID)]
    start_id: Word
    started_at: AwareDatetime
    ended_at: AwareDatetime
    sent_bytes: Count
    probe_bytes: Count
    gap: bool


class HostStatus(_Message):
    load1: Number = 0.0
    cpu_fraction: Number = 0.0
    memory_used_bytes: Count = 0
    memory_bytes: Count = 0
    disk_free_bytes: Count = 0
    disk_bytes: Count = 0
    net_sent_bytes: Count = 0
    net_received_bytes: Count = 0
    admitted: Count = 0
    refused: Count = 0


class Snapshot(_Message):
    cursor: Word
    whole: bool
    generation: Count
    at: AwareDatetime
    relays: list[Relay] = Field(default_factory=list[Relay])
    removed: list[Count] = Field(default_factory=list[Count])
    knocks: list[Knock] = Field(default_factory=list[Knock])
    events: list[NodeEvent] = Field(default_factory=list[NodeEvent])
    starts: list[FinishedStart] = Field(default_factory=list[FinishedStart])
    host: HostStatus = HostStatus()


class ProbeResult(_Message):
    address: Word
    port: int
    tcp_ms: Number | None = None
    tls: bool | None = None
    """Whether it speaks TLS, whatever its certificate."""
    stun_ms: Number | None = None
    token_tcp: bool | None = None
    token_udp: bool | None = None
    error: str | None = None


class _Probed(_Message):
    results: list[ProbeResult]


def read_hello(body: dict[str, Any]) -> Hello:
    """Return a hello; NodeError when it is none, or of a protocol we do not speak."""
    hello = _read(Hello, body)
    if hello.protocol != VERSION:
        raise NodeError("node.other_protocol", f"protocol {hello.protocol}, not {VERSION}")
    return hello


def read_snapshot(body: dict[str, Any]) -> Snapshot:
    """Return a snapshot; NodeError when it is none."""
    return _read(Snapshot, body)


def read_probe(body: dict[str, Any]) -> list[ProbeResult]:
    """Return the results of a probe; NodeError when they are none."""
    return _read(_Probed, body).results


def _read(model: type[M], body: object) -> M:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NodeError("node.nonsense", f"{model.__name__}.{where}: {first['msg']}") from None
