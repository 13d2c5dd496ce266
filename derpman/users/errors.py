"""What accounts refuse."""

from derpman.kit.errors import Conflict, Forbidden, Invalid, NotFound


class UserNotFound(NotFound):
    code = "users.not_found"
    text = "There is no such user."


class NotStaff(Conflict):
    code = "users.not_staff"
    text = "Only an admin can look after customers."


class UsernameRefused(Invalid):
    code = "users.username_refused"
    text = "This username cannot be used: {reason}"


class EmailRefused(Invalid):
    code = "users.email_refused"
    text = "This e-mail address cannot be used: {reason}"


class PasswordRefused(Invalid):
    code = "users.password_refused"
    text = "This password cannot be used: {reason}"


class UsernameTaken(Conflict):
    code = "users.username_taken"
    text = "The username “{username}” is taken."


class EmailTaken(Conflict):
    """Only for staff and the shell: a visitor never learns this."""

    code = "users.email_taken"
    text = "There is an account with this e-mail address."


class CodeRefused(Invalid):
    """One answer for an unknown address, a wrong code, one that is used up and an old one."""

    code = "users.code_refused"
    text = "The code is wrong or too old. Ask for a new one."


class Suspended(Forbidden):
    code = "users.suspended"
    text = "This account is suspended ({reason}). Ask {contact}."


class NotGone(Conflict):
    code = "users.not_gone"
    text = "The account is not deregistered: nothing of somebody who is here can be erased."


class Deregistered(Forbidden):
    code = "users.deregistered"
    text = "This account is deregistered."


class StaffStays(Conflict):
    code = "users.staff_stays"
    text = "An admin's account is not deregistered: another admin takes the role from it first."


class NotRenewable(Conflict):
    code = "users.not_renewable"
    text = "An administrator marked this account as not to be renewed ({reason})."


class NotYourself(Conflict):
    code = "users.not_yourself"
    text = "You cannot do this to your own account."


class StaffOnlyBySuperAdmin(Forbidden):
    code = "users.super_admin_only"
    text = "Only a super admin may do this to an admin."


class LastSuperAdmin(Conflict):
    code = "users.last_super_admin"
    text = "One active super admin must remain."
