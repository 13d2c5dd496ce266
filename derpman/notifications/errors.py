"""What notifications refuse, and how handing a mail to the mail server can end."""

from derpman.kit.errors import NotFound, PermanentFailure, TooMany, TransientFailure


class MailLimit(TooMany):
    code = "notifications.mail_limit"
    text = "Too many mails to this address. Try again in {retry_after_seconds} seconds."


class MailNotFound(NotFound):
    code = "notifications.mail_not_found"
    text = "There is no mail {mail_id}."


class MailServerAway(TransientFailure):
    """The server cannot be reached or does not work for us: no fault of any one mail."""


class MailDeferred(TransientFailure):
    """The server took nothing, and said or showed that it may later."""


class AnswerUnknown(TransientFailure):
    """The mail was handed over whole and the answer is missing: it may have been taken."""


class MailRefused(PermanentFailure):
    """The server will never take this mail."""
