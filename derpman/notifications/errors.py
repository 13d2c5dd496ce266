"""What notifications refuse, and how handing a mail to the mail server can end."""

from derpman.kit.errors import (
    Conflict,
    Invalid,
    NotFound,
    PermanentFailure,
    TooMany,
    TransientFailure,
)


class MailLimit(TooMany):
    code = "notifications.mail_limit"
    text = "Too many mails to this address. Try again in {retry_after_seconds} seconds."


class MailNotFound(NotFound):
    code = "notifications.mail_not_found"
    text = "There is no mail {mail_id}."


class TemplateNotFound(NotFound):
    code = "notifications.template_not_found"
    text = "There is no mail template {name} in {locale}."


class TemplateVersionNotFound(NotFound):
    code = "notifications.template_version_not_found"
    text = "Mail template {name} in {locale} has no version {version}."


class TemplateWrong(Invalid):
    code = "notifications.template_wrong"
    text = "The {part} cannot be used, line {line}: {reason}."


class TemplateChanged(Conflict):
    code = "notifications.template_changed"
    text = "Somebody else changed this template; its version is {version} now."


class TemplateBuiltIn(Conflict):
    code = "notifications.template_built_in"
    text = "This template is the built-in one already."


class ChannelNotFound(NotFound):
    code = "notifications.channel_not_found"
    text = "There is no channel {channel_id}."


class ChannelNameTaken(Conflict):
    code = "notifications.channel_name_taken"
    text = "Another channel has the name {name}."


class ChannelWrong(Invalid):
    code = "notifications.channel_wrong"
    text = "The {field} cannot be used: {reason}."


class MessageNotFound(NotFound):
    code = "notifications.message_not_found"
    text = "There is no message {message_id}."


class ChannelAway(TransientFailure):
    """Nobody takes messages there now, or not ours: no fault of any one message."""


class MessageRefused(PermanentFailure):
    """The channel works and will never take this message."""


class MailServerAway(TransientFailure):
    """The server cannot be reached or does not work for us: no fault of any one mail."""


class MailDeferred(TransientFailure):
    """The server took nothing, and said or showed that it may later."""


class AnswerUnknown(TransientFailure):
    """The mail was handed over whole and the answer is missing: it may have been taken."""


class MailRefused(PermanentFailure):
    """The server will never take this mail."""
