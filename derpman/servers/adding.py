"""The programs that add a server and that leave one: step by step, each may be repeated."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy.orm import undefer

from derpman.kit.clock import utc_now
from derpman.kit.lazy import Lazy
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.servers import bootstrap, checking, draining, jobs
from derpman.servers.errors import StepFailed
from derpman.servers.jobrun import JobRun, Program
from derpman.servers.models import Server, Transport
from derpman.servers.node import NodeClient
from derpman.servers.release import release_key
from derpman.servers.rootshell import Credential, RootShell, fingerprint_of, public_text
from derpman.servers.rootshell import read_host_key as read_key
from derpman.servers.states import TRANSITIONS, ServerStatus
from derpman.servers.upgrading import upgrade

if TYPE_CHECKING:
    import asyncssh
else:
    asyncssh = Lazy("asyncssh")

FREE_MB = 1024
MEMORY_MB = 384
SYSTEM_MEMORY_BYTES = 320 * 2**20
"""What a server keeps for itself, its node and Docker."""
MONTH_OF_A_RELAY_BYTES = 20 * 2**30
"""What one relay is planned with when a capacity is proposed from a monthly allowance."""
MOST_RELAYS = 1000
PACKAGES_SECONDS = 900
SEND_SECONDS = 900
KNOWN_SYSTEMS = {"debian", "ubuntu", "alinux", "anolis"}
NODE_START_SECONDS = 20


async def add(job: JobRun) -> None:
    """The program of adding: from an address to a server that takes customers."""
    credential, fingerprint = await job.held(jobs.access)
    where = await job.where()
    if where.transport is Transport.SSH:
        await _pin(job, fingerprint)
    if credential is not None:
        await _set_up(job, credential)
    node = await checking.greet(job, patience_seconds=NODE_START_SECONDS)
    try:
        await checking.equip(job, node)
        if where.transport is Transport.SSH:
            await checking.find_ports(job, node)
        await checking.measure(job, node)
        await _accept(job, node)
    finally:
        await node.close()


async def _pin(job: JobRun, fingerprint: str | None) -> None:
    async with job.step("host_key") as found:
        where = await job.where()
        pinned = where.host_key
        if pinned is None or (fingerprint and fingerprint_of(pinned) != fingerprint):
            pinned = await read_key(where.ip, where.ssh_port, fingerprint)
            refused = await job.read(draining.refusal, host_key=pinned)
            if refused is not None:
                raise StepFailed("server.host_key_refused", reason=refused)
            await job.held(_record_host_key, pinned)
        found |= {"fingerprint": fingerprint_of(pinned), "compared": fingerprint is not None}


async def _set_up(job: JobRun, credential: Credential) -> None:
    shell = await _log_in(job, credential)
    try:
        has_program = await _examine(job, shell)
        async with job.step("docker") as found:
            said = await shell.verb("docker", seconds=PACKAGES_SECONDS)
            found |= {name: said.get(name, "")[:64] for name in ("docker", "live_restore")}
        async with job.step("account"):
            await shell.verb("account", await job.read(public_key, job.server_id))
        async with job.step("program") as found:
            node = await asyncio.to_thread(bootstrap.program, job.means.build_dir)
            found["sha256"] = node.sha256
            if has_program != node.sha256:
                await shell.verb("program", node.sha256, data=node.packed, seconds=SEND_SECONDS)
                found["sent_bytes"] = len(node.packed)
        async with job.step("service"):
            await shell.verb("service", await job.write(release_key), seconds=60)
    finally:
        await shell.close()


async def _log_in(job: JobRun, credential: Credential) -> RootShell:
    async with job.step("log_in") as found:
        found["user"] = credential.user
        where = await job.where()
        assert where.host_key is not None
        return await RootShell.open(where.ip, where.ssh_port, where.host_key, credential)


async def _examine(job: JobRun, shell: RootShell) -> str:
    """Step: see what the server is; return the checksum of the node's program that it has."""
    async with job.step("system") as found:
        facts = await shell.verb("look")
        now = utc_now()
        free_mb = _number(facts, "disk_free_bytes") // 2**20
        memory_mb = _number(facts, "memory_bytes") // 2**20
        skew = _number(facts, "clock") - round(now.timestamp())
        found |= {name: facts.get(name, "")[:128] for name in ("os_name", "arch", "kernel")}
        found |= {"disk_free_mb": free_mb, "memory_mb": memory_mb, "clock_seconds": skew}
        if facts.get("os") not in KNOWN_SYSTEMS or facts.get("systemd") != "yes":
            raise StepFailed("server.os_unsupported")
        if free_mb < FREE_MB:
            raise StepFailed("server.disk_full", free_mb=free_mb, needed_mb=FREE_MB)
        if memory_mb < MEMORY_MB:
            raise StepFailed("server.memory_short", memory_mb=memory_mb, needed_mb=MEMORY_MB)
        if abs(skew) > checking.CLOCK_SECONDS:
            raise StepFailed("server.clock_wrong", seconds=skew)
        return facts.get("program_sha256", "")


