"""Whoever has the panel's key can make relays of the one template on a server, and nothing else."""

from __future__ import annotations

import contextlib
import json
import queue
import re
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from derpman.containers import certificates
from derpman.kit.work import UnitOfWork
from derpman.servers.models import Server as ServerRow
from derpman.settings import Settings
from derpman.wiring import assemble
from tests.drills._drill import Drill, program
from tests.drills._hostile import Attack
from tests.drills._panel import Panel
from tests.drills._relays import snapshot
from tests.drills.main_job import add_servers
from tests.system.fleet import Fleet, Server
from tests.system.processes import end, run, wait_until

BUDGET_S = 240
USER = "derpman"
OURS = ("/var/lib/derpman/", "/run/derpman/")
"""Where the node writes. Docker, sshd and the logs write where `OTHERS` says."""
OTHERS = (
    *("/var/lib/docker/", "/var/lib/containerd/", "/var/log/", "/run/docker", "/run/containerd"),
    *(
        "/run/user/",
        "/run/units",
        "/run/sshd",
        "/run/utmp",
        "/run/lock",
        "/run/motd",
        "/run/xtables",
    ),
)
MARKER = "/root/before-the-attack"


class Line:
    """The panel's way to a node: its key, and the forced command behind it."""

    def __init__(self, server: Server, key: Path) -> None:
        self._argv = server.ssh_argv(user=USER, key=key)
        self.opened = 0
        self.silent: list[bytes] = []
        """Messages that nothing came back for; after each the line is opened anew."""
        self._open()

    def _open(self) -> None:
        self.opened += 1
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=_read, args=(self._process, self._lines), daemon=True).start()

    def ask(self, message: bytes, seconds: float = 2) -> str:
        """Send one message; return how it was answered: ok, a code, closed, or not at all."""
        while not self._lines.empty():
            self._lines.get()
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(message + b"\n")
            stdin.flush()
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if not line:
                self.close()
                self._open()
                return "closed"
            said = json.loads(line)
            if "event" not in said:  # else of a watch that was asked for
                return "ok" if said["ok"] else said["error"]["code"]
        if message:  # at most 16 are answered at once, and every watch is one that does not end
            self.silent.append(message)
            self.close()
            self._open()
        return "nothing"

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        end(self._process)


def _read(process: subprocess.Popen[bytes], lines: queue.Queue[bytes]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(b"")


def play(drill: Drill) -> None:
    with drill.step("stand up a server and a panel; then only who took the panel's key is left"):
        fleet = drill.use(Fleet(servers=1, clients=1))
        panel = drill.use(Panel(host=fleet.panel_address))
        server = fleet.servers[0]
        (server_id,) = add_servers(panel, fleet)
        key = panel.folder / "stolen_key"
        key.touch(mode=0o600)
        key.write_text(key_of(panel, server_id))
        for part in panel.parts:
            panel.kill(part)
    line = Line(server, key)
    drill.finally_(line.close)
    wish = {"generation": 10**6, "relays": [relay(server, 1, 20100), relay(server, 2, 20200)]}
    with drill.step("two relays as they should be"):
        template = honest(line, server, wish)
    server.run(["touch", MARKER])
    programs = running(server)
    time.sleep(1.1)  # what is changed from now on is newer

    count = drill.scaled(5000, least=300)
    attack = Attack(drill.random, wish)
    answers: Counter[str] = Counter()
    odd: list[str] = []
    with drill.step(f"{count} messages"):
        for number in range(count):
            message = attack.message()
            answers[line.ask(message, 2 if message else 0.02)] += 1
            if number % 250 == 249:
                odd += not_of(template, server)
    drill.figure("answers", dict(answers.most_common()))
    drill.figure("connections", line.opened)
    drill.figure("not_answered", len(line.silent))
    for message in line.silent[:5]:
        drill.say(f"  {message[:200]!r}")
    drill.check("most_are_refused", answers["ok"] < count / 2)

    wish["generation"] = 2**53
    with drill.step("the two relays again, whatever was taken meanwhile"):
        odd += differences(template, honest(line, server, wish))
        odd += not_of(template, server)
    drill.figure("containers_not_of_the_template", len(odd), equals=0)
    for one in odd[:10]:
        drill.say(f"  {one}")
    touched = [path for path in changed(server) if not path.startswith((*OURS, *OTHERS))]
    drill.figure("files_touched_elsewhere", len(touched), equals=0)
    for path in touched[:10]:
        drill.say(f"  {path}")
    strangers = running(server) - programs - {"derper"}
    drill.check("no_other_program_runs", not strangers, str(strangers))
    drill.check("the_node_never_ended", "panic" not in server.unit_log("derpman-node"))
    with drill.step("what else SSH can do"):
        other_ways(drill, server, key, panel.folder)


def key_of(panel: Panel, server_id: int) -> str:
    """The key with which the panel reaches a server."""
    system = assemble(
        Settings(_env_file=None, data_dir=panel.folder / "data", database_url=panel.database_url)  # pyright: ignore[reportCallIssue, reportArgumentType] # it takes them
    )

    def read(work: UnitOfWork) -> str:
        sealed = work.session.get_one(ServerRow, server_id).ssh_key
        assert sealed is not None
        return work.vault.open(sealed)

    return system.edge().read(read)


def relay(server: Server, number: int, port: int) -> dict[str, Any]:
    """What the panel wants of a relay, with one device."""
    made = certificates.make(server.address, datetime.now(UTC))
    return {
        "id": number,
        "generation": 1,
        "address": server.address,
        "port": port,
        "stun_port": port,
        "certificate": made.certificate,
        "private_key": made.private_key,
        "mesh_key": "ab" * 32,
        "running": True,
        "expires_at": None,
        "rate_bytes_per_second": 0,
        "quota": None,
        "devices": [{"key": f"nodekey:{'cd' * 32}", "not_after": None}],
    }


def honest(line: Line, server: Server, wish: dict[str, Any]) -> dict[str, Any]:
    """Have a wish made true; return the form of its containers."""
    asked = json.dumps({"id": 1, "verb": "apply", "body": wish}).encode()
    if (said := line.ask(asked, 20)) != "ok":
        raise AssertionError(f"the wish was answered {said}")
    wanted = {one["id"] for one in wish["relays"]}

    def ready() -> bool:
        relays = snapshot(server)["relays"]
        return (
            {one["id"] for one in relays if one["state"] == "ready"}
            == wanted
            == {one["id"] for one in relays}
        )

    wait_until(ready, 60, "exactly the wanted relays are ready")
    forms = containers(server)
    assert len(forms) == len(wanted), f"{len(forms)} containers"
    return forms[0]


def containers(server: Server) -> list[dict[str, Any]]:
    """The form of every container on the server: what is a number or an id in it left out."""
    ids = server.docker("ps", "--all", "--quiet", "--no-trunc").stdout.split()
    if not ids:
        return []
    told = server.docker("inspect", *ids, check=False).stdout  # one may just have gone
    return [form(one) for one in json.loads(told or "[]")]


def form(one: dict[str, Any]) -> dict[str, Any]:
    """All that decides what a container may do, flat: path of names to value."""
    kept = {name: one.get(name) for name in ("Name", "Config", "HostConfig", "Mounts", "Driver")}
    kept["Config"] = {k: v for k, v in (kept["Config"] or {}).items() if k != "Hostname"}
    return dict(flat("", kept))


def flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():  # pyright: ignore[reportUnknownVariableType] # of JSON
            yield from flat(f"{path}.{name}", inner)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] # of JSON
            yield from flat(f"{path}[{number}]", inner)
    else:
        is_text = isinstance(value, str)
        yield path, re.sub(r"[0-9a-f]{16,}|\d+", "#", value) if is_text else value


