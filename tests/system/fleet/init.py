"""The first process of a server: enters its file tree, then stands in for systemd.

It starts the enabled units, starts them again as they ask for, and serves `systemctl` (the
script beside it). usage: init.py HOME CGROUP [DISK_MB]. Runs as pid 1 of new mount, pid, UTS and
IPC namespaces, inside the server's network namespace.
"""

# Everything is imported before the file tree changes; afterwards this interpreter's files are gone.
import codecs
import encodings.idna
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import rootfs
import units

REQUESTS = Path("/run/init/requests")
_PRELOADED = (codecs, encodings.idna)


class Init:
    """The table of services, and the calls of systemctl that wait for an answer."""

    def __init__(self, cgroup: Path) -> None:
        self.cgroup = cgroup / "units"
        self.services: dict[str, units.Service] = {}
        self.sockets: list[units.SocketUnit] = []
        self.queue: list[units.Service] = []
        self.waiting: list[tuple[str, list[units.Service], str]] = []

    def service(self, word: str) -> units.Service:
        name = word if "." in word else f"{word}.service"
        if name not in self.services:
            self.services[name] = units.Service(name, self.cgroup)
            self.services[name].lends = self.sockets
            for needed in self.services[name].words("Requires"):
                if needed.endswith(".socket"):
                    self.socket(needed)
        return self.services[name]

    def socket(self, name: str) -> units.SocketUnit:
        for one in self.sockets:
            if one.name == name:
                return one
        self.sockets.append(units.SocketUnit(name))
        return self.sockets[-1]

    def boot(self) -> None:
        for path in units.WANTED.glob("*.socket"):
            self.socket(path.name).opened()
        names = sorted(path.name for path in units.WANTED.glob("*.service"))
        self.queue = [self.service(name) for name in names]

    def tick(self) -> None:
        """Reap, restart, start what was waiting for another, answer what is settled."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                for service in self.services.values():
                    if service.pid == ended[0]:
                        service.reap(ended[1])
        except ChildProcessError:
            pass
        now = time.monotonic()
        for service in list(self.services.values()):
            service.tick(now)
        queued = {service.name for service in self.queue}
        for service in list(self.queue):
            first = [self.services[name] for name in service.after() if name in self.services]
            if not any(one.name in queued or one.state == "activating" for one in first):
                self.queue.remove(service)
                service.start()
        for call in list(self.waiting):
            reply, services, goal = call
            if all(_settled(service, goal) for service in services):
                self.waiting.remove(call)
                good = {"inactive", "failed"} if goal == "down" else {"active", "inactive"}
                bad = [service.name for service in services if service.state not in good]
                _answer(reply, 1 if bad else 0, [f"{name} failed" for name in bad])

    def answer(self, line: str) -> None:
        """Serve one call; whatever is wrong with it, the server goes on."""
        try:
            self.call(line)
        except (OSError, KeyError, ValueError) as error:
            _answer(line.partition(" ")[0], 1, [f"{type(error).__name__}: {error}"])

    def call(self, line: str) -> None:
        """One call of systemctl: the reply's number, the verb, options and units."""
        reply, *words = line.split(" ")
        verb, names, options = _read(words)
        listening = [self.socket(name) for name in names if name.endswith(".socket")]
        if listening:
            names = [name for name in names if not name.endswith(".socket")]
            self._sockets(verb, listening, options)
            if not names:
                _answer(reply, 0, [])
                return
        services = [self.service(name) for name in names]
        missing = [one.name for one in services if not units.find(one.name)]
        if missing and verb not in {"is-active", "is-enabled", "is-failed", "reset-failed"}:
            _answer(reply, 5, [f"Unit {name} could not be found." for name in missing])
        elif verb in {"start", "restart", "stop", "reload-or-restart", "try-restart"}:
            self._change(verb, services, reply, wait="no-block" not in options)
        elif verb in {"enable", "disable"}:
            for service in services:
                _enable(service, verb == "enable")
            if "now" in options:
                self._change("start" if verb == "enable" else "stop", services, reply, wait=True)
            else:
                _answer(reply, 0, [])
        else:
            self._ask(verb, services, options, reply)

    def _sockets(
        self, verb: str, listening: list[units.SocketUnit], options: dict[str, str]
    ) -> None:
        for one in listening:
            if verb in {"enable", "disable"}:
                _enable(one, verb == "enable")
            if verb in {"start", "restart"} or (verb == "enable" and "now" in options):
                one.opened()
            elif verb == "stop" or (verb == "disable" and "now" in options):
                one.close()

    def _change(self, verb: str, services: list[units.Service], reply: str, *, wait: bool) -> None:
        for service in services:
            if service in self.queue:
                self.queue.remove(service)
            if verb == "stop":
                service.stop()
            elif verb == "start" or not service.pid:
                if verb != "try-restart":
                    service.start()
            else:
                service.again = True
                service.stop()
        if wait:
            self.waiting.append((reply, services, "down" if verb == "stop" else "up"))
        else:
            _answer(reply, 0, [])

    def _ask(
        self, verb: str, services: list[units.Service], options: dict[str, str], reply: str
    ) -> None:
        states = [one.state for one in services]
        active = all(state == "active" for state in states)
        answers: dict[str, Callable[[], tuple[bool, int, list[str]]]] = {
            "is-active": lambda: (active and bool(states), 3, states),
            "is-failed": lambda: ("failed" in states, 1, states),
            "is-enabled": lambda: _enabled(services),
            "status": lambda: (active, 3, [_status(one) for one in services]),
            "show": lambda: (True, 0, [line for one in services for line in _show(one, options)]),
            "is-system-running": lambda: (True, 0, ["running"]),
            "reset-failed": lambda: (True, 0, []),
            "kill": lambda: (
                _each(services, lambda one: one.kill(options.get("signal", ""))),
                1,
                [],
            ),
            "reload": lambda: (_each(services, units.Service.reload), 1, []),
            "daemon-reload": lambda: (_each(self.services.values(), units.Service.load), 1, []),
        }
        unknown = (False, 1, [f"this stand-in for systemctl does not know {verb!r}"])
        yes, code, lines = answers.get(verb, lambda: unknown)()
        quiet = "quiet" in options and verb.startswith("is-")
        _answer(reply, 0 if yes else code, [] if quiet else lines)


