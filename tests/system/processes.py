"""Processes of a test: started with a log of their own, ended by pid, never outliving the test."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]

# The kernel kills a child (PR_SET_PDEATHSIG) when the *thread* that started it ends, so all
# children are started by one thread that ends with the program.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


class Impossible(RuntimeError):
    """This machine lacks what is asked for; the message says what."""


class NotInTime(AssertionError):
    """A condition did not come true within its time."""


def wait_until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Call `condition` until it is true and return its value; NotInTime after `seconds`."""
    end = time.monotonic() + seconds
    pause = 0.01
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise NotInTime(f"not within {seconds:g} s: {what} (last seen: {value!r})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


class Process:
    """One running program; its output goes to `log`."""

    def __init__(self, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self.popen = popen
        self.log = log

    @property
    def pid(self) -> int:
        return self.popen.pid

    def alive(self) -> bool:
        return self.popen.poll() is None

    def output(self) -> str:
        """What it has written so far, stdout and stderr in one."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.output().splitlines()[-lines:])

    def wait_for_output(self, text: str, seconds: float = 20) -> None:
        """Wait until it has written `text`; fails at once when it ends before."""

        def written() -> bool:
            if text in self.output():
                return True
            if not self.alive():
                raise AssertionError(f"{self.log.name} ended before {text!r}:\n{self.tail()}")
            return False

        wait_until(written, seconds, f"{text!r} in {self.log}")

    def signal(self, number: int) -> None:
        if self.alive():
            self.popen.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Its exit status; negative is the signal that ended it."""
        return self.popen.wait(seconds)

    def stop(self, seconds: float = 10) -> int:
        """End it politely, then by force; returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """kill -9, and wait."""
        self.signal(signal.SIGKILL)
        return self.popen.wait(10)


def end(popen: "subprocess.Popen[bytes]") -> None:
    """End an ssh client, by force if need be.

    OpenSSH 9.2 misses a signal that comes just before it waits in poll(), and waits for ever.
    """
    popen.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        popen.wait(5)
    popen.kill()
    popen.wait(10)


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    within: Iterable[str] = (),
    stdin: bytes | None = None,
) -> Process:
    """Start `argv` in a session of its own; `env` adds to ours; `within` is a command before it.

    It is killed when this program ends, however that happens.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [*_DIES_WITH_US, *within, *map(str, argv)]

    def start() -> "subprocess.Popen[bytes]":
        with log.open("ab") as sink:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd or ROOT,
                start_new_session=True,
            )

    process = Process(_spawner.submit(start).result(), log)
    if stdin is not None:
        assert process.popen.stdin is not None
        with process.popen.stdin as pipe:
            pipe.write(stdin)
    return process


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    seconds: float = 60,
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run to the end with `text` as its input; on failure the error holds the output (`check`)."""
    done = subprocess.run(
        [str(word) for word in argv],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        env={**os.environ, **env} if env else None,
        cwd=cwd,
        check=False,
    )
    if check and done.returncode != 0:
        words = " ".join(map(str, argv))
        raise AssertionError(f"exit {done.returncode}: {words}\n{done.stdout}{done.stderr}")
    return done