def differences(template: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Field by field, how a container differs from the template."""
    return [
        f"{path}: {found.get(path)!r} for {template.get(path)!r}"
        for path in sorted(template.keys() | found.keys())
        if found.get(path) != template.get(path)
    ]


def not_of(template: dict[str, Any], server: Server) -> list[str]:
    return [one for found in containers(server) for one in differences(template, found)]


def changed(server: Server) -> list[str]:
    """Files that were made or changed since the marker, by the time that no program can set."""
    kernels = ["-path", "/proc", "-o", "-path", "/sys", "-o", "-path", "/dev"]
    find = ["find", "/", "(", *kernels, ")", "-prune", "-o"]
    found = server.run([*find, "-cnewer", MARKER, "!", "-type", "d", "-print"], check=False)
    return found.stdout.splitlines()


def running(server: Server) -> set[str]:
    """The names of the programs that run on the server."""
    return set(server.run(["ps", "-eo", "comm="]).stdout.split()) - {"ps", "sh", "nsenter"}


def other_ways(drill: Drill, server: Server, key: Path, folder: Path) -> None:
    """Try a shell, files and forwards with the panel's key."""

    def ssh(*words: str, user: str = USER) -> subprocess.CompletedProcess[str]:
        argv = server.ssh_argv(*words, user=user, key=key)
        return run(argv, check=False, seconds=20, text="")

    for name, words in {
        "command": ["echo", "owned-$((1+1))"],
        "shell_with_a_terminal": ["-tt", "echo owned-$((1+1))"],
        "subsystem": ["-s", "sftp"],
    }.items():
        done = ssh(*words)
        drill.check(f"no_{name}", "owned-2" not in done.stdout, done.stdout[:200])
    drill.check("not_as_root", ssh("true", user="root").returncode == 255)
    base = server.ssh_argv(user=USER, key=key)
    options = base[1 : base.index(f"{USER}@{server.address}")]
    there = f"{USER}@{server.address}"
    stray = folder / "stray"
    stray.write_text("owned")
    batch = f"put {stray} /tmp/owned\n"
    for argv, text in (
        (["scp", "-O", *options, str(stray), f"{there}:/tmp/owned"], ""),
        (["sftp", *options, "-b", "-", there], batch),
    ):
        with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a word it knows
            run(argv, check=False, seconds=5, text=text)
    left = server.run(["ls", "/tmp"]).stdout.split()
    drill.check("no_file_transfer", "owned" not in left, str(left))
    through = run(["ssh", *options, "-W", "127.0.0.1:22", there], check=False, seconds=20, text="")
    drill.check("no_forward_to_a_port", "SSH-2.0" not in through.stdout, through.stdout[:200])
    drill.check("no_forward_to_docker", not forwarded(server, options, there, folder))
    back = run(
        ["ssh", *options, "-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:1", there],
        check=False,
        seconds=20,
        text="",
    )
    drill.check("no_forward_back", back.returncode == 255, back.stderr[-200:])


def forwarded(server: Server, options: list[str], there: str, folder: Path) -> bool:
    """Whether Docker answers through a forward of its socket."""
    local = folder / "docker.sock"
    argv = ["ssh", *options, "-N", "-L", f"{local}:/run/docker.sock", there]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(local.exists, 10, "the forward's own end")
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(5)
            one.connect(str(local))
            with contextlib.suppress(OSError):
                one.sendall(b"GET /version HTTP/1.0\r\n\r\n")
                return b"ApiVersion" in one.recv(65536)
            return False
    finally:
        end(process)


if __name__ == "__main__":
    program(play)
