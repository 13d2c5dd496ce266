"""Every kind of bad server gets its own clear error, and activations elsewhere are not slower."""

from __future__ import annotations

import contextlib
import itertools
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from derpman.kit.secrets import Vault
from tests.drills._drill import Drill, program
from tests.drills._panel import PORTS, Account, Panel, Refused, activate
from tests.system.fleet import Fleet, Server
from tests.system.processes import end, run, wait_until

BUDGET_S = 280
JOB_S = 120
MARGIN_S = 0.3
"""What a busy machine may add to a median by itself."""
SHORT_MARGIN_S = 3.0
"""The same for the few rounds of the short form. Waiting for a bad server would take longer."""


@dataclass
class Bad:
    """A server, what is wrong with it, and the error that says so."""

    what: str
    server: Server
    code: str
    words: str
    """Part of the sentence for the operator."""
    server_id: int = 0


def play(drill: Drill) -> None:
    with drill.step("stand a panel up with three good servers"):
        fleet = drill.use(Fleet(servers=3, clients=0))
        panel = drill.use(Panel(host=fleet.panel_address))
        key = fleet.admin_key.read_text()
        good = [panel.add_server(server, key) for server in fleet.servers]
        panel.wait_for_servers(good)
    rounds = drill.scaled(20, least=5)
    with drill.step(f"{rounds} activations with good servers only"):
        alone = activations(panel, rounds, "alone")
    with drill.step("add bad servers, and spoil one that was good"):
        bad = bad_ones(fleet)
        spoilt = Bad("another host key", fleet.add_server("key"), "server.host_key_changed",
                     "another SSH host key")  # fmt: skip
        add_all(panel, [*bad, spoilt], key)
        began = time.monotonic()
    # Some jobs take a minute to give up; what else there is to see is seen meanwhile.
    stolen_key(drill, panel, fleet.servers[0], good[0])
    changed_key(drill, panel, spoilt)
    told(drill, panel, bad, began)
    with drill.step(f"{rounds} activations while jobs on the bad servers go on"):
        with pestered(panel, [*bad, spoilt], key) as jobs:
            beside = activations(panel, rounds, "beside")
        drill.say(f"{len(jobs)} jobs on bad servers meanwhile")
    for what, before, during in zip(("register", "activate"), alone, beside, strict=True):
        usual = statistics.median(before)
        drill.figure(f"{what}_alone_s", usual)
        at_most = 1.5 * usual + (MARGIN_S if drill.scale >= 1 else SHORT_MARGIN_S)
        drill.figure(f"{what}_beside_bad_s", statistics.median(during), at_most=at_most)
        drill.figure(f"{what}_beside_bad_max_s", max(during))
    drill.figure("bad_server_jobs", len(jobs), at_least=len(bad))


def bad_ones(fleet: Fleet) -> list[Bad]:
    """Stand them up; each is reachable and wrong in its own way."""
    silent, stuck = fleet.add_server("mute"), fleet.add_server("stuk")
    silent.sshd("silent")
    stuck.sshd("stuck")
    refusing, filtered = fleet.add_server("shut"), fleet.add_server("filt")
    refusing.sshd("refusing")
    filtered.filter_ports(f"{PORTS[0]}:{PORTS[1]}")
    gone = fleet.add_server("gone")
    gone.vanish()
    return [
        Bad("accepts and says nothing", silent, "server.hangs", "says nothing"),
        Bad("lets in and then hangs", stuck, "bootstrap.too_slow", "did not end within"),
        Bad("refuses", refusing, "server.refused", "is closed"),
        Bad("is not there", gone, "server.unreachable", "Nothing answers"),
        Bad("has a full disk", fleet.add_server("full", disk_mb=64), "server.disk_full", "MB"),
        Bad("has no Docker, and no packages", fleet.add_server("bare", docker=False),
            "bootstrap.packages_failed", "Packages could not be installed"),
        Bad("has its ports filtered", filtered, "ports.closed", "security group"),
    ]  # fmt: skip


def add_all(panel: Panel, servers: list[Bad], key: str) -> None:
    for bad in servers:
        bad.server_id = panel.add_server(bad.server, key)


