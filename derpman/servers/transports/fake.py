"""A node that relays nothing, in this process: follows the protocol, for tests and for load.

It calls itself `fake` in its hello, and the panel shows that wherever it shows the server.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from derpman.kit.clock import utc_now
from derpman.servers.endpoints import Endpoint
from derpman.servers.errors import NodeError
from derpman.servers.node import NodeClient, lines

HEARTBEAT_SECONDS = 5.0
CHECKS = ("tls", "pin", "http", "stun", "echo", "stranger_refused")


@dataclass
class Faults:
    """What goes wrong on purpose."""

    connect: NodeError | None = None
    """Connections end with this."""
    hangs: bool = False
    """Requests are read and never answered."""
    refusals: dict[str, str] = field(default_factory=dict[str, str])
    """Verbs that are refused, with the code of the refusal."""
    ready_after_seconds: float = 0.0
    """How long a relay takes to become ready."""
    rolls_back: str | None = None
    """Why new programs do not prove themselves."""
    unwell_on: str | None = None
    """Relays do not become ready on this image."""


class FakeNode:
    """One fake server's node. Its memory lasts as long as the process."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.generation = 0
        self.relays: dict[int, dict[str, Any]] = {}
        self.version = "fake"
        self.program = ""
        self.upgrade: dict[str, Any] | None = None
        self.image: str | None = None
        self.images: list[str] = []
        """Every image that was sent."""
        self.remade: list[tuple[int, str | None]] = []
        """Relays that were made anew, and on which image."""
        self.applied: list[int] = []
        """Every generation that was accepted, in order."""
        self.events: list[dict[str, Any]] = []
        self.knocks: list[dict[str, Any]] = []
        self.probes: dict[tuple[str, int], dict[str, Any]] = {}
        """Answers to `probe` that differ from "all is well"."""
        self._states: dict[int, dict[str, Any]] = {}
        self._removed: list[int] = []
        self._changed: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.StreamWriter] = set()
        self._verbs: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": self._hello,
            "apply": self._apply,
            "snapshot": lambda body: self._snapshot(body.get("cursor")),
            "watch": lambda _body: {},
            "image": self._image,
            "use_image": self._use_image,
            "remake": self._remake,
            "upgrade": self._upgrade,
            "probe": self._probe,
            "listen": lambda _body: {},
            "retire": self._retire,
        }

    async def connect(self) -> NodeClient:
        """Return a client on a new connection."""
        if self.faults.connect is not None:
            raise self.faults.connect
        return NodeClient(*await self.open())

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the panel's end of a new connection."""
        ours, theirs = socket.socketpair()
        try:
            self._spawn(self._serve(*await asyncio.open_connection(sock=theirs)))
            return await asyncio.open_connection(sock=ours)
        except BaseException:  # cancelled half-way
            ours.close()
            raise

    def cut(self) -> None:
        """Break every connection, as a network does."""
        for writer in list(self._connections):
            writer.close()

    def report(
        self,
        *,
        knocks: list[dict[str, Any]] | None = None,
        events: list[dict[str, Any]] | None = None,
    ) -> None:
        """Have knocks and events happen; watchers are told."""
        for row in knocks or []:
            self.knocks.append({**row, "seq": len(self.knocks) + len(self.events) + 1})
        for row in events or []:
            self.events.append({**row, "seq": len(self.knocks) + len(self.events) + 1})
        self._tell()

    def set_state(self, relay_id: int, state: str, reason: str | None = None) -> None:
        """Put a relay into a state; watchers are told."""
        if relay_id in self._states:
            self._states[relay_id].update(state=state, reason=reason)
            self._tell()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self) -> None:
        for changed in self._changed:
            changed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        watchers: list[asyncio.Task[None]] = []
        try:
            async for line in lines(reader):
                request = json.loads(line)
                if self.faults.hangs:
                    continue
                answer = self._answer(request["verb"], request["body"])
                _say(writer, {"id": request["id"], **answer})
                if request["verb"] == "watch" and answer["ok"]:
                    watch = self._watch(writer, request["id"], request["body"].get("cursor"))
                    watchers.append(asyncio.create_task(watch))
                await writer.drain()
        except OSError:
            pass  # the panel is gone
        finally:
            for watcher in watchers:
                watcher.cancel()
            self._connections.discard(writer)
            writer.close()

    async def _watch(self, writer: asyncio.StreamWriter, number: int, cursor: str | None) -> None:
        changed = asyncio.Event()
        self._changed.add(changed)
        try:
            while True:
                if not self.faults.hangs:
                    snapshot = self._snapshot(cursor)
                    cursor = snapshot["cursor"]
                    _say(writer, {"id": number, "event": snapshot})
                    await writer.drain()
                changed.clear()
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await changed.wait()
                except TimeoutError:
                    continue
        except OSError:
            return  # the panel is gone
        finally:
            self._changed.discard(changed)

    def _answer(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        if code := self.faults.refusals.get(verb):
            return _refusal(code, "on purpose")
        act = self._verbs.get(verb)
        if act is None:
            return _refusal("protocol.invalid", verb)
        try:
            return {"ok": True, "body": act(body)}
        except NodeError as error:
            return _refusal(error.code, error.detail)

    def _hello(self, _body: dict[str, Any]) -> dict[str, Any]:
        host = {"cpus": 2, "memory_bytes": 2**31, "disk_free_bytes": 2**35, "kernel": "fake"}
        return {
            "protocol": 1,
            "version": self.version,
            "program": self.program,
            "upgrade": self.upgrade,
            "runtime": "fake",
            "boot_id": "fake",
            "relay_label": self.image,
            "generation": self.generation,
            "host": {**host, "docker": None},
        }

    def _apply(self, body: dict[str, Any]) -> dict[str, Any]:
        generation: int = body["generation"]
        if generation < self.generation:
            raise NodeError("apply.stale", f"{generation} is older than {self.generation}")
        self.generation = generation
        self.applied.append(generation)
        wanted: dict[int, dict[str, Any]] = {relay["id"]: relay for relay in body["relays"]}
        self._removed += [relay_id for relay_id in self.relays if relay_id not in wanted]
        self.relays = wanted
        self._states = {relay_id: self._start(relay) for relay_id, relay in wanted.items()}
        if self.faults.ready_after_seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(self.faults.ready_after_seconds, self._finish_starts)
            self._tell()
        else:
            self._finish_starts()
        return {"generation": generation}

    def _start(self, relay: Mapping[str, Any]) -> dict[str, Any]:
        known = self._states.get(relay["id"])
        if known and known["generation"] == relay["generation"] and relay["running"]:
            return known
        state = "starting" if relay["running"] else "stopped"
        reason = None if relay["running"] else "not_wanted"
        now = _now()
        return {
            "id": relay["id"],
            "generation": relay["generation"],
            "state": state,
            "reason": reason,
            "start_id": f"fake-{relay['id']}-{relay['generation']}",
            "started_at": now if relay["running"] else None,
            "label": self.image if relay["running"] else None,
            "checks": dict.fromkeys(CHECKS, True),
        }

    def _finish_starts(self) -> None:
        for state in self._states.values():
            if state["state"] == "starting":
                state["state"] = "ready"
        self._tell()

    def _snapshot(self, cursor: str | None) -> dict[str, Any]:
        seen = int(cursor.partition(":")[2]) if cursor and cursor.startswith("fake:") else 0
        happened = len(self.knocks) + len(self.events)
        removed, self._removed = self._removed, []
        return {
            "cursor": f"fake:{happened}",
            "whole": True,
            "more": False,
            "generation": self.generation,
            "at": _now(),
            "relays": [dict(state) for state in self._states.values()],
            "removed": removed,
            "knocks": [row for row in self.knocks if row["seq"] > seen],
            "events": [row for row in self.events if row["seq"] > seen],
            "starts": [],
            "host": {"load1": 0.1, "cpu_fraction": 0.05, "memory_bytes": 2**31},
        }

    def _image(self, body: dict[str, Any]) -> dict[str, Any]:
        received = body["offset"] + len(body["data"]) * 3 // 4
        complete = received >= body["size"]
        if complete:
            self.image = body["label"]
            self.images.append(body["label"])
        return {"received": received, "complete": complete, "label": self.image}

    def _use_image(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["label"] not in self.images:
            raise NodeError("image.not_there", "never sent")
        self.image = body["label"]
        return {}

    def _remake(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["label"] != self.image:
            raise NodeError("remake.other_image", str(self.image))
        state = self._states.get(body["relay"])
        if state is None:
            raise NodeError("remake.no_relay", "")
        if state["label"] != self.image:
            self.remade.append((body["relay"], self.image))
            unwell = self.image == self.faults.unwell_on
            state |= {"label": self.image, "state": "degraded" if unwell else "ready"}
            self._tell()
        return {}

    def _upgrade(self, body: dict[str, Any]) -> dict[str, Any]:
        received = body["offset"] + len(body["data"]) * 3 // 4
        if received < body["size"] or body["sha256"] == self.program:
            return {"received": received, "complete": received >= body["size"], "restarts": False}
        about = {"version": body["version"], "sha256": body["sha256"], "reason": "", "at": _now()}
        self.upgrade = {**about, "result": "on_trial"}
        asyncio.get_running_loop().call_later(0.02, self._restart)
        return {"received": received, "complete": True, "restarts": True}

    def _restart(self) -> None:
        assert self.upgrade is not None  # an upgrade asked for it
        if fault := self.faults.rolls_back:
            self.upgrade |= {"result": "rolled_back", "reason": fault}
        else:
            self.upgrade |= {"result": "confirmed"}
            self.version, self.program = self.upgrade["version"], self.upgrade["sha256"]
        self.cut()

    def _probe(self, body: dict[str, Any]) -> dict[str, Any]:
        well = {"tcp_ms": 1.0, "stun_ms": 1.0, "token_tcp": True, "token_udp": True, "error": None}
        results: list[dict[str, Any]] = []
        for target in body["targets"]:
            place = (target["address"], target["port"])
            results.append({"address": place[0], "port": place[1], **self.probes.get(place, well)})
        return {"results": results}

    def _retire(self, _body: dict[str, Any]) -> dict[str, Any]:
        if self.relays:
            raise NodeError("retire.relays_wanted", "relays are still wanted")
        return {}


_nodes: dict[int, FakeNode] = {}


def node_of(server_id: int) -> FakeNode:
    """Return the fake node of a server, the same one each time."""
    return _nodes.setdefault(server_id, FakeNode())


async def connect(endpoint: Endpoint) -> NodeClient:
    """Return a connection to the server's fake node."""
    return await node_of(endpoint.server_id).connect()


def _say(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def _refusal(code: str, text: str) -> dict[str, Any]:
    return {"ok": False, "error": {"code": code, "message": text}}


def _now() -> str:
    return utc_now().isoformat().replace("+00:00", "Z")
