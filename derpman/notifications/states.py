"""What a queued mail can be, and what may happen to it."""

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
