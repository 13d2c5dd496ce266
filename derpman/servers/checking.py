"""Steps that look at a server through its node: who answers, its ports, its clock, its distance."""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import select

from derpman.kit.clock import utc_now
from derpman.kit.work import UnitOfWork
from derpman.servers import reach, transports
from derpman.servers.endpoints import Endpoint, endpoint
from derpman.servers.errors import NodeError, StepFailed
from derpman.servers.jobrun import JobRun
from derpman.servers.models import Server, Transport
from derpman.servers.node import NodeClient
from derpman.servers.protocol import Hello
from derpman.servers.release import built_image, send_image, sign
from derpman.servers.states import ServerStatus

OBSERVERS = 5
OBSERVER_SECONDS = 30.0
CLOCK_SECONDS = 30
MEASURES = 5


async def check(job: JobRun) -> None:
    """The program of a check: everything but setting up, on a server that carries relays."""
    node = await greet(job)
    try:
        await find_ports(job, node)
        await measure(job, node)
    finally:
        await node.close()


async def greet(job: JobRun, *, patience_seconds: float = 0) -> NodeClient:
    """Step: connect with our own key and hear who answers. The caller closes the connection."""
    async with job.step("hello") as found:
        node, hello = await answer(await job.where(), patience_seconds)
        found |= {
            "version": hello.version,
            "runtime": hello.runtime,
            "docker": hello.host.docker,
            "kernel": hello.host.kernel,
            "relay_label": hello.relay_label,
        }
        if hello.runtime == "docker" and not hello.host.docker:
            await node.close()
            raise NodeError("node.no_docker")
        return node


async def answer(where: Endpoint, patience_seconds: float) -> tuple[NodeClient, Hello]:
    """Return a connection and its hello, trying for a while: a node just started takes a moment."""
    until = time.monotonic() + patience_seconds
    while True:
        try:
            node = await transports.connect(where)
            try:
                return node, await node.hello()
            except BaseException:
                await node.close()
                raise
        except NodeError as error:
            if time.monotonic() > until or error.code in (
                "server.host_key_changed",
                "node.other_protocol",
            ):
                raise
        await asyncio.sleep(1)


async def equip(job: JobRun, node: NodeClient) -> None:
    """Step: send the relay image where the node has another one or none."""
    async with job.step("image") as found:
        built = await asyncio.to_thread(built_image, job.means.build_dir)
        hello = await node.hello()
        if built is None:
            if hello.relay_label is None:
                raise StepFailed("panel.not_built")
            found["label"] = hello.relay_label
            return
        found["label"] = built.label
        if hello.relay_label != built.label:
            signature = await job.write(sign, label=built.label, sha256=built.sha256)
            await send_image(node, built.signed(signature))
            found["sent_bytes"] = built.size


async def find_ports(job: JobRun, node: NodeClient) -> None:
    """Step: see from the panel and from other servers that the ports are open."""
    async with job.step("ports") as found:
        server: Server = await job.read(_server, job.server_id)
        address = server.public_ip
        token = reach.new_token()
        wanted = reach.sample(server.port_from, server.port_to)
        ports = await reach.open_ports(node, wanted, token)
        if not ports:
            raise StepFailed("ports.none_free", port_from=server.port_from, port_to=server.port_to)
        others: list[tuple[str, Endpoint]] = await job.read(_observers, job.server_id)
        views = await asyncio.gather(
            reach.look_from_here(address, ports, token),
            *(_look_from(name, where, address, ports, token) for name, where in others),
        )
        seen = reach.Seen(ports)
        for view in views:
            seen.tcp |= view.tcp
            seen.udp |= view.udp
            seen.observers += view.observers
        found |= {"ports": ports, "seen_by": seen.observers}
        if seen.closed_tcp or seen.closed_udp:
            raise StepFailed(
                "ports.closed",
                tcp=_list(seen.closed_tcp),
                udp=_list(seen.closed_udp),
                port_from=server.port_from,
                port_to=server.port_to,
            )


async def _look_from(
    name: str, where: Endpoint, address: str, ports: list[int], token: str
) -> reach.Seen:
    """Return what another server sees; nothing, when that server has troubles of its own."""
    try:
        async with asyncio.timeout(OBSERVER_SECONDS):
            node = await transports.connect(where)
            try:
                return await reach.look_from(node, name, address, ports, token)
            finally:
                await node.close()
    except (NodeError, TimeoutError):
        return reach.Seen(ports)


def _list(ports: list[int]) -> str:
    return ", ".join(map(str, ports)) or "none"


async def measure(job: JobRun, node: NodeClient) -> None:
    """Step: measure the distance and compare the clocks."""
    async with job.step("measure") as found:
        spans: list[float] = []
        for _ in range(MEASURES):
            began = time.perf_counter()
            await node.hello()
            spans.append(time.perf_counter() - began)
        asked_at = utc_now()
        snapshot = await node.snapshot()
        skew = (snapshot.at - asked_at).total_seconds() - min(spans) / 2
        found |= {
            "latency_ms": round(min(spans) * 1000, 1),
            "clock_seconds": round(skew, 2),
            "load1": snapshot.host.load1,
            "disk_free_mb": snapshot.host.disk_free_bytes // 2**20,
        }
        if abs(skew) > CLOCK_SECONDS:
            raise StepFailed("server.clock_wrong", seconds=round(skew))


def _server(work: UnitOfWork, server_id: int) -> Server:
    return work.session.get_one(Server, server_id)


def _observers(work: UnitOfWork, server_id: int) -> list[tuple[str, Endpoint]]:
    """Return some healthy servers elsewhere, to look from."""
    servers = work.session.execute(
        select(Server.id, Server.region)
        .where(
            Server.id != server_id,
            Server.status == ServerStatus.HEALTHY,
            Server.transport != Transport.FAKE,
        )
        .order_by(Server.load, Server.id)
        .limit(OBSERVERS)
    ).all()
    return [(f"{row.region} #{row.id}", endpoint(work, row.id)) for row in servers]
