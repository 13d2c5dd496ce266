"""What rentals refuse."""

from derpman.kit.errors import Conflict, NotFound


class AlreadyActive(Conflict):
    code = "rentals.already_active"
    text = "There is an active rental until {expires_at}; the serial number was not used."


class RentalNotFound(NotFound):
    code = "rentals.not_found"
    text = "There is no such rental."


class OpenMatters(Conflict):
    code = "rentals.open_matters"
    text = "Something is not settled yet, and nothing was done: {matters}"


class UntilTooEarly(Conflict):
    code = "rentals.until_too_early"
    text = "The rental runs until {expires_at} already: renew it to a later date."


class UntilTooFar(Conflict):
    code = "rentals.until_too_far"
    text = "A rental cannot be renewed beyond {latest}."


class NoOpenRental(Conflict):
    code = "rentals.none_open"
    text = "This customer has no rental."


class RentalSuspended(Conflict):
    code = "rentals.suspended"
    text = "This rental is suspended."


class RotationUnderWay(Conflict):
    code = "rentals.rotation_under_way"
    text = "The next ACL version of this customer is being made already."


class JobNotFound(NotFound):
    code = "rentals.job_not_found"
    text = "There is no such job."


class NoEmptySlot(Conflict):
    code = "rentals.no_empty_slot"
    text = "All three relays of this customer are in place."


class SlotTaken(Conflict):
    code = "rentals.slot_taken"
    text = "Relay {slot} of this customer is in place."


class SlotEmpty(Conflict):
    code = "rentals.slot_empty"
    text = "Slot {slot} of this customer has no relay that could move."


class AlreadyThere(Conflict):
    code = "rentals.already_there"
    text = "Relay {slot} of this customer is on server {server_id} already."


class MoveNotFound(NotFound):
    code = "rentals.move_not_found"
    text = "There is no such move."
