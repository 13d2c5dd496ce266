"""What alerts refuse."""

from derpman.kit.errors import Conflict, NotFound


class AlertNotFound(NotFound):
    code = "alerts.not_found"
    text = "There is no alert {alert_id}."


class AlertResolved(Conflict):
    code = "alerts.resolved"
    text = "Alert {alert_id} is resolved already."
