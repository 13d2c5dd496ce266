"""What of a systemd unit file this stand-in understands, and the running of one service."""

import contextlib
import fcntl
import os
import pwd
import resource
import shlex
import signal
import socket
import time
from pathlib import Path

FOLDERS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
WANTED = FOLDERS[0] / "multi-user.target.wants"
LOGS = Path("/var/log/units")
NOTIFY = Path("/run/systemd/notify")
SPECIAL = "-@+!:"  # what may stand before the program in ExecStart


def find(name: str) -> Path | None:
    """The file of a unit: its own, or that of its template."""
    instance = instance_of(name)
    names = [name] if not instance else [name, name.replace(f"@{instance}.", "@.")]
    for candidate in names:
        for folder in FOLDERS:
            if (folder / candidate).exists():
                return folder / candidate
    return None


def instance_of(name: str) -> str:
    """What stands between @ and the last dot: what `%i` is."""
    return name.rpartition(".")[0].partition("@")[2]


def parse(path: Path, instance: str = "") -> dict[str, list[str]]:
    """Every setting of the file with its values in order; an empty one clears those before."""
    settings: dict[str, list[str]] = {}
    text = path.read_text().replace("\\\n", " ").replace("%i", instance)
    for line in text.splitlines():
        key, found, value = line.strip().partition("=")
        if not found or key.startswith(("#", ";", "[")):
            continue
        if value.strip():
            settings.setdefault(key.strip(), []).append(value.strip())
        else:
            settings[key.strip()] = []
    return settings


