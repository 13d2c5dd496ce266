"""The fleet is what its README says."""

import errno
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.fleet import Fleet, NotPossible, Server, cgroups, needs, runs
from tests.system.processes import ROOT, run, spawn, wait_until

pytestmark = pytest.mark.system

COUNTER = """\
[Service]
ExecStart=/bin/sh -c 'echo started >>/srv/starts; sleep 1000 & exec sleep 1000'
Restart=always
RestartSec=100ms
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture
def n1(fleet: Fleet) -> Server:
    return fleet.server("n1")


@pytest.fixture
def n2(fleet: Fleet) -> Server:
    return fleet.server("n2")


def starts(server: Server) -> int:
    path = server.path("/srv/starts")
    return path.read_text().count("started") if path.exists() else 0


@pytest.fixture
def counter(n1: Server) -> Iterator[Server]:
    """A server with a unit `counter` that counts its starts and has a child."""
    n1.install_unit("counter", COUNTER)
    wait_until(lambda: starts(n1), 5, "the first start")
    yield n1
    n1.systemctl("disable", "--now", "counter")
    n1.run(["rm", "/srv/starts", "/etc/systemd/system/counter.service"])


# -- servers -----------------------------------------------------------------------------------


def test_each_server_is_reached_by_ssh(fleet: Fleet) -> None:
    names = [server.ssh("hostname").stdout.strip() for server in fleet.servers]
    assert names == ["n1", "n2", "n3", "n4"]


def test_servers_share_neither_users_nor_files_nor_processes(n1: Server, n2: Server) -> None:
    n1.ssh(
        "useradd --create-home derpman-test && touch /usr/local/bin/mine /etc/mine /var/lib/mine"
    )
    try:
        for path in ("/home/derpman-test", "/usr/local/bin/mine", "/etc/mine", "/var/lib/mine"):
            assert n1.path(path).exists()
            assert not n2.path(path).exists()
            assert not Path(path).exists()
        assert n2.run(["id", "derpman-test"], check=False).returncode != 0
        with pytest.raises(KeyError):
            pwd.getpwnam("derpman-test")
        assert n1.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout.split().count("dockerd") == 1
    finally:
        n1.run(["userdel", "--remove", "derpman-test"])
        n1.run(["rm", "/usr/local/bin/mine", "/etc/mine", "/var/lib/mine"])


def test_each_server_has_a_docker_of_its_own(n1: Server, n2: Server) -> None:
    ids = {server.docker("info", "--format", "{{.ID}}").stdout for server in (n1, n2)}
    assert len(ids) == 2


def test_a_user_made_like_a_service_can_log_in_with_a_key(n1: Server, tmp_path: Path) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"])
    public = (tmp_path / "key.pub").read_text().strip()
    n1.ssh("useradd --system --create-home --shell /bin/sh robot")
    n1.write("/home/robot/.ssh/authorized_keys", f'restrict,command="echo forced" {public}\n')
    try:
        done = run(n1.ssh_argv("id", user="robot", key=tmp_path / "key"))
        assert done.stdout == "forced\n"
    finally:
        n1.run(["userdel", "--remove", "robot"], check=False)


# -- units -------------------------------------------------------------------------------------


def test_a_killed_service_comes_back(counter: Server) -> None:
    counter.kill_unit("counter")
    wait_until(lambda: starts(counter) == 2, 5, "the second start")
    assert counter.systemctl("is-active", "counter").stdout.strip() == "active"


def test_the_children_of_a_killed_service_are_killed(counter: Server) -> None:
    group = counter.cgroup / "units" / "counter"
    before = cgroups.pids(group)
    assert len(before) == 2
    counter.kill_unit("counter")
    wait_until(lambda: starts(counter) == 2, 5, "the second start")
    wait_until(lambda: len(cgroups.pids(group) - before) == 2, 5, "new main process and child")
    assert not cgroups.pids(group) & before


def test_a_stopped_service_stays_away_until_it_is_started(counter: Server) -> None:
    counter.systemctl("stop", "counter")
    assert counter.systemctl("is-active", "counter", check=False).returncode == 3
    assert counter.unit_pid("counter") == 0
    counter.systemctl("restart", "counter")
    wait_until(lambda: starts(counter) == 2, 5, "the second start")


def test_a_unit_that_does_not_exist_is_an_error(n1: Server) -> None:
    done = n1.systemctl("restart", "nonsense", check=False)
    assert (done.returncode, "nonsense" in done.stdout) == (5, True)


def test_docker_is_ready_when_its_restart_returns(n2: Server) -> None:
    n2.ssh("systemctl restart docker && docker info")


def test_servers_differ_in_boot_and_machine_id(n1: Server, n2: Server) -> None:
    for path in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"):
        assert n1.run(["cat", path]).stdout != n2.run(["cat", path]).stdout


def test_a_reboot_empties_run_and_starts_what_is_enabled(counter: Server) -> None:
    boot = counter.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout
    counter.write("/run/gone", "")
    counter.write("/srv/kept", "yes")
    counter.reboot()
    wait_until(lambda: starts(counter) == 2, 5, "the second start")
    assert not counter.path("/run/gone").exists()
    assert counter.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout != boot
    assert counter.read("/srv/kept") == "yes"
    assert counter.ssh("docker info && hostname").returncode == 0


# -- trouble -----------------------------------------------------------------------------------


def dial(server: Server, port: int = 22, seconds: float = 1) -> socket.socket:
    return socket.create_connection((server.address, port), timeout=seconds)


def test_a_refusing_server_has_a_closed_port(n1: Server) -> None:
    n1.sshd("refusing")
    try:
        with pytest.raises(ConnectionRefusedError):
            dial(n1)
    finally:
        n1.sshd("normal")
    n1.ssh("true")


def test_a_silent_server_accepts_and_says_nothing(n1: Server) -> None:
    n1.sshd("silent")
    try:
        with dial(n1) as conn, pytest.raises(TimeoutError):
            conn.recv(1)
    finally:
        n1.sshd("normal")
    n1.ssh("true")


def test_on_a_stuck_server_commands_hang(n1: Server) -> None:
    n1.sshd("stuck")
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            n1.ssh("true", seconds=1.5)
    finally:
        n1.sshd("normal")
    n1.ssh("true")


def test_a_frozen_server_hangs_as_a_whole_and_recovers(n1: Server) -> None:
    n1.freeze()
    try:
        with dial(n1) as conn, pytest.raises(TimeoutError):
            conn.recv(1)
    finally:
        n1.thaw()
    n1.ssh("true")


def test_a_frozen_server_can_be_switched_off(n1: Server) -> None:
    n1.freeze()
    n1.reboot()
    n1.ssh("true")


def test_the_host_key_can_change(n1: Server) -> None:
    before = n1.host_key()
    n1.change_host_key()
    assert n1.host_key() != before
    scanned = run(["ssh-keyscan", "-t", "ed25519", n1.address]).stdout
    assert n1.host_key() in scanned


def test_a_vanished_server_answers_nothing_and_returns(n1: Server) -> None:
    n1.vanish()
    try:
        with pytest.raises((TimeoutError, OSError)) as caught:
            dial(n1)
        assert not isinstance(caught.value, ConnectionRefusedError)
    finally:
        n1.return_()
    wait_until(lambda: n1.ssh("true", check=False).returncode == 0, 10, "n1 is back")


def test_filtered_ports_drop_from_outside_only(n1: Server, n2: Server) -> None:
    n1.filter_ports("22")
    try:
        with pytest.raises(TimeoutError):
            n2.call(dial, n1)
        n1.call(socket.create_connection, ("127.0.0.1", 22), 1).close()
    finally:
        n1.unblock()
    n2.call(dial, n1).close()


def test_a_blocked_pair_leaves_others_alone(fleet: Fleet, n1: Server, n2: Server) -> None:
    n1.block(fleet.panel_address)
    try:
        with pytest.raises(TimeoutError):
            dial(n1)
        n2.call(dial, n1).close()
    finally:
        n1.unblock()
    dial(n1).close()


def test_a_full_disk_is_full_for_that_server_only(fleet: Fleet, n1: Server) -> None:
    small = fleet.add_server("s1", disk_mb=48)
    small.ssh("docker info && df /")
    small.fill_disk()
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked
        small.write("/etc/more", "x" * 100_000)
    assert caught.value.errno == errno.ENOSPC
    assert "No space left" in small.ssh("echo x >/var/lib/more", check=False).stderr
    n1.write("/var/lib/more", "x")
    small.free_disk()
    small.write("/etc/more", "x")


def test_a_server_without_docker_has_none(fleet: Fleet) -> None:
    bare = fleet.add_server("b1", docker=False)
    assert bare.ssh("command -v docker dockerd containerd", check=False).stdout == ""
    assert bare.ssh("dpkg --status docker.io", check=False).returncode != 0


def test_there_is_no_way_out(n1: Server) -> None:
    with pytest.raises(OSError, match=r"unreachable|timed out|No route"):
        n1.call(socket.create_connection, ("192.0.2.1", 80), 4)


# -- runs --------------------------------------------------------------------------------------


def test_without_root_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(needs, "PROGRAMS", {"no-such-program": "some-package"})
    with pytest.raises(NotPossible, match=r"needs root.*missing: some-package"):
        Fleet()


def test_two_fleets_stand_side_by_side(n1: Server) -> None:
    with Fleet(servers=1, clients=0) as other:
        assert other.servers[0].address != n1.address
        other.servers[0].ssh("true")
        n1.ssh("true")


def test_a_killed_run_takes_its_servers_along_and_its_leftovers_are_removed(tmp_path: Path) -> None:
    program = (
        "import time\n"
        "from tests.system.fleet import Fleet\n"
        "fleet = Fleet(servers=1, clients=1).up()\n"
        "print('name', fleet.folder.name, flush=True)\n"
        "time.sleep(100)\n"
    )
    process = spawn([sys.executable, "-c", program], log=tmp_path / "log", cwd=ROOT)
    process.wait_for_output("name ", 30)
    name = process.output().split()[-1]
    group = cgroups.ROOT / f"derpman-{name}-n1"
    assert cgroups.pids(group)

    process.kill()

    wait_until(lambda: not cgroups.pids(group), 10, "its servers are gone")
    with Fleet(servers=0, clients=0):
        pass
    assert not group.exists()
    assert not (runs.BASE / name).exists()
    assert name not in run(["ip", "netns"]).stdout + run(["ip", "link"]).stdout