def told(drill: Drill, panel: Panel, servers: list[Bad], began: float) -> None:
    """Each job ends in time with its own code, and in words that say what to do."""
    codes: dict[str, str] = {}
    wrong = 0
    for bad in servers:
        job = ended_job(panel, bad.server_id)
        codes[bad.what] = str(job["error"])
        message = next((step["message"] for step in job["steps"] if step["message"]), "")
        drill.say(f"{bad.what}: {job['error']}: {message}")
        status = panel.server(bad.server_id)["status"]
        if (job["error"], status) != (bad.code, "failed") or bad.words not in message:
            wrong += 1
            drill.say(f"  expected {bad.code}, “{bad.words}”; the server is {status}")
    drill.figure("told_within_s", time.monotonic() - began, at_most=JOB_S)
    drill.figure("codes", codes)
    drill.figure("told_otherwise", wrong, equals=0)
    drill.check("each_its_own", len(set(codes.values())) == len(codes))


def changed_key(drill: Drill, panel: Panel, spoilt: Bad) -> None:
    """A server that was good shows another host key: nothing is sent to it any more."""
    panel.wait_for_servers([spoilt.server_id])
    spoilt.server.change_host_key()
    spoilt.server.reboot()

    def lost() -> bool:
        # dead at first, if its reboot took so long that the others missed it too
        return panel.server(spoilt.server_id)["status"] in ("unhealthy", "dead")

    wait_until(lost, 60, "the server with another host key counts as unhealthy")
    job_id = panel.admin.post(f"/api/server/{spoilt.server_id}/check")["job_id"]
    job = ended_job(panel, spoilt.server_id, job_id)
    message = next((step["message"] for step in job["steps"] if step["message"]), "")
    drill.say(f"{spoilt.what}: {job['error']}: {message}")
    drill.figure("changed_host_key", job["error"], equals=spoilt.code)
    drill.check("changed_host_key_in_words", spoilt.words in message, message)


def ended_job(panel: Panel, server_id: int, job_id: int | None = None) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        if job_id is None:
            job = panel.admin.get(f"/api/server/{server_id}")["job"]
        else:
            job = panel.admin.get(f"/api/server/jobs/{job_id}")["job"]
        return job if job["status"] in {"done", "failed"} else None

    job = wait_until(ended, JOB_S, f"the job on server {server_id} ends")
    assert job is not None
    return job


def activations(panel: Panel, rounds: int, name: str) -> tuple[list[float], list[float]]:
    """Register, activate and end again, one customer after the other; the seconds of both.

    Registering waits for a mail, so it tells whether the background tasks are held up.
    """
    registered: list[float] = []
    activated: list[float] = []
    for number, code in enumerate(panel.serials(count=rounds)):
        began = time.monotonic()
        customer: Account = panel.customer(f"{name}{number}")
        registered.append(time.monotonic() - began)
        activated.append(activate(customer, code))
        panel.admin.post(f"/api/user/{customer.id}/rental/end", reason="drill")
    return registered, activated


@contextlib.contextmanager
def pestered(panel: Panel, servers: list[Bad], key: str) -> Generator[list[str]]:
    """Have jobs run on the bad servers all the time; yields the errors they ended with."""
    enough = threading.Event()
    errors: list[str] = []

    def pester() -> None:
        access = {"user": "root", "private_key": key}
        for bad in itertools.cycle(servers):
            if enough.wait(0.2):
                return
            with contextlib.suppress(Refused):  # the last job on it has not ended yet
                seen = panel.server(bad.server_id)["status"]
                if seen == "failed":
                    panel.admin.post(f"/api/server/{bad.server_id}/retry", ssh=access)
                else:
                    panel.admin.post(f"/api/server/{bad.server_id}/check")
                errors.append(bad.what)

    thread = threading.Thread(target=pester, daemon=True)
    thread.start()
    try:
        yield errors
    finally:
        enough.set()
        thread.join(30)