class Service:
    """A unit and the state of its process: inactive, activating, active, deactivating or failed."""

    def __init__(self, name: str, cgroup: Path) -> None:
        self.name = name
        self.cgroup = cgroup / name.removesuffix(".service")
        self.state = "inactive"
        self.pid = 0
        self.restart_at: float | None = None
        self.kill_at: float | None = None
        self.restarts = 0
        self.again = False  # start once more when it has ended: `restart`
        self.notify: socket.socket | None = None
        self.lends: list[SocketUnit] = []  # every socket unit of the server
        self.sockets: list[socket.socket] = []  # those that this service is handed
        self.load()

    def load(self) -> None:
        path = find(self.name)
        self.settings = parse(path, instance_of(self.name)) if path else {}

    def last(self, key: str, default: str = "") -> str:
        values = self.settings.get(key)
        return values[-1] if values else default

    def seconds(self, key: str, default: float) -> float:
        value = self.last(key)
        for unit, factor in (("ms", 0.001), ("min", 60), ("s", 1), ("", 1)):
            if value and value.endswith(unit):
                number = value.removesuffix(unit)
                return float(number) * factor if number.replace(".", "", 1).isdigit() else default
        return default

    def after(self) -> set[str]:
        return self.words("After")

    def words(self, key: str) -> set[str]:
        return {word for line in self.settings.get(key, []) for word in line.split()}

    # -- running ---------------------------------------------------------------------------

    def start(self) -> None:
        if self.state in {"active", "activating"} and self.pid:
            return
        self.load()
        self.restart_at = None
        commands = self.settings.get("ExecStart")
        if not commands:
            self.state = "failed"
            return
        self.state = "activating"
        self.sockets = [
            one
            for socket_unit in self.lends
            if socket_unit.name in self.words("Requires")
            for one in socket_unit.opened()
        ]
        self._folders()
        for line in self.settings.get("ExecStartPre", []):
            if self._wait_for(line) != 0 and not line.startswith("-"):
                self._ended_badly()
                return
        if self.last("Type") == "oneshot":
            ok = all(self._wait_for(line) == 0 for line in commands)
            self.state = (
                ("active" if self.last("RemainAfterExit") else "inactive") if ok else "failed"
            )
            return
        if self.last("Type") == "forking":
            self._fork_twice(commands[-1])
            return
        if self.last("Type") == "notify":
            self._listen()
        self.pid = self._fork(commands[-1])
        if self.notify is None:
            self.state = "active"

    def _fork_twice(self, line: str) -> None:
        """Run what starts a daemon and ends; the daemon has written down which process it is."""
        pid_file = Path(self.last("PIDFile"))
        if self._wait_for(line) != 0 or not pid_file.is_file():
            self._ended_badly()
            return
        self.pid = int(pid_file.read_text())  # an orphan: it became a child of ours, the first one
        self.state = "active"

    def stop(self) -> None:
        """Ask it to end; `reap` sees it end."""
        self.restart_at = None
        if not self.pid:
            self.state = "inactive"
            self._kill_rest()
            return
        self.state = "deactivating"
        self.kill_at = time.monotonic() + self.seconds("TimeoutStopSec", 20)
        os.kill(self.pid, signal.SIGTERM)

    def reap(self, status: int) -> None:
        """Its main process ended."""
        self.pid, self.kill_at = 0, None
        self._deaf()
        self._kill_rest()
        if self.state == "deactivating":
            self.state = "inactive"
            if self.again:
                self.again = False
                self.start()
            return
        policy = self.last("Restart", "no")
        if policy in {"always", "on-failure"} and (policy == "always" or status != 0):
            self.state = "activating"
            self.restarts += 1
            self.restart_at = time.monotonic() + self.seconds("RestartSec", 0.1)
        else:
            self.state = "failed" if status else "inactive"

    def tick(self, now: float) -> None:
        """What is due by the clock or by a message of the service."""
        if self.notify is not None:
            try:
                while b"READY=1" not in self.notify.recv(4096).split(b"\n"):
                    pass
                self._deaf()
                self.state = "active" if self.state == "activating" else self.state
            except BlockingIOError:
                pass
        if self.kill_at is not None and now >= self.kill_at:
            os.kill(self.pid, signal.SIGKILL)
            self.kill_at = None
        if self.restart_at is not None and now >= self.restart_at:
            self.start()

    def kill(self, name: str) -> None:
        """Signal its main process: a number, a name, or SIGTERM for an empty one."""
        name = name.removeprefix("SIG") or "TERM"
        if self.pid:
            os.kill(self.pid, int(name) if name.isdigit() else signal.Signals[f"SIG{name}"])

    def reload(self) -> None:
        for line in self.settings.get("ExecReload", []):
            self._wait_for(line.replace("$MAINPID", str(self.pid)))

    # -- the process -----------------------------------------------------------------------

    def _ended_badly(self) -> None:
        if self.last("Restart", "no") in {"always", "on-failure"}:
            self.restart_at = time.monotonic() + self.seconds("RestartSec", 0.1)
        else:
            self.state = "failed"

    def _folders(self) -> None:
        user = self.last("User", "root")
        for key, base in (
            ("RuntimeDirectory", "/run"),
            ("StateDirectory", "/var/lib"),
            ("LogsDirectory", "/var/log"),
            ("ConfigurationDirectory", "/etc"),
        ):
            mode = int(self.last(key + "Mode", "0755"), 8)
            for name in self.last(key).split():
                folder = Path(base, name)
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(mode)
                entry = pwd.getpwnam(user)
                os.chown(folder, entry.pw_uid, entry.pw_gid)

    def _listen(self) -> None:
        self._deaf()
        path = NOTIFY.with_name(f"notify-{self.name}")
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.setblocking(False)
        self.notify.bind(str(path))
        path.chmod(0o666)  # services run as other users

    def _deaf(self) -> None:
        if self.notify is not None:
            self.notify.close()
            self.notify = None

    def _kill_rest(self) -> None:
        if self.last("KillMode", "control-group") != "control-group":
            return
        procs = self.cgroup / "cgroup.procs"
        for word in procs.read_text().split() if procs.exists() else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(word), signal.SIGKILL)

    def _wait_for(self, line: str) -> int:
        _, status = os.waitpid(self._fork(line), 0)
        return status

    def _fork(self, line: str) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            self._become(line)
        except BaseException as error:  # noqa: BLE001 - the child must never return
            os.write(2, f"{self.name}: {error}\n".encode())
        os._exit(203)

    def _become(self, line: str) -> None:
        self.cgroup.mkdir(parents=True, exist_ok=True)
        (self.cgroup / "cgroup.procs").write_text("0")
        os.setsid()
        handed = [fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in self.sockets]
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        LOGS.mkdir(parents=True, exist_ok=True)
        log = os.open(LOGS / f"{self.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if limit := self.last("LimitNOFILE"):
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[
                1
            ]  # not even root may always raise it
            number = most if limit == "infinity" else min(int(limit.split(":")[-1]), most)
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))
        os.umask(int(self.last("UMask", "0022"), 8))
        os.chdir(self.last("WorkingDirectory", "/").lstrip("-") or "/")
        env = self._environment()
        for number, fd in enumerate(handed):  # as sd_listen_fds(3) wants them
            os.dup2(fd, 3 + number)
            env |= {"LISTEN_FDS": str(len(handed)), "LISTEN_PID": str(os.getpid())}
        user = self.last("User")
        if user and user != "root":
            entry = pwd.getpwnam(user)
            os.initgroups(user, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            env |= {"HOME": entry.pw_dir, "USER": user, "LOGNAME": user}
        words: list[str] = []
        for word in shlex.split(line.lstrip(SPECIAL)):
            if word.startswith("$"):  # $NAME is as many words as it has, ${NAME} is one
                value = env.get(word[1:].strip("{}"), "")
                words += [value] if word.startswith("${") else shlex.split(value)
            else:
                words.append(word)
        os.execvpe(words[0], words, env)

    def _environment(self) -> dict[str, str]:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        env = {"PATH": path, "LANG": "C.UTF-8", "INVOCATION_ID": f"{self.restarts:032x}"}
        if self.notify is not None:
            env["NOTIFY_SOCKET"] = str(NOTIFY.with_name(f"notify-{self.name}"))
        lines = [
            word for line in self.settings.get("Environment", []) for word in shlex.split(line)
        ]
        for name in self.settings.get("EnvironmentFile", []):
            file = Path(name.lstrip("-"))
            if file.exists():
                lines += [
                    word for word in file.read_text().splitlines() if word[:1] not in {"", "#"}
                ]
        for word in lines:
            key, _, value = word.partition("=")
            env[key] = value.strip("\"'")
        return env


class SocketUnit:
    """A listening socket that outlives the processes of its service: loopback TCP only."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._open: list[socket.socket] = []

    def opened(self) -> list[socket.socket]:
        """The sockets, opened when nobody has yet."""
        path = find(self.name)
        if not self._open and path:
            for address in parse(path, instance_of(self.name)).get("ListenStream", []):
                host, _, port = address.rpartition(":")
                self._open.append(socket.create_server((host, int(port)), backlog=1024))
        return self._open

    def close(self) -> None:
        for one in self._open:
            one.close()
        self._open = []
