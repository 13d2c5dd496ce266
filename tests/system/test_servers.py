"""Servers are added over SSH: bare ones, with the real bootstrap, node and relay image."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from sqlalchemy import update
from sqlalchemy.orm import undefer

from derpman.kit.work import Edge
from derpman.servers import adding, bootstrap, jobrun, jobs, release, upkeep
from derpman.servers.endpoints import endpoint
from derpman.servers.models import Server, ServerJob, ServerJobStep
from derpman.servers.rootshell import Credential, public_text
from derpman.servers.states import ServerStatus
from derpman.servers.transports import ssh
from tests.system import fleet as fleets
from tests.system.fleet import Fleet
from tests.system.fleet.servers import Sshd
from tests.system.processes import ROOT, Impossible

pytestmark = pytest.mark.system
BUILD = ROOT / "build"


class Adding:
    """Adds servers, and keeps what was shown of it."""

    def __init__(self, means: jobrun.Means, fleet: Fleet) -> None:
        self.means = means
        self.credential = Credential(private_key=Path(fleet.admin_key).read_text())
        self.shown: list[tuple[str, str]] = []

    def add(self, machine: fleets.Server, **changes: Any) -> ServerJob:
        arguments: dict[str, Any] = {"credential": self.credential, **changes}
        _, job = self.means.edge(
            upkeep.add, ip=machine.address, region=machine.name, waits=True, **arguments
        )
        return self.run(job)

    def run(self, job: ServerJob) -> ServerJob:
        assert jobrun.run(
            self.means,
            job.id,
            adding.PROGRAMS,
            lambda name, state, _text: self.shown.append((name, state)),
        )
        return self.means.edge.read(lambda work: work.session.get_one(ServerJob, job.id))

    def server(self, job: ServerJob) -> Server:
        options = [undefer(Server.ssh_key)]
        return self.means.edge.read(
            lambda work: work.session.get_one(Server, job.server_id, options=options)
        )

    def step(self, job: ServerJob, name: str) -> ServerJobStep:
        found = [one for one in self.means.edge.read(jobs.steps, job.id) if one.name == name]
        assert found, f"no step {name}"
        return found[-1]

    def found(self, job: ServerJob, name: str) -> dict[str, Any]:
        return json.loads(self.step(job, name).params or "{}")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """A fleet of this file's own: its servers keep what was put on them."""
    try:
        own = Fleet(clients=0)
    except Impossible as error:
        pytest.skip(str(error))
    with own:
        yield own


@pytest.fixture
def panel(edge: Edge, fleet: Fleet) -> Adding:
    if not (BUILD / "derpman-node").exists() or not (BUILD / "relay-image.tar").exists():
        pytest.skip("derpman node build has not been run")
    live = replace(edge, clock=lambda: datetime.now(UTC))
    return Adding(jobrun.Means(live, BUILD, 64 * 2**20), fleet)


@pytest.fixture
def spare(fleet: Fleet) -> Iterator[Callable[..., fleets.Server]]:
    """A server for one test, made with a flaw."""
    made: list[fleets.Server] = []

    def make(name: str, **flaws: Any) -> fleets.Server:
        made.append(fleet.add_server(name, **flaws))
        return made[-1]

    yield make
    for server in made:
        server.cut_power()


def test_bare_servers_are_added_and_see_each_other(panel: Adding, fleet: Fleet) -> None:
    first = panel.add(fleet.server("n1"))
    assert first.error is None
    assert panel.server(first).status is ServerStatus.HEALTHY
    assert panel.server(first).capacity > 1
    assert [name for name, state in panel.shown if state == "done"] == [
        *("host_key", "log_in", "system", "docker", "account", "program", "service"),
        *("hello", "image", "ports", "measure", "accept"),
    ]
    assert panel.found(first, "program")["sent_bytes"] > 0
    assert panel.found(first, "hello")["runtime"] == "docker"

    second = panel.add(fleet.server("n2"))
    assert second.error is None
    assert panel.found(second, "ports")["seen_by"] == ["panel", f"n1 #{first.server_id}"]
    check = panel.run(panel.means.edge(upkeep.check, server_id=first.server_id, waits=True))
    assert check.error is None
    assert len(panel.found(check, "ports")["seen_by"]) == 2


