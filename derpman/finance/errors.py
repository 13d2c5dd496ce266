"""What finance refuses."""

from derpman.kit.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable


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


class NotEnoughMoney(Conflict):
    code = "finance.not_enough_money"
    text = "The wallet holds less than is needed."


class AlreadyBooked(Conflict):
    code = "finance.already_booked"
    text = "This was booked before."


class NotReversible(Conflict):
    code = "finance.not_reversible"
    text = "This entry cannot be reversed."


class EntryNotFound(NotFound):
    code = "finance.entry_not_found"
    text = "There is no such entry."


class OrderNotFound(NotFound):
    code = "finance.order_not_found"
    text = "There is no such order."


class KeyUsed(Conflict):
    code = "finance.key_used"
    text = "This request key belongs to something else. Choose a new one."


class OrderNotPayable(Conflict):
    code = "finance.order_not_payable"
    text = "This order cannot be paid any more; it is {state}."


class TooManyOrders(Conflict):
    code = "finance.too_many_orders"
    text = "There are {count} unpaid orders already. Pay or cancel one first."


class AmountRefused(Invalid):
    code = "finance.amount_refused"
    text = "The amount must be between {least} and {most} fen."


class MethodNotOffered(Conflict):
    code = "finance.method_not_offered"
    text = "This way of paying is not offered now."


class TooMuchRefunded(Conflict):
    code = "finance.too_much_refunded"
    text = "Only {left_fen} of this order are left to refund."


class ReceiptNotFound(NotFound):
    code = "finance.receipt_not_found"
    text = "There is no such receipt."


class ReceiptWaiting(Conflict):
    code = "finance.receipt_waiting"
    text = "A receipt of this order is being looked at. Wait for the answer."


class ReceiptRefusedForm(Invalid):
    code = "finance.receipt_not_an_image"
    text = "This is not a picture that can be used: {why}."


class SpanRefused(Invalid):
    code = "finance.span_refused"
    text = "The span ends before it begins, or is longer than {most} days."


class CreditUsedUp(Conflict):
    code = "finance.credit_used_up"
    text = "This is more than what is left of the credit: {free_fen}."


class NotOwed(Conflict):
    code = "finance.not_owed"
    text = "This is not between ¥0.01 and what is owed: {owed_fen}."


class SuperAdminConfirms(Forbidden):
    code = "finance.super_admin_confirms"
    text = "The receipt of a distributor's purchase is confirmed by the super admin."


class ChannelChanged(Conflict):
    code = "finance.channel_changed"
    text = "This way of paying was changed by somebody else. Load it again."


class CredentialsRefused(Invalid):
    code = "finance.credentials_refused"
    text = "These credentials cannot be used: {why}."


class NoticeRefused(Invalid):
    code = "finance.notice_refused"
    text = "This notice is not accepted: {why}."


class GatewayAway(Unavailable):
    code = "finance.gateway_away"
    text = "The payment provider does not answer. Try again in a moment, or pay in another way."
