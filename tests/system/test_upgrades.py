"""Upgrades on a real server: another node takes running relays over, a bad one is rolled back."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PrivateKey

from derpman.containers import certificates
from derpman.kit.work import Edge
from derpman.servers import adding, jobrun, jobs, release, rollouts, transports, upgrading, upkeep
from derpman.servers.endpoints import endpoint
from derpman.servers.models import ServerJob, Upgrade
from derpman.servers.node import NodeClient
from derpman.servers.protocol import Snapshot
from derpman.servers.rootshell import Credential
from derpman.servers.states import StageStatus, UpgradeStatus
from tests.system import derp
from tests.system.fleet import Fleet
from tests.system.processes import ROOT, Impossible, run, wait_until

pytestmark = pytest.mark.system
BUILD = ROOT / "build"
DEVICE, PEER = derp.new_key(), derp.new_key()


def go_build(out: Path, package: str, values: str) -> None:
    flags = ["-trimpath", "-ldflags", f"-s -w {values}"]
    words = [ROOT / "tools/go", "-C", ROOT / "node", "build", *flags, "-o", out, package]
    run([str(word) for word in words], seconds=300, env={**os.environ, "CGO_ENABLED": "0"})


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Nodes that call themselves otherwise, and one that only passes for a node."""
    folder = tmp_path_factory.mktemp("programs")
    version = "derpman/node/internal/node.Version"
    for name in ("0.2.0", "0.3.0"):
        go_build(folder / name, "./cmd/derpman-node", f"-X {version}={name}")
    go_build(folder / "faulty", "./e2e/faulty", "-X main.version=0.9.0 -X main.fault=ends")
    go_build(folder / "hangs", "./e2e/faulty", "-X main.version=0.9.1 -X main.fault=hangs")
    return {path.name: path for path in folder.iterdir()}


class Ground:
    """One server with two relays, and a panel whose build folder a test can change."""

    def __init__(self, edge: Edge, build: Path, fleet: Fleet) -> None:
        self.edge = edge
        self.means = jobrun.Means(edge, build, 64 * 2**20)
        self.build = build
        self.fleet = fleet
        self.machine = fleet.server("n1")
        self.ports = {1: 20001, 2: 20002}
        key = Path(fleet.admin_key).read_text()
        server, job = edge(
            upkeep.add,
            ip=self.machine.address,
            region="n1",
            waits=True,
            credential=Credential(private_key=key),
        )
        self.server_id = server.id
        assert self.run(job).error is None
        self.ask(self._apply)
        wait_until(lambda: self.ready() == [1, 2], 60, "both relays are ready")

    def ask(self, action: Callable[[NodeClient], Any]) -> Any:
        where = self.edge.read(endpoint, self.server_id)

        async def ask() -> Any:
            node = await transports.connect(where)
            try:
                return await action(node)
            finally:
                await node.close()

        return asyncio.run(ask())

    async def _apply(self, node: NodeClient) -> None:
        generation = (await node.hello()).generation + 1
        relays = [self._relay(id_, port) for id_, port in self.ports.items()]
        await node.apply({"generation": generation, "relays": relays})

    def _relay(self, relay_id: int, port: int) -> dict[str, Any]:
        pair = certificates.make(self.machine.address, datetime.now(UTC))
        devices = [{"key": derp.node_key(key), "not_after": None} for key in (DEVICE, PEER)]
        return {
            "id": relay_id,
            "generation": 1,
            "address": self.machine.address,
            "port": port,
            "stun_port": port,
            "certificate": pair.certificate,
            "private_key": pair.private_key,
            "mesh_key": secrets.token_hex(32),
            "running": True,
            "expires_at": None,
            "rate_bytes_per_second": 0,
            "quota": None,
            "devices": devices,
        }

    def run(self, job: ServerJob) -> ServerJob:
        assert jobrun.run(self.means, job.id, adding.PROGRAMS)
        return self.edge.read(jobs.get, job.id)

    def snapshot(self) -> Snapshot:
        return self.ask(lambda node: node.snapshot())

    def hello(self) -> Any:
        return self.ask(lambda node: node.hello())

    def ready(self) -> list[int]:
        return sorted(one.id for one in self.snapshot().relays if one.state == "ready")

    def starts(self) -> dict[int, str | None]:
        return {one.id: one.start_id for one in self.snapshot().relays}

    def labels(self) -> set[str | None]:
        return {one.label for one in self.snapshot().relays}

    def connect(self, key: PrivateKey, relay_id: int = 1) -> derp.Derp:
        return derp.Derp(self.machine.address, self.ports[relay_id], key)

    def upgrade(self) -> tuple[Upgrade, ServerJob]:
        program, image = release.built_program(self.build), release.built_image(self.build)
        assert program is not None
        assert image is not None
        begun = self.edge(
            rollouts.begin,
            node_version=program.version,
            node_sha256=program.sha256,
            relay_label=image.label,
            watch_seconds=0,
        )
        job = self.edge.read(jobs.newest, self.server_id)
        assert job is not None
        return begun, job

    def end(self, begun: Upgrade) -> tuple[UpgradeStatus, StageStatus]:
        self.edge(rollouts.advance)
        [stage] = self.edge.read(rollouts.stages, begun.id)
        return self.edge.read(rollouts.get, begun.id).status, stage.status

    def use(self, program: Path) -> None:
        fresh = self.build / "derpman-node.new"
        shutil.copy(program, fresh)
        fresh.rename(self.build / "derpman-node")

    def use_derper(self, content: bytes) -> str:
        """Build a relay image with another derper; return its label."""
        path = self.build / "derper"
        path.write_bytes(content)
        path.chmod(0o755)
        archive = self.build / "relay-image.tar"
        words = [BUILD / "relay-image", "-derper", path, "-output", archive]
        return run([str(word) for word in words]).stdout.strip()


