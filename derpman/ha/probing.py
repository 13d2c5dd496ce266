"""Probes: the servers' worker looks at each of its servers, and has servers look at each other.

Twice a second each server that the worker holds is asked something over its link, and some of its
relays are tried from outside. Of a server that is missed, up to five others say what they see.
Every minute latencies are written down. What follows for a server's state is `sight`'s table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import structlog

from derpman.ha import eyes, queries
from derpman.ha.queries import Relay
from derpman.ha.sight import AGREE_MISSES, Sight
from derpman.kit.work import Edge
from derpman.monitoring import service as monitoring
from derpman.monitoring.service import PANEL, Sample
from derpman.servers import health
from derpman.servers.errors import LeaseLost, NodeError
from derpman.servers.fleet import Fleet
from derpman.servers.health import Patient
from derpman.servers.link import Link
from derpman.servers.models import Transport
from derpman.servers.node import NodeClient
from derpman.servers.states import ServerStatus

TRY_SECONDS = 0.8
VOTE_MS = 600
SLOW_SECONDS = 0.7
"""A look that took so much longer than it may says that this process was slow, and nothing else."""
CONNECT_GRACE_SECONDS = 20.0
TENSE_SECONDS = 0.2
"""While a server is missed it is judged so often, so that what others say counts at once."""
LATENCY_SECONDS = 60.0
RELAYS_SECONDS = 30.0
"""How often relays to try are chosen anew; sooner for a server whose relays were not reached."""
MEASURE_TRY_SECONDS = 3.0
MOST_OBSERVERS = 5
MOST_TARGETS = 5
AT_ONCE = 2
"""Relays of a server that are tried at each look."""
THOROUGH_EVERY = 10
"""Each so manieth look asks for TLS with the pin too, and each after a miss: TCP costs less."""
ASKED_ABOUT = (ServerStatus.SUSPECT, ServerStatus.UNHEALTHY, ServerStatus.RECOVERING)
log = structlog.get_logger(__name__)


class Prober:
    """Looks at the servers of one fleet for as long as it runs."""

    def __init__(self, edge: Edge, *, every_seconds: float) -> None:
        self._edge = edge
        self._every = every_seconds
        self._sights: dict[int, Sight] = {}
        self._links: dict[int, Link] = {}
        self._relays: dict[int, list[Relay]] = {}
        self._relays_at = -RELAYS_SECONDS
        self._measured_at = time.monotonic() - LATENCY_SECONDS + 5  # links first
        self._misses: dict[tuple[int, int], int] = {}
        self._asking: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_tense = False
        self._looked_at: dict[int, float] = {}

    async def run(self, fleet: Fleet) -> None:
        """Probe until cancelled."""
        try:
            while True:
                began = time.monotonic()
                try:
                    await self._tick(fleet)
                except Exception:  # the database is away: states stay as they are
                    log.warning("probes could not be judged", exc_info=True)
                pause = min(self._every, TENSE_SECONDS) if self._is_tense else self._every
                await asyncio.sleep(max(0.02, pause - (time.monotonic() - began)))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tick(self, fleet: Fleet) -> None:
        patients: dict[int, Patient] = await fleet.read(health.patients)
        held = {one: fleet.links[one] for one in patients if one in fleet.links}
        for server_id in list(self._sights):
            if held.get(server_id) is not self._links.get(server_id):
                del self._sights[server_id]  # another worker saw it meanwhile
        self._links = held
        if time.monotonic() - self._relays_at >= RELAYS_SECONDS:
            self._relays_at = time.monotonic()
            self._relays = await fleet.read(queries.sample_relays, list(patients))
        asked = [one for one in patients.values() if self._is_asked_about(one)]
        self._is_tense = bool(asked)
        votes: dict[int, dict[int, int]] = {}
        if asked:
            self._ask(patients, asked)
            votes = await fleet.read(health.votes_on, [one.id for one in asked])
        healthy = sum(one.status is ServerStatus.HEALTHY for one in patients.values())
        for server_id, link in held.items():
            sight = self._sights.setdefault(server_id, Sight())
            if time.monotonic() - self._looked_at.get(server_id, -self._every) >= self._every * 0.9:
                self._looked_at[server_id] = time.monotonic()
                self._spawn(self._look(fleet, patients[server_id], link, sight))
            others = healthy - (patients[server_id].status is ServerStatus.HEALTHY)
            await self._judge(fleet, patients[server_id], sight, votes.get(server_id, {}), others)
        if time.monotonic() - self._measured_at >= LATENCY_SECONDS:
            self._measured_at = time.monotonic()
            self._spawn(self._measure(patients))

    def _is_asked_about(self, patient: Patient) -> bool:
        if patient.status is ServerStatus.HEALTHY:  # one that seems gone: no second is to be lost
            sight = self._sights.get(patient.id)
            return sight is not None and min(sight.contact_misses, sight.outside_misses) > 0
        return patient.status in ASKED_ABOUT

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("probe failed", exc_info=error)

    async def _look(self, fleet: Fleet, patient: Patient, link: Link, sight: Sight) -> None:
        sight.number += 1
        number, began = sight.number, time.monotonic()
        relays = _some(self._relays.get(patient.id, []), number)
        is_thorough = number % THOROUGH_EVERY == 0 or sight.outside_misses > 0
        contact, outside = await asyncio.gather(
            _contact(link), _outside(patient, relays, is_thorough=is_thorough)
        )
        if outside is None:
            outside = contact
        if time.monotonic() - began > TRY_SECONDS + SLOW_SECONDS:
            return
        if outside is False and relays:
            # Perhaps they were stopped a moment ago, by quota or by us: what is wanted decides.
            now_there = await fleet.read(queries.sample_relays, [patient.id])
            self._relays[patient.id] = now_there.get(patient.id, [])
            if not set(relays) & set(self._relays[patient.id]):
                outside = None
        sight.note(number, time.monotonic(), contact=contact, outside=outside)

    async def _judge(
        self,
        fleet: Fleet,
        patient: Patient,
        sight: Sight,
        votes: Mapping[int, int],
        others: int,
    ) -> None:
        action = sight.verdict(
            patient.status,
            time.monotonic(),
            votes=votes,
            others=others,
            settles_at=patient.settles_at,
            today=self._edge.clock(),
        )
        if action is None:
            return
        evidence = {
            "contact_misses": sight.contact_misses,
            "outside_misses": sight.outside_misses,
            "observers": sorted(votes),
        }
        cause = sight.cause if action in ("doubt", "lose", "condemn") else None
        try:
            await fleet.write(health.change, patient.id, action, cause, evidence)
        except LeaseLost:
            self._sights.pop(patient.id, None)
            return
        log.info("server's health", server=patient.id, action=action, cause=cause, **evidence)

    def _ask(self, patients: Mapping[int, Patient], asked: Sequence[Patient]) -> None:
        """Have those of our servers that are to say something of others look at them."""
        wanted: dict[int, list[Patient]] = {}
        for target in asked:
            for observer_id in observers_of(target.id, patients):
                if len(wanted.setdefault(observer_id, [])) < MOST_TARGETS:
                    wanted[observer_id].append(target)
        for observer_id, targets in wanted.items():
            link = self._links.get(observer_id)
            if link is not None and link.node is not None and observer_id not in self._asking:
                self._asking.add(observer_id)
                self._spawn(self._vote(observer_id, link.node, targets))

    async def _vote(self, observer_id: int, node: NodeClient, targets: Sequence[Patient]) -> None:
        votes: list[tuple[int, int, int]] = []
        try:
            left = list(targets)
            for _ in range(AGREE_MISSES):  # again at once: one look that failed says little
                reached = await _seen_from(node, {one: self._targets(one) for one in left})
                for target_id, is_reached in reached.items():
                    if is_reached is not None:
                        pair = (target_id, observer_id)
                        self._misses[pair] = 0 if is_reached else self._misses.get(pair, 0) + 1
                left = [one for one in left if reached[one.id] is False]
                if not left:
                    break
            votes = [
                (one.id, observer_id, self._misses[one.id, observer_id])
                for one in targets
                if (one.id, observer_id) in self._misses
            ]
        except (NodeError, TimeoutError):
            return  # it says nothing: that is no vote
        finally:
            self._asking.discard(observer_id)
        await asyncio.to_thread(self._edge, health.vote, votes)

    def _targets(self, patient: Patient) -> list[dict[str, Any]]:
        relays = _some(self._relays.get(patient.id, []), 0)
        if relays:
            return [
                {"address": one.address, "port": one.port, "stun_port": one.port} for one in relays
            ]
        if patient.transport is Transport.LOCAL:
            return []
        return [{"address": patient.ssh_ip, "port": patient.ssh_port}]

    async def _measure(self, patients: Mapping[int, Patient]) -> None:
        """Write down latencies: the panel's to each of our servers, and theirs to up to five."""
        parts = [self._measure_from_here(patients[one]) for one in self._links]
        parts += [
            self._measure_from(link.node, one, patients)
            for one, link in self._links.items()
            if link.node is not None
        ]
        found = await asyncio.gather(*parts)
        samples = [sample for part in found for sample in part]
        if samples:
            await asyncio.to_thread(self._edge, monitoring.record, samples)

    async def _measure_from_here(self, patient: Patient) -> list[Sample]:
        values = {"node": await _node_ms(self._links[patient.id].node, MEASURE_TRY_SECONDS)}
        relays = self._relays.get(patient.id, [])
        if relays and patient.transport is not Transport.FAKE:
            one = relays[0]
            values |= {
                "tcp": await eyes.tcp_ms(one.address, one.port, MEASURE_TRY_SECONDS),
                "tls": await eyes.tls_ms(one.address, one.port, one.pin, MEASURE_TRY_SECONDS),
                "stun": await eyes.stun_ms(one.address, one.port, MEASURE_TRY_SECONDS),
            }
        return [
            Sample(patient.id, f"{PANEL}.{what}", value)
            for what, value in values.items()
            if value is not None
        ]

    async def _measure_from(
        self, node: NodeClient, observer_id: int, patients: Mapping[int, Patient]
    ) -> list[Sample]:
        others = [patients[one] for one in ring(observer_id, patients)][:MOST_OBSERVERS]
        targets = [(one.id, self._targets(one)[:1]) for one in others]
        asked = [(server_id, target[0]) for server_id, target in targets if target]
        if not asked:
            return []
        try:
            async with asyncio.timeout(2 * MEASURE_TRY_SECONDS):
                results = await node.probe([target for _, target in asked])
        except (NodeError, TimeoutError):
            return []
        samples: list[Sample] = []
        for (server_id, _), result in zip(asked, results, strict=False):
            for what, value in (("tcp", result.tcp_ms), ("stun", result.stun_ms)):
                if value is not None:
                    samples.append(Sample(server_id, monitoring.seen_by(observer_id, what), value))
        return samples


