"""What access refuses."""

from derpman.kit.errors import Forbidden, Invalid, NotFound, Unauthenticated


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


class SessionNotFound(NotFound):
    code = "access.session_not_found"
    text = "There is no such session of yours."
