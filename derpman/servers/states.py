"""What a server and a job on it can be, and what may happen to them."""

from enum import StrEnum


class ServerStatus(StrEnum):
    """Of the five in the middle all but `HEALTHY` take no new relays; see docs/failover.md."""

    ADDING = "adding"
    FAILED = "failed"
    HEALTHY = "healthy"
    SUSPECT = "suspect"
    """The panel misses it, for seconds; the other servers are being asked."""
    UNHEALTHY = "unhealthy"
    """The panel misses it, and the others do not agree: customers may still reach it."""
    DEAD = "dead"
    """The other servers agree: its relays can be reached by nobody, and are moved."""
    RECOVERING = "recovering"
    """It is back and must stay so for a while, longer each time."""
    GIVEN_UP = "given_up"
    """Believed to be in other hands: never spoken to again."""
    REMOVED = "removed"


TRANSITIONS = {
    (ServerStatus.ADDING, "accept"): ServerStatus.HEALTHY,
    (ServerStatus.ADDING, "fail"): ServerStatus.FAILED,
    (ServerStatus.FAILED, "retry"): ServerStatus.ADDING,
    (ServerStatus.ADDING, "retry"): ServerStatus.ADDING,  # a script was awaited that never ran
    (ServerStatus.UNHEALTHY, "retry"): ServerStatus.UNHEALTHY,  # it was installed anew
    (ServerStatus.DEAD, "retry"): ServerStatus.DEAD,
    # What probes find.
    (ServerStatus.HEALTHY, "doubt"): ServerStatus.SUSPECT,
    (ServerStatus.SUSPECT, "trust"): ServerStatus.HEALTHY,
    (ServerStatus.HEALTHY, "lose"): ServerStatus.UNHEALTHY,
    (ServerStatus.SUSPECT, "lose"): ServerStatus.UNHEALTHY,
    (ServerStatus.RECOVERING, "lose"): ServerStatus.UNHEALTHY,
    (ServerStatus.SUSPECT, "condemn"): ServerStatus.DEAD,
    (ServerStatus.UNHEALTHY, "condemn"): ServerStatus.DEAD,
    (ServerStatus.RECOVERING, "condemn"): ServerStatus.DEAD,
    (ServerStatus.DEAD, "reappear"): ServerStatus.UNHEALTHY,  # reached from outside, not by us
    (ServerStatus.UNHEALTHY, "return"): ServerStatus.RECOVERING,
    (ServerStatus.DEAD, "return"): ServerStatus.RECOVERING,
    (ServerStatus.RECOVERING, "recover"): ServerStatus.HEALTHY,
    # What operators do.
    (ServerStatus.HEALTHY, "check"): ServerStatus.HEALTHY,
    (ServerStatus.SUSPECT, "check"): ServerStatus.SUSPECT,
    (ServerStatus.UNHEALTHY, "check"): ServerStatus.UNHEALTHY,
    (ServerStatus.DEAD, "check"): ServerStatus.DEAD,
    (ServerStatus.RECOVERING, "check"): ServerStatus.RECOVERING,
    (ServerStatus.HEALTHY, "give_up"): ServerStatus.GIVEN_UP,
    (ServerStatus.SUSPECT, "give_up"): ServerStatus.GIVEN_UP,
    (ServerStatus.UNHEALTHY, "give_up"): ServerStatus.GIVEN_UP,
    (ServerStatus.DEAD, "give_up"): ServerStatus.GIVEN_UP,
    (ServerStatus.RECOVERING, "give_up"): ServerStatus.GIVEN_UP,
    (ServerStatus.ADDING, "remove"): ServerStatus.REMOVED,
    (ServerStatus.FAILED, "remove"): ServerStatus.REMOVED,
    (ServerStatus.HEALTHY, "remove"): ServerStatus.REMOVED,
    (ServerStatus.SUSPECT, "remove"): ServerStatus.REMOVED,
    (ServerStatus.UNHEALTHY, "remove"): ServerStatus.REMOVED,
    (ServerStatus.DEAD, "remove"): ServerStatus.REMOVED,
    (ServerStatus.RECOVERING, "remove"): ServerStatus.REMOVED,
    (ServerStatus.GIVEN_UP, "remove"): ServerStatus.REMOVED,
    (ServerStatus.REMOVED, "clean_up"): ServerStatus.REMOVED,  # it could not be reached then
}
IN_TOUCH = (
    ServerStatus.HEALTHY,
    ServerStatus.SUSPECT,
    ServerStatus.UNHEALTHY,
    ServerStatus.DEAD,
    ServerStatus.RECOVERING,
)
"""States in which the panel keeps, or tries to keep, a link to the server."""


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class UpgradeStatus(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    """By an admin, or because a server's upgrade failed."""
    DONE = "done"
    ABORTED = "aborted"


UPGRADE_TRANSITIONS = {
    (UpgradeStatus.RUNNING, "pause"): UpgradeStatus.PAUSED,
    (UpgradeStatus.RUNNING, "fail"): UpgradeStatus.PAUSED,
    (UpgradeStatus.PAUSED, "resume"): UpgradeStatus.RUNNING,
    (UpgradeStatus.RUNNING, "abort"): UpgradeStatus.ABORTED,
    (UpgradeStatus.PAUSED, "abort"): UpgradeStatus.ABORTED,
    (UpgradeStatus.RUNNING, "finish"): UpgradeStatus.DONE,
}


class StageStatus(StrEnum):
    """Where one server stands in an upgrade."""

    WAITING = "waiting"
    RUNNING = "running"
    WATCHED = "watched"
    """It is upgraded, and must do well for a while before the next one."""
    DONE = "done"
    FAILED = "failed"
    """What was begun was rolled back."""
    SKIPPED = "skipped"


STAGE_TRANSITIONS = {
    (StageStatus.WAITING, "start"): StageStatus.RUNNING,
    (StageStatus.WAITING, "skip"): StageStatus.SKIPPED,
    (StageStatus.RUNNING, "finish"): StageStatus.WATCHED,
    (StageStatus.RUNNING, "fail"): StageStatus.FAILED,
    (StageStatus.WATCHED, "pass"): StageStatus.DONE,
    (StageStatus.WATCHED, "fail"): StageStatus.FAILED,
    (StageStatus.FAILED, "retry"): StageStatus.WAITING,
}

JOB_TRANSITIONS = {
    (JobStatus.QUEUED, "start"): JobStatus.RUNNING,
    (JobStatus.RUNNING, "start"): JobStatus.RUNNING,  # its worker died: the job begins again
    (JobStatus.RUNNING, "finish"): JobStatus.DONE,
    (JobStatus.RUNNING, "fail"): JobStatus.FAILED,
    (JobStatus.QUEUED, "fail"): JobStatus.FAILED,
}
