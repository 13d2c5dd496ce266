"""What a placement can be: what we want of it, and what its node says."""

from enum import StrEnum


class Wanted(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    RELEASED = "released"


WANTED_TRANSITIONS = {
    (Wanted.RUNNING, "stop"): Wanted.STOPPED,
    (Wanted.STOPPED, "start"): Wanted.RUNNING,
    (Wanted.RUNNING, "release"): Wanted.RELEASED,
    (Wanted.STOPPED, "release"): Wanted.RELEASED,
}


class Observed(StrEnum):
    """As the node says; `UNKNOWN` until it has said anything, `GONE` after release."""

    UNKNOWN = "unknown"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPED = "stopped"
    FAILED = "failed"
    GONE = "gone"


REACHED = {
    Wanted.RUNNING: Observed.READY,
    Wanted.STOPPED: Observed.STOPPED,
    Wanted.RELEASED: Observed.GONE,
}
"""What a node reports when a wish has come true."""