def test_adding_again_sends_only_what_is_missing(panel: Adding, fleet: Fleet) -> None:
    first = panel.add(fleet.server("n1"))
    removed = panel.run(panel.means.edge(upkeep.remove, server_id=first.server_id, waits=True))
    assert removed.error is None
    assert panel.server(first).ssh_key is None
    keys = fleet.server("n1").read("/home/derpman/.ssh/authorized_keys")
    assert "restrict" not in keys, "the panel's key is gone"

    again = panel.add(fleet.server("n1"))
    assert again.error is None
    assert "sent_bytes" not in panel.found(again, "program")
    assert "sent_bytes" not in panel.found(again, "image")


def test_the_administrators_access_is_not_kept(panel: Adding, fleet: Fleet) -> None:
    job = panel.add(fleet.server("n1"))
    row = panel.means.edge.read(
        lambda work: work.session.get_one(
            ServerJob, job.id, options=[undefer(ServerJob.credential)]
        )
    )
    assert row.credential is None


def test_our_key_may_speak_to_the_node_and_do_nothing_else(panel: Adding, fleet: Fleet) -> None:
    job = panel.add(fleet.server("n1"))
    where = panel.means.edge.read(endpoint, job.server_id)

    async def main() -> None:
        connection = await ssh.log_in(
            where.ip,
            where.ssh_port,
            username="derpman",
            host_key=where.host_key or "",
            client_key=asyncssh.import_private_key(where.ssh_key or ""),
        )
        try:
            async with asyncio.timeout(30):
                done = await connection.run("cat /etc/shadow", input="hello?\n")
                assert "root" not in str(done.stdout)
                with pytest.raises(asyncssh.ChannelOpenError):
                    await connection.open_connection("127.0.0.1", 22)
                with pytest.raises(asyncssh.ChannelOpenError):
                    await connection.open_unix_connection("/run/docker.sock")
                with pytest.raises(asyncssh.ChannelListenError):
                    await connection.forward_remote_port("", 0, "127.0.0.1", 22)
        finally:
            connection.abort()

    asyncio.run(main())


