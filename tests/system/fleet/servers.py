"""A server of the fleet: a machine with an sshd, a dockerd, users, units and a disk of its own."""

import contextlib
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.system.fleet import cgroups
from tests.system.fleet.machines import Machine
from tests.system.processes import Process, run, spawn, wait_until

HERE = Path(__file__).parent
Sshd = Literal["normal", "refusing", "silent", "stuck"]

_SSHD_CONFIG = """\
Include /etc/ssh/sshd_config.d/*.conf
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin yes
KbdInteractiveAuthentication no
UsePAM yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
"""
_SSHD_UNIT = """\
[Service]
Type=notify
ExecStart=/usr/sbin/sshd -D -e
KillMode=process
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
# --cgroup-parent puts the containers below the server's own group; the rest is Docker's default.
_DOCKER_UNIT = """\
[Service]
Type=notify
ExecStart=/usr/sbin/dockerd -H unix:///run/docker.sock --exec-opt native.cgroupdriver=cgroupfs \
--cgroup-parent /{cgroup}/containers
ExecReload=/bin/kill -s HUP $MAINPID
KillMode=process
Restart=always
RestartSec=1s
LimitNOFILE=infinity
[Install]
WantedBy=multi-user.target
"""


@dataclass
class Server(Machine):
    """One rented machine, as far as anything that reaches it by network or SSH can tell."""

    docker_installed: bool = True
    disk_mb: int | None = None  # None: the machine's disk
    _init: Process | None = field(default=None, init=False, repr=False)
    _silent: socket.socket | None = field(default=None, init=False, repr=False)

    # -- power -----------------------------------------------------------------------------

    def boot(self) -> None:
        """Switch it on; returns before its services are up (`wait_until_up`)."""
        words = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
        disk = [str(self.disk_mb)] if self.disk_mb else []
        self._init = spawn(
            [*words, sys.executable, "-E", "-s", HERE / "init.py", self.home, self.cgroup, *disk],
            log=self.home / "init.log",
            within=Machine.within(self),
        )

    def wait_until_up(self, seconds: float = 60) -> None:
        names = ["ssh", "docker"] if self.docker_installed else ["ssh"]

        def up() -> bool:
            if self._init and not self._init.alive():
                raise AssertionError(f"{self.name} did not start:\n{self._init.tail()}")
            if not (self.cgroup / "units").is_dir():
                return False
            return self.systemctl("is-active", "--quiet", *names, check=False).returncode == 0

        wait_until(up, seconds, f"{self.name}: {' and '.join(names)} active")

    def cut_power(self) -> None:
        """Everything on it is gone at once, as by kill -9; the disk stays."""
        if self._silent:
            self._silent.close()
            self._silent = None
        cgroups.kill_all(self.cgroup)
        if self._init:
            self._init.kill()
            self._init = None

    def reboot(self, *, wait: bool = True) -> None:
        """Power off and on: an empty /run, the enabled units start. A small disk is lost."""
        self.cut_power()
        self.boot()
        if wait:
            self.wait_until_up()

    @property
    def cgroup(self) -> Path:
        """Its control group, which holds every process of it."""
        return cgroups.ROOT / f"derpman-{self.namespace.removeprefix('dm')}"

    @property
    def pid(self) -> int:
        """The pid, outside, of its first process."""
        assert self._init is not None, f"{self.name} is off"
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children")
        return int(wait_until(children.read_text, 10, f"{self.name}: first process").split()[0])

    # -- doing things on it ----------------------------------------------------------------

    def within(self) -> list[str]:
        enter = 'mkdir -p "$1" && echo $$ >"$1/cgroup.procs" && shift && exec "$@"'
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [
            *("sh", "-c", enter, "enter", str(self.cgroup / "shell")),
            *("nsenter", "--target", str(self.pid), "--mount", "--uts", "--ipc", "--net", "--pid"),
            *("--", "env", "-i", path, "HOME=/root", "LANG=C.UTF-8"),
        ]

    def path(self, inside: str) -> Path:
        """Where a file of the server is seen from outside, while it is on."""
        return Path(f"/proc/{self.pid}/root") / inside.lstrip("/")

    def write(self, inside: str, content: str | bytes, *, mode: int = 0o644) -> None:
        """Write a file on it, owned by root."""
        target = self.path(inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    def put(self, local: Path, inside: str, *, mode: int = 0o755) -> None:
        """Copy a file of this machine to it, owned by root."""
        target = self.path(inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(local, target)
        target.chmod(mode)

    def read(self, inside: str) -> str:
        return self.path(inside).read_text(errors="replace")

    def docker(self, *args: str, **options: object) -> "subprocess.CompletedProcess[str]":
        return self.run(["docker", *args], **options)  # pyright: ignore[reportArgumentType] - passed through

    def systemctl(self, *args: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return self.run(["systemctl", *args], check=check, seconds=120)

    def install_unit(self, name: str, text: str) -> None:
        """Write a unit, enable it and start it."""
        self.write(f"/etc/systemd/system/{name}.service", text)
        self.systemctl("daemon-reload")
        self.systemctl("enable", "--now", name)

    def kill_unit(self, name: str, signal: str = "KILL") -> None:
        """Signal the main process of a unit; its `Restart=` follows."""
        self.systemctl("kill", "--kill-whom=main", f"--signal={signal}", name)

    def unit_pid(self, name: str) -> int:
        """The main pid of a unit as the server sees it; 0 when it does not run."""
        return int(self.systemctl("show", "-p", "MainPID", "--value", name).stdout)

    def unit_log(self, name: str) -> str:
        log = self.path(f"/var/log/units/{name}.service.log")
        return log.read_text(errors="replace") if log.exists() else ""

    # -- SSH -------------------------------------------------------------------------------

    def ssh_argv(self, *words: str, user: str = "root", key: Path | None = None) -> list[str]:
        """OpenSSH's client, to be run from here, with the administrator's key or another."""
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "ConnectTimeout": "5",
        }
        flags = [word for item in options.items() for word in ("-o", "=".join(item))]
        key = key or self.home.parent / "admin_key"
        return ["ssh", "-F", "none", *flags, "-i", str(key), f"{user}@{self.address}", *words]

    def ssh(self, command: str, **options: object) -> "subprocess.CompletedProcess[str]":
        return run(self.ssh_argv(command), **options)  # pyright: ignore[reportArgumentType] - passed through

    def host_key(self) -> str:
        """The public host key in one line, as known_hosts has it: type and base64."""
        return " ".join(self.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])

    def change_host_key(self) -> None:
        """Another host key, as after a reinstallation or under an impostor."""
        path = "/etc/ssh/ssh_host_ed25519_key"
        self.run(["rm", "-f", path, f"{path}.pub"])
        self.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path])
        self.systemctl("restart", "ssh")

    def set_password(self, user: str, password: str) -> None:
        self.run(["chpasswd"], text=f"{user}:{password}\n")

    def sshd(self, mode: Sshd) -> None:
        """How port 22 behaves from now on; "silent" and "refusing" also end what is connected.

        refusing: closed port. silent: accepts and never says a word. stuck: logs in, and every
        command, also a forced one, hangs. normal: works.
        """
        config = self.path("/etc/ssh/sshd_config.d/stuck.conf")
        if self._silent:
            self._silent.close()
            self._silent = None
        if mode == "stuck":
            config.write_text("ForceCommand sleep 1000000\n")
        else:
            config.unlink(missing_ok=True)
        if mode in {"normal", "stuck"}:
            self.systemctl("restart", "ssh")
            return
        self.systemctl("stop", "ssh")
        cgroups.kill_all(self.cgroup / "units" / "ssh")
        if mode == "silent":
            # The kernel completes connections for a listener that nobody accepts from.
            self._silent = self.call(socket.create_server, ("", 22), backlog=512)

    # -- trouble ---------------------------------------------------------------------------

    def freeze(self) -> None:
        """Hang: connections stay open and are even accepted, no process on it does anything."""
        cgroups.freeze(self.cgroup)

    def thaw(self) -> None:
        cgroups.thaw(self.cgroup)

    def fill_disk(self) -> None:
        """Leave no byte on the disk; only for a server with a small one of its own."""
        assert self.disk_mb, f"{self.name} uses this machine's disk"
        with contextlib.suppress(OSError), self.path("/srv/ballast").open("ab") as ballast:
            while True:
                ballast.write(b"\0" * 65536)
                ballast.flush()

    def free_disk(self) -> None:
        self.path("/srv/ballast").unlink(missing_ok=True)

    # -- before the first boot -------------------------------------------------------------

    def prepare(self, admin_key: str) -> None:
        """Lay out what the server has from the start: keys, units, names."""
        seed = self.home / "seed"
        hosts = f"127.0.0.1 localhost\n{self.address} {self.name}\n"
        files = {
            "etc/hostname": f"{self.name}\n",
            "etc/hosts": hosts,
            "etc/resolv.conf": "# the fleet has no way out\n",
            "etc/ssh/sshd_config": _SSHD_CONFIG,
            "etc/systemd/system/ssh.service": _SSHD_UNIT,
            "root/.ssh/authorized_keys": f"{admin_key}\n",
        }
        if self.docker_installed:
            unit = _DOCKER_UNIT.format(cgroup=self.cgroup.name)
            files["etc/systemd/system/docker.service"] = unit
        for name, text in files.items():
            file = seed / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (seed / "root").chmod(0o700)
        (seed / "root/.ssh").chmod(0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f",
             seed / "etc/ssh/ssh_host_ed25519_key"])  # fmt: skip
        wants = seed / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir()
        for unit in seed.glob("etc/systemd/system/*.service"):
            (wants / unit.name).symlink_to(f"/etc/systemd/system/{unit.name}")
        (seed / "usr/bin").mkdir(parents=True)
        for tool in ("systemctl", "journalctl"):
            shutil.copy(HERE / tool, seed / "usr/bin" / tool)
        if not self.docker_installed:
            (self.home / "without").write_text("docker\n")
