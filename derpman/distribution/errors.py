"""What distribution refuses."""

from derpman.kit.errors import Conflict, Forbidden, NotFound


class NotADistributor(NotFound):
    code = "distribution.not_a_distributor"
    text = "There is no such distributor."


class TermsChanged(Conflict):
    code = "distribution.terms_changed"
    text = "This was changed by somebody else. Load it again."


class ApplicationNotFound(NotFound):
    code = "distribution.application_not_found"
    text = "There is no such application."


class TooManyApplications(Conflict):
    code = "distribution.too_many_applications"
    text = "{count} applications wait already. Withdraw one, or wait for the answer."


class MayNotGenerate(Forbidden):
    code = "distribution.may_not_generate"
    text = "You may not generate serial numbers yourself. Apply for them, or buy them."


class StatementNotFound(NotFound):
    code = "distribution.statement_not_found"
    text = "There is no such statement."
