"""What can be wrong about traffic."""

from derpman.kit.errors import Conflict, NotFound


class NoOpenPeriod(Conflict):
    code = "traffic.no_open_period"
    text = "This customer has no rental whose traffic is counted now."


class QuarantineNotFound(NotFound):
    code = "traffic.quarantine_not_found"
    text = "There is no such count in quarantine."