@pytest.fixture
def ground(edge: Edge, tmp_path: Path) -> Iterator[Ground]:
    if not (BUILD / "derpman-node").exists() or not (BUILD / "relay-image.tar").exists():
        pytest.skip("derpman node build has not been run")
    try:
        fleet = Fleet(servers=1, clients=0)
    except Impossible as error:
        pytest.skip(str(error))
    for name in ("derpman-node", "relay-image.tar", "relay-image.tar.label"):
        shutil.copy(BUILD / name, tmp_path / name)
    with fleet:
        live = replace(edge, clock=lambda: datetime.now(UTC))
        yield Ground(live, tmp_path, fleet)


def echoes(one: derp.Derp, two: derp.Derp) -> bool:
    one.send(PEER, b"are you there?")
    return two.receive() == b"are you there?"


def test_another_node_takes_over_while_a_connection_lives(
    ground: Ground, programs: dict[str, Path]
) -> None:
    before = ground.starts()
    with ground.connect(DEVICE) as one, ground.connect(PEER) as two:
        ground.use(programs["0.2.0"])
        begun, job = ground.upgrade()
        assert ground.run(job).error is None
        assert ground.hello().version == "0.2.0"
        assert ground.starts() == before, "the relays ran on"
        assert echoes(one, two)
        assert ground.end(begun) == (UpgradeStatus.DONE, StageStatus.DONE)

        # The server's own restart of the unit finds the new one, and so does a kill.
        ground.machine.kill_unit("derpman-node.service")
        wait_until(lambda: ground.ready() == [1, 2], 30, "the node is back")
        assert ground.hello().version == "0.2.0"
        assert ground.starts() == before
        assert echoes(one, two)

        # And once more, from a node that was upgraded itself.
        ground.use(programs["0.3.0"])
        begun, job = ground.upgrade()
        assert ground.run(job).error is None
        assert ground.hello().version == "0.3.0"
        assert echoes(one, two)
    with ground.connect(DEVICE):
        pass
    with pytest.raises(derp.Refused):
        ground.connect(derp.new_key())


def test_a_node_that_fails_is_rolled_back_while_a_connection_lives(
    ground: Ground, programs: dict[str, Path]
) -> None:
    before, version = ground.starts(), ground.hello().version
    with ground.connect(DEVICE) as one, ground.connect(PEER) as two:
        ground.use(programs["faulty"])
        begun, job = ground.upgrade()
        assert ground.run(job).error == "upgrade.rolled_back"
        assert ground.end(begun) == (UpgradeStatus.PAUSED, StageStatus.FAILED)
        assert ground.hello().version == version
        assert ground.starts() == before
        assert echoes(one, two)

        # Killed in the middle of its trial: the server goes back by itself.
        ground.edge(rollouts.abort, upgrade_id=begun.id)
        ground.use(programs["hangs"])
        begun, job = ground.upgrade()

        def kill_on_trial() -> None:
            log = ground.machine.path("/var/lib/derpman/program/plan.json")
            wait_until(lambda: log.exists() and '"begun":true' in log.read_text(), 60, "a trial")
            time.sleep(0.5)
            ground.machine.kill_unit("derpman-node.service")

        killer = threading.Thread(target=kill_on_trial)
        killer.start()
        assert ground.run(job).error == "upgrade.rolled_back"
        killer.join()
        wait_until(lambda: ground.ready() == [1, 2], 30, "the node is back")
        assert ground.hello().version == version
        assert ground.starts() == before
        assert echoes(one, two)
    with pytest.raises(derp.Refused):
        ground.connect(derp.new_key())


def test_relays_move_to_another_image_one_by_one_and_back_from_a_bad_one(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    [old] = ground.labels()
    derper = (BUILD / "derper").read_bytes()
    good = ground.use_derper(derper + b"\0")
    assert good != old
    begun, job = ground.upgrade()
    assert ground.run(job).error is None
    assert ground.labels() == {good}
    assert ground.ready() == [1, 2]
    assert ground.end(begun) == (UpgradeStatus.DONE, StageStatus.DONE)
    with ground.connect(DEVICE, 1), ground.connect(DEVICE, 2):
        pass

    monkeypatch.setattr(upgrading, "READY_SECONDS", 20.0)
    bad = ground.use_derper(broken(derper))
    second = ground.starts()[2]
    begun, job = ground.upgrade()
    assert ground.run(job).error == "upgrade.relay_unwell"
    assert ground.hello().relay_label == good != bad
    assert ground.labels() == {good}
    assert ground.starts()[2] == second, "the second relay was not touched"
    assert ground.end(begun) == (UpgradeStatus.PAUSED, StageStatus.FAILED)
    with ground.connect(DEVICE, 1), ground.connect(DEVICE, 2):
        pass


def broken(binary: bytes) -> bytes:
    """A derper by all that is written in it, whose first instruction is an illegal one."""
    entry, first = struct.unpack_from("<QQ", binary, 0x18)
    size, count = struct.unpack_from("<HH", binary, 0x36)
    for number in range(count):
        at = first + number * size
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", binary, at)
        if kind == 1 and address <= entry < address + length:
            place = offset + entry - address
            return binary[:place] + b"\x0f\x0b" + binary[place + 2 :]
    raise AssertionError("no segment holds the entry")
