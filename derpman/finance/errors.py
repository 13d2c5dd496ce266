"""What finance refuses."""

from derpman.kit.errors import Conflict, NotFound


class PlanNotFound(NotFound):
    code = "finance.plan_not_found"
    text = "There is no plan {plan_id}."


class NoSuchPlan(Conflict):
    code = "finance.no_such_plan"
    text = "There is no plan of {days} days."


class PlanRetired(Conflict):
    code = "finance.plan_retired"
    text = "The plan “{name}” is not sold any more."


class PlanNameTaken(Conflict):
    code = "finance.plan_name_taken"
    text = "Another plan is called “{name}”."


class PlanChanged(Conflict):
    code = "finance.plan_changed"
    text = "The plan was changed by somebody else. Load it again."
