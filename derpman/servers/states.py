"""What a server and a job on it can be, and what may happen to them."""

from enum import StrEnum


class ServerStatus(StrEnum):
    ADDING = "adding"
    FAILED = "failed"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    REMOVED = "removed"


TRANSITIONS = {
    (ServerStatus.ADDING, "accept"): ServerStatus.HEALTHY,
    (ServerStatus.ADDING, "fail"): ServerStatus.FAILED,
    (ServerStatus.FAILED, "retry"): ServerStatus.ADDING,
    (ServerStatus.HEALTHY, "lose"): ServerStatus.UNHEALTHY,
    (ServerStatus.UNHEALTHY, "recover"): ServerStatus.HEALTHY,
    (ServerStatus.ADDING, "retry"): ServerStatus.ADDING,  # a script was awaited that never ran
    (ServerStatus.UNHEALTHY, "retry"): ServerStatus.UNHEALTHY,  # it was installed anew
    (ServerStatus.HEALTHY, "check"): ServerStatus.HEALTHY,
    (ServerStatus.UNHEALTHY, "check"): ServerStatus.UNHEALTHY,
    (ServerStatus.ADDING, "remove"): ServerStatus.REMOVED,
    (ServerStatus.FAILED, "remove"): ServerStatus.REMOVED,
    (ServerStatus.HEALTHY, "remove"): ServerStatus.REMOVED,
    (ServerStatus.UNHEALTHY, "remove"): ServerStatus.REMOVED,
}


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


JOB_TRANSITIONS = {
    (JobStatus.QUEUED, "start"): JobStatus.RUNNING,
    (JobStatus.RUNNING, "start"): JobStatus.RUNNING,  # its worker died: the job begins again
    (JobStatus.RUNNING, "finish"): JobStatus.DONE,
    (JobStatus.RUNNING, "fail"): JobStatus.FAILED,
    (JobStatus.QUEUED, "fail"): JobStatus.FAILED,
}
