"""What queued mails and messages of channels can be, and what may happen to them."""

from enum import StrEnum


class MailStatus(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"


TRANSITIONS = {
    (MailStatus.QUEUED, "lease"): MailStatus.SENDING,
    (MailStatus.SENDING, "lease"): MailStatus.SENDING,  # the lease ran out: its sender is gone
    (MailStatus.SENDING, "accept"): MailStatus.SENT,
    (MailStatus.QUEUED, "accept"): MailStatus.SENT,  # a sender thought gone comes back with a yes
    (MailStatus.SENDING, "defer"): MailStatus.QUEUED,
    (MailStatus.SENDING, "refuse"): MailStatus.REFUSED,
    (MailStatus.REFUSED, "requeue"): MailStatus.QUEUED,
}


class ChannelKind(StrEnum):
    WEBHOOK = "webhook"
    WECOM = "wecom"
    DINGTALK = "dingtalk"


class MessageStatus(StrEnum):
    """While a message is being sent its channel is leased; the message waits."""

    QUEUED = "queued"
    SENT = "sent"
    REFUSED = "refused"


MESSAGE_TRANSITIONS = {
    (MessageStatus.QUEUED, "accept"): MessageStatus.SENT,
    (MessageStatus.QUEUED, "refuse"): MessageStatus.REFUSED,
    (MessageStatus.REFUSED, "requeue"): MessageStatus.QUEUED,
}
