"""Keeps a handful of child processes running, and ends them together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_AFTER_SECONDS = 30.0
GRACE_SECONDS = 20.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h
log = structlog.get_logger(__name__)
libc = ctypes.CDLL(None, use_errno=True)


def _end_with_parent() -> None:
    """Have the kernel end this process when its supervisor dies, however that happens."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One process that should run: its name, its command, and how it fared."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    next_start: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS

    def start(self) -> None:
        """Start it in a session of its own, so that a Ctrl-C reaches it through us only."""
        self.process = subprocess.Popen(
            self.command,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 # the supervisor has one thread
        )
        self.started_at = time.monotonic()


class Supervisor:
    """Starts children in their order, starts again what ends, ends all in the reverse order."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = list(children)
        self._ending = False

    def stop(self, *_: object) -> None:
        """Ask `run` to end everything; usable as a signal handler."""
        self._ending = True

    def run(self) -> None:
        """Keep the children running until a signal or `stop`."""
        previous = {
            sign: signal.signal(sign, self.stop) for sign in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            for child in self.children:
                child.start()
            while not self._ending:
                self._look()
                time.sleep(0.1)
        finally:
            self._end_all()
            for sign, handler in previous.items():
                signal.signal(sign, handler)

    def _look(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is None:
                if now >= child.next_start:
                    child.start()
                continue
            status = child.process.poll()
            if status is None:
                continue
            if now - child.started_at > STEADY_AFTER_SECONDS:
                child.pause = FIRST_PAUSE_SECONDS
            log.warning("process ended", name=child.name, status=status, again_in=child.pause)
            child.process = None
            child.next_start = now + child.pause
            child.pause = min(child.pause * 2, LONGEST_PAUSE_SECONDS)

    def _end_all(self) -> None:
        running = [child for child in reversed(self.children) if child.process is not None]
        deadline = time.monotonic() + GRACE_SECONDS
        for child in running:
            _signal(child, signal.SIGTERM)
        for child in running:
            assert child.process is not None  # for the type checker
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("process had to be killed", name=child.name)
                _signal(child, signal.SIGKILL)
                child.process.wait()


def _signal(child: Child, sign: signal.Signals) -> None:
    """Signal the child alone: it ends its own children, and relays outlive their node."""
    if child.process is not None and child.process.poll() is None:
        child.process.send_signal(sign)