def _each(services: Iterable[units.Service], act: Callable[[units.Service], None]) -> bool:
    for one in services:
        act(one)
    return True


def _enabled(services: list[units.Service]) -> tuple[bool, int, list[str]]:
    links = [(units.WANTED / one.name).is_symlink() for one in services]
    return all(links), 1, ["enabled" if link else "disabled" for link in links]


def _status(one: units.Service) -> str:
    return f"{one.name}\n   Active: {one.state}\n Main PID: {one.pid}"


def _show(one: units.Service, options: dict[str, str]) -> list[str]:
    values = {"MainPID": one.pid, "ActiveState": one.state, "NRestarts": one.restarts}
    keys = options.get("property", ",".join(values)).split(",")
    return [
        f"{values.get(key, '')}" if "value" in options else f"{key}={values.get(key, '')}"
        for key in keys
    ]


_SHORT = {"-p": "--property", "-s": "--signal", "-n": "--lines", "-q": "--quiet"}
_VALUED = {"property", "signal", "lines", "kill-whom", "kill-who"}


def _read(words: list[str]) -> tuple[str, list[str], dict[str, str]]:
    """The verb, the units and the options of a call, as systemctl reads them."""
    plain: list[str] = []
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            plain.append(word)
            continue
        key, has_value, value = _SHORT.get(word, word).lstrip("-").partition("=")
        options[key] = next(rest, "") if key in _VALUED and not has_value else value
    return (plain[0] if plain else ""), plain[1:], options


def _settled(service: units.Service, goal: str) -> bool:
    if goal == "down":
        return service.state in {"inactive", "failed"}
    if service.again:
        return False
    died = service.restart_at is not None  # the call fails; the service is tried again all the same
    return died or service.state in {"active", "inactive", "failed"}


def _enable(service: units.Service | units.SocketUnit, on: bool) -> None:
    link, path = units.WANTED / service.name, units.find(service.name)
    link.unlink(missing_ok=True)
    if on and path:
        units.WANTED.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


def _answer(reply: str, code: int, lines: list[str]) -> None:
    path = REQUESTS.with_name(f"reply.{reply}")
    try:
        channel = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return  # the caller is gone
    try:
        text = "".join(f"{line}\n" for line in lines)
        os.write(channel, f"{text}exit {code}\n".encode())
    except OSError:
        pass
    finally:
        os.close(channel)


def main() -> None:
    home, cgroup = Path(sys.argv[1]), Path(sys.argv[2])
    disk_mb = int(sys.argv[3]) if len(sys.argv) > 3 else None
    leaf = cgroup / "init"
    leaf.mkdir(parents=True, exist_ok=True)
    (leaf / "cgroup.procs").write_text("0")
    socket.sethostname(home.name)
    rootfs.enter(home, disk_mb)
    os.environ.clear()

    REQUESTS.parent.mkdir()
    os.mkfifo(REQUESTS, 0o600)
    requests = os.open(REQUESTS, os.O_RDWR | os.O_NONBLOCK)
    wakes, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    init = Init(cgroup)
    init.boot()
    pending = b""
    while True:
        init.tick()
        busy = (
            init.waiting
            or init.queue
            or any(one.notify or one.restart_at or one.kill_at for one in init.services.values())
        )
        ready, _, _ = select.select([requests, wakes], [], [], 0.02 if busy else 5)
        if wakes in ready:
            os.read(wakes, 4096)
        if requests in ready:
            pending += os.read(requests, 4096)
            *lines, pending = pending.split(b"\n")
            for line in lines:
                init.answer(line.decode(errors="replace"))


if __name__ == "__main__":
    main()