def test_a_sudoer_with_a_password_sets_a_server_up(panel: Adding, fleet: Fleet) -> None:
    machine = fleet.server("n3")
    if machine.run(["which", "sudo"], check=False).returncode != 0:
        pytest.skip("sudo is not installed here")
    machine.run(["useradd", "--create-home", "--shell", "/bin/sh", "olga"], check=False)
    machine.set_password("olga", "open sesame")
    machine.write("/etc/sudoers.d/olga", "olga ALL=(ALL) ALL\n", mode=0o440)
    wrong = Credential(user="olga", password="open sesame", sudo_password="shut")
    job = panel.add(machine, credential=wrong)
    assert job.error == "server.sudo_refused"
    right = replace(wrong, sudo_password=None)
    retried = panel.means.edge(upkeep.retry, server_id=job.server_id, credential=right, waits=True)
    assert panel.run(retried).error is None

    machine.write("/etc/sudoers.d/olga", "olga ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    removed = panel.run(panel.means.edge(upkeep.remove, server_id=job.server_id, waits=True))
    assert removed.error is None
    assert panel.add(machine, credential=right).error is None


def test_a_user_without_sudo_is_told(panel: Adding, fleet: Fleet) -> None:
    machine = fleet.server("n4")
    machine.run(["useradd", "--create-home", "--shell", "/bin/sh", "nick"], check=False)
    machine.set_password("nick", "let me in")
    job = panel.add(machine, credential=Credential(user="nick", password="let me in"))
    assert job.error in ("server.sudo_refused", "server.sudo_missing")
    assert "nick" in (panel.step(job, "log_in").message or "")


def test_the_operators_script_sets_a_server_up(panel: Adding, fleet: Fleet) -> None:
    machine = fleet.server("n4")
    edge = panel.means.edge
    server, job = edge(upkeep.add, ip=machine.address, region="n4")
    script = "".join(
        bootstrap.script(
            node=bootstrap.program(BUILD),
            public_key=edge.read(adding.public_key, server.id),
            release_key=edge(release.release_key),
            report_url="http://192.0.2.1:1/nobody",
            token="x",
        )
    )
    said = machine.run(["sh"], text=script, seconds=120).stdout
    assert "SHA256:" in said
    host_key = public_text(asyncssh.import_public_key(machine.host_key()))
    edge(upkeep.report_script, server_id=server.id, host_key=host_key)
    assert panel.run(job).error is None
    assert panel.server(job).status is ServerStatus.HEALTHY


@pytest.mark.parametrize(("mode", "code"), [("refusing", "server.refused"), ("silent", "hangs")])
def test_an_sshd_that_does_not_answer(
    panel: Adding, spare: Callable[..., fleets.Server], mode: Sshd, code: str
) -> None:
    machine = spare(f"x{mode[:3]}")
    machine.sshd(mode)
    job = panel.add(machine)
    assert code in (job.error or "")
    assert panel.server(job).status is ServerStatus.FAILED
    assert machine.address in (panel.step(job, "host_key").message or "")


def test_a_wrong_fingerprint_stops_before_anything_is_sent(panel: Adding, fleet: Fleet) -> None:
    job = panel.add(fleet.server("n3"), fingerprint=f"SHA256:{'A' * 43}")
    assert job.error == "server.fingerprint_differs"
    assert [name for name, _ in panel.shown] == ["host_key", "host_key"]


def test_a_changed_host_key_is_not_talked_to(
    panel: Adding, spare: Callable[..., fleets.Server]
) -> None:
    machine = spare("xkey")
    job = panel.add(machine)
    assert job.error is None
    machine.change_host_key()
    checked = panel.run(panel.means.edge(upkeep.check, server_id=job.server_id, waits=True))
    assert checked.error == "server.host_key_changed"


def test_a_full_disk(panel: Adding, spare: Callable[..., fleets.Server]) -> None:
    machine = spare("xdisk", disk_mb=64)
    job = panel.add(machine)
    assert job.error == "server.disk_full"
    assert "MB" in (panel.step(job, "system").message or "")


def test_a_server_without_docker(panel: Adding, spare: Callable[..., fleets.Server]) -> None:
    job = panel.add(spare("xdock", docker=False))
    assert job.error in ("bootstrap.docker_not_running", "bootstrap.packages_failed")


def test_filtered_ports_name_the_security_group(
    panel: Adding, spare: Callable[..., fleets.Server]
) -> None:
    machine = spare("xport")
    machine.filter_ports("24000:30000", protocols=("tcp",))
    job = panel.add(machine)
    assert job.error == "ports.closed"
    message = panel.step(job, "ports").message or ""
    assert "security group" in message
    assert "29999" in message
    assert "UDP to none" in message
    machine.unblock()
    retried = panel.means.edge(upkeep.retry, server_id=job.server_id, waits=True)
    assert panel.run(retried).error is None


def test_a_job_whose_worker_is_killed_begins_again(
    panel: Adding, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = panel.means.edge
    _, job = edge(
        upkeep.add,
        ip=fleet.server("n2").address,
        region="n2",
        credential=panel.credential,
        waits=True,
    )
    reached = threading.Event()

    async def die(*_: object) -> None:
        reached.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(jobs, "RENEW_SECONDS", 0.2)
    with monkeypatch.context() as patch:
        patch.setattr(adding, "_accept", die)
        dead = threading.Thread(target=jobrun.run, args=(panel.means, job.id, adding.PROGRAMS))
        dead.start()
        assert reached.wait(60)
        # As after kill -9 and thirty seconds: the lease is somebody else's to take.
        nobody = {"leased_by": None, "leased_until": None}
        free = update(ServerJob).where(ServerJob.id == job.id).values(nobody)
        edge(lambda work: work.session.execute(free))
        dead.join(20)
    assert panel.run(job).error is None
    assert panel.server(job).status is ServerStatus.HEALTHY