def ring(server_id: int, patients: Mapping[int, Patient]) -> list[int]:
    """Return the other servers, those after it first: everybody is looked at by somebody."""
    ids = sorted(one for one in patients if one != server_id)
    return [one for one in ids if one > server_id] + [one for one in ids if one < server_id]


def observers_of(server_id: int, patients: Mapping[int, Patient]) -> list[int]:
    """Return the servers that are asked about one."""
    fit = [one for one in ring(server_id, patients) if patients[one].status is ServerStatus.HEALTHY]
    return fit[:MOST_OBSERVERS]


async def _contact(link: Link) -> bool | None:
    if link.node is None:
        is_young = time.monotonic() - link.began_at < CONNECT_GRACE_SECONDS
        return None if is_young else False
    return await _node_ms(link.node, TRY_SECONDS) is not None


async def _node_ms(node: NodeClient | None, seconds: float) -> float | None:
    if node is None:
        return None
    began = time.monotonic()
    try:
        await node.call("hello", seconds=seconds)
    except NodeError as error:
        if error.code.startswith("server."):
            return None  # of the connection; any other answer is one
    return (time.monotonic() - began) * 1000


async def _outside(patient: Patient, relays: Sequence[Relay], *, is_thorough: bool) -> bool | None:
    """Tell whether any of these relays is reached, or the server at all when it has none."""
    if patient.transport is Transport.FAKE:
        return None
    if not relays:
        if patient.transport is not Transport.SSH:
            return None
        return await eyes.tcp_ms(patient.ssh_ip, patient.ssh_port, TRY_SECONDS) is not None
    return any(await asyncio.gather(*(_is_reached(one, is_thorough) for one in relays)))


