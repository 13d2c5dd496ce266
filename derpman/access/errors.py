"""What access refuses."""

from derpman.kit.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated


class WrongLogin(Unauthenticated):
    """One answer for an unknown address, one that is not verified, and a wrong password."""

    code = "access.wrong_login"
    text = "The address or the password is wrong."


class SessionEnded(Unauthenticated):
    code = "access.session_ended"
    text = "You are no longer logged in. Log in again."


class WrongPassword(Forbidden):
    code = "access.wrong_password"
    text = "The present password is wrong."


class ResetRefused(Invalid):
    """One answer for an unknown address, a wrong code, one that is used up and an old one."""

    code = "access.code_refused"
    text = "The code is wrong or too old. Ask for a new one."


class NotFromAPage(Forbidden):
    """A log-in that would set a cookie came without the header that only our pages send."""

    code = "access.not_from_a_page"
    text = "A log-in kept in a cookie must come from a page of this site."


class SecondFactorNeeded(Unauthenticated):
    """The password was right; the account has a second factor, and no code came with it."""

    code = "access.second_factor_needed"
    text = "Send a code of your authenticator app too, or one of your recovery codes."


class WrongSecondFactor(Unauthenticated):
    """One answer for a wrong code, one that was used, and one that is too old."""

    code = "access.wrong_second_factor"
    text = "The code is wrong or was used. Wait for the next one."


class FactorThere(Conflict):
    code = "access.second_factor_there"
    text = "The account has a second factor already. Remove it first."


class NoFactor(Conflict):
    code = "access.no_second_factor"
    text = "The account has no second factor, or it was not begun."


class FactorDemanded(Conflict):
    code = "access.second_factor_demanded"
    text = "The operator demands a second factor of accounts like yours."


class AdminRoleNotFound(NotFound):
    code = "access.role_not_found"
    text = "There is no such role for admins."


class AdminRoleTaken(Conflict):
    code = "access.role_taken"
    text = "There is a role “{name}” already."


class AdminRoleUsed(Conflict):
    code = "access.role_used"
    text = "Somebody has this role. Give him another one first."


class NotAnAdmin(Conflict):
    code = "access.not_an_admin"
    text = "Only an admin can have such a role."


class UnknownPermission(Invalid):
    code = "access.unknown_permission"
    text = "There is no permission “{permission}”."


class TokenNotFound(NotFound):
    code = "access.token_not_found"
    text = "There is no such API token of yours."


class TooManyTokens(Conflict):
    code = "access.too_many_tokens"
    text = "You have {limit} API tokens already. Revoke one first."


class SessionNotFound(NotFound):
    code = "access.session_not_found"
    text = "There is no such session of yours."
