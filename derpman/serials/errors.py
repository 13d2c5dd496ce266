"""What serials refuse."""

from derpman.kit.errors import Conflict, Invalid, NotFound


class SerialMistyped(Invalid):
    code = "serial.mistyped"
    text = "The serial number has a typing error. Check it and try again."


class SerialNotFound(NotFound):
    code = "serial.not_found"
    text = "There is no such serial number."


class SerialUsed(Conflict):
    code = "serial.used"
    text = "This serial number has been used."


class SerialUsedByYou(Conflict):
    code = "serial.used_by_you"
    text = "You have used this serial number yourself, at {used_at}."


class SerialExpired(Conflict):
    code = "serial.expired"
    text = "This serial number was not used in time; it expired at {expires_at}."


class SerialRevoked(Conflict):
    code = "serial.revoked"
    text = "This serial number has been revoked."


class PlanAmbiguous(Invalid):
    code = "serial.plan_ambiguous"
    text = "Give either the plan or its length in days, or both when they agree."