async def _is_reached(relay: Relay, is_thorough: bool) -> bool:
    """Tell whether STUN and TCP answer, and with `is_thorough` TLS with the relay's own pin."""
    address, port = relay.address, relay.port
    stream = (
        eyes.tls_ms(address, port, relay.pin, TRY_SECONDS)
        if is_thorough
        else eyes.tcp_ms(address, port, TRY_SECONDS)
    )
    found, stun = await asyncio.gather(stream, eyes.stun_ms(address, port, TRY_SECONDS))
    return found is not None and stun is not None


def _some(relays: Sequence[Relay], number: int) -> list[Relay]:
    """Return some relays of a server, others at each look."""
    if len(relays) <= AT_ONCE:
        return list(relays)
    return [relays[(number + place) % len(relays)] for place in range(AT_ONCE)]


async def _seen_from(
    node: NodeClient, targets: Mapping[Patient, Sequence[Mapping[str, Any]]]
) -> dict[int, bool | None]:
    """Return which servers another one reaches by any of their targets; None: it has none."""
    flat = [(patient.id, target) for patient, some in targets.items() for target in some]
    reached: dict[int, bool | None] = {patient.id: None for patient in targets}
    if not flat:
        return reached
    async with asyncio.timeout(VOTE_MS / 1000 + TRY_SECONDS):
        results = await node.probe([target for _, target in flat], timeout_ms=VOTE_MS)
    for (server_id, target), result in zip(flat, results, strict=False):
        is_there = result.tcp_ms is not None
        if "stun_port" in target:
            is_there = is_there and result.tls is not False and result.stun_ms is not None
        reached[server_id] = bool(reached[server_id]) or is_there
    return reached