def stolen_key(drill: Drill, panel: Panel, server: Server, server_id: int) -> None:
    """Whoever has the panel's key for a server can speak the node protocol and nothing else.

    Everything is tried with the administrator's key as well, to see that the trial can succeed.
    """
    stolen = panel.folder / "stolen"
    stolen.touch(mode=0o600)
    stolen.write_text(sealed_key(panel, server_id))
    admins = server.home.parent / "admin_key"
    trials: dict[str, Callable[[str, Path], bool]] = {
        "command": lambda user, key: "mine" in _ssh(server, user, key, "echo", "mi''ne"),
        "shell": lambda user, key: "mine" in _ssh(server, user, key, typed="echo mi''ne\n"),
        "terminal": lambda user, key: "mine" in _ssh(server, user, key, "-tt", "echo mi''ne"),
        "sftp": lambda user, key: "/etc" in _sftp(server, user, key),
        "forward": lambda user, key: _forwards(server, user, key, "127.0.0.1:22", b"SSH-2.0"),
        "socket": lambda user, key: _forwards(server, user, key, "/run/docker.sock", b"HTTP/1"),
        "listener": lambda user, key: _listens_there(server, user, key),
    }
    got: list[str] = []
    with drill.step("try the stolen key, and the administrator's to see that one can succeed"):
        for name, succeeds in trials.items():
            if not succeeds("root", admins):
                raise AssertionError(f"{name} fails even for the administrator")
            got += [f"{name} as {user}" for user in ("derpman", "root") if succeeds(user, stolen)]
    drill.figure("stolen_key_trials", 2 * len(trials))
    drill.check("stolen_key_gets_nothing", not got, str(got))
    hello = _ssh(server, "derpman", stolen, typed='{"id": 1, "verb": "hello", "body": {}}\n')
    drill.check("stolen_key_speaks_to_the_node", '"ok":true' in hello, hello[:200])


def _ssh(server: Server, user: str, key: Path, *words: str, typed: str = "") -> str:
    return _said(server.ssh_argv(*words, user=user, key=key), typed)


def _sftp(server: Server, user: str, key: Path) -> str:
    argv = server.ssh_argv(user=user, key=key)
    return _said(["sftp", "-b", "-", *argv[1:]], "ls /\n")


def _said(argv: list[str], typed: str) -> str:
    """What a program answers to some lines; it may also wait for ever for another answer."""
    try:
        return run(argv, check=False, seconds=8, text=typed).stdout
    except subprocess.TimeoutExpired as slow:
        return bytes(slow.stdout or b"").decode(errors="replace")


def _forwards(server: Server, user: str, key: Path, target: str, expected: bytes) -> bool:
    """Whether a connection to a port of ours comes out at the target on the server."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with _ssh_process(server, user, key, "-N", "-L", f"127.0.0.1:{port}:{target}") as ssh:
        until = time.monotonic() + 8
        while time.monotonic() < until and ssh.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=3) as way:
                    way.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                    return expected in way.recv(100)
            except ConnectionRefusedError:  # ssh has not logged in yet
                time.sleep(0.05)
            except OSError:
                return False
    return False


def _listens_there(server: Server, user: str, key: Path) -> bool:
    """Whether a port is opened on the server that leads to us."""
    words = ("-N", "-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:31999:127.0.0.1:22")
    with _ssh_process(server, user, key, *words) as ssh:
        until = time.monotonic() + 8
        while time.monotonic() < until and ssh.poll() is None:
            if "31999" in server.run(["ss", "-Hltn"]).stdout:
                return True
            time.sleep(0.05)
    return False


@contextlib.contextmanager
def _ssh_process(
    server: Server, user: str, key: Path, *words: str
) -> Generator[subprocess.Popen[bytes]]:
    *options, place = server.ssh_argv(user=user, key=key)
    nothing = subprocess.DEVNULL
    with subprocess.Popen([*options, *words, place], stdin=nothing, stderr=nothing) as ssh:
        try:
            yield ssh
        finally:
            end(ssh)


def sealed_key(panel: Panel, server_id: int) -> str:
    """The panel's private key for a server, as one gets it who stole database and key file."""
    engine = create_engine(panel.database_url)
    with engine.connect() as connection:
        sealed = connection.execute(
            text("SELECT ssh_key FROM servers WHERE id = :id"), {"id": server_id}
        ).scalar_one()
    engine.dispose()
    key_file = panel.folder / "data" / "secret.key"
    return Vault(key_file.read_text().split()).open(sealed)


if __name__ == "__main__":
    program(play)