def _number(facts: dict[str, str], name: str) -> int:
    text = facts.get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise StepFailed("server.nonsense", detail=f"{name} is {text[:40]!r}")
    return int(text)


async def _accept(job: JobRun, node: NodeClient) -> None:
    async with job.step("accept") as found:
        hello = await node.hello()
        capacity = await job.held(
            _record_accepted, hello.host.memory_bytes, job.means.relay_memory_bytes
        )
        found["capacity"] = capacity


async def leave(job: JobRun) -> None:
    """The program of removing: nothing of ours stays on the server."""
    where = await job.where()
    if where.transport is Transport.SSH and where.host_key is None:
        return  # it was never set up
    node = await checking.greet(job, patience_seconds=NODE_START_SECONDS)
    try:
        async with job.step("retire"):
            generation = (await node.hello()).generation + 1
            await node.apply({"generation": generation, "relays": []})
            await node.call("retire", {"generation": generation}, seconds=60)
            await job.held(_forget_key)
    finally:
        await node.close()


PROGRAMS: dict[str, Program] = {
    "add": add,
    "check": checking.check,
    "remove": leave,
    "upgrade": upgrade,
}


def public_key(work: UnitOfWork, server_id: int) -> str:
    """Return our public key for a server, as its authorized_keys has it."""
    sealed = work.session.get_one(Server, server_id, options=[undefer(Server.ssh_key)]).ssh_key
    assert sealed is not None
    key = asyncssh.import_private_key(work.vault.open(sealed))
    return f"{public_text(key)} derpman"


def propose_capacity(server: Server, memory_bytes: int, relay_memory_bytes: int) -> int:
    """Return how many relays a server should take, from memory, allowance and ports."""
    by_memory = (memory_bytes - SYSTEM_MEMORY_BYTES) // relay_memory_bytes
    limits = [MOST_RELAYS, by_memory, server.port_to - server.port_from + 1]
    if server.monthly_allowance_bytes is not None:
        limits.append(server.monthly_allowance_bytes // MONTH_OF_A_RELAY_BYTES)
    return max(1, min(limits))


def _record_host_key(work: UnitOfWork, job_id: int, worker: str, host_key: str) -> None:
    server = _server_of(work, job_id, worker)
    server.host_key = host_key
    server.updated_at = work.now


def _record_accepted(
    work: UnitOfWork, job_id: int, worker: str, memory_bytes: int, relay_memory_bytes: int
) -> int:
    server = _server_of(work, job_id, worker)
    server.memory_bytes = memory_bytes
    if server.capacity == 0:
        server.capacity = propose_capacity(server, memory_bytes, relay_memory_bytes)
    if server.status is ServerStatus.ADDING:  # else a worker died between this and the job's end
        server.status = next_state(TRANSITIONS, server.status, "accept")
    server.updated_at = work.now
    work.wake("servers")
    return server.capacity


def _forget_key(work: UnitOfWork, job_id: int, worker: str) -> None:
    _server_of(work, job_id, worker).ssh_key = None


def _server_of(work: UnitOfWork, job_id: int, worker: str) -> Server:
    job = jobs.hold(work, job_id, worker)
    return work.session.get_one(Server, job.server_id, populate_existing=True)
