"""What alerts refuse."""

from derpman.kit.errors import Conflict, Invalid, NotFound


class AlertNotFound(NotFound):
    code = "alerts.not_found"
    text = "There is no alert {alert_id}."


class AlertResolved(Conflict):
    code = "alerts.resolved"
    text = "Alert {alert_id} is resolved already."


class RuleNotFound(NotFound):
    code = "alerts.rule_not_found"
    text = "There is no rule {kind}."


class RuleWrong(Invalid):
    code = "alerts.rule_wrong"
    text = "The {field} of this rule cannot be so: {reason}."
