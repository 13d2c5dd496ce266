"""What happens to mails that others may care about."""

from dataclasses import dataclass

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class MailQueued(Event):
    """A mail waits to be sent."""

    name = "mail.queued"
    mail_id: int


@dataclass(frozen=True)
class MailGivenUp(Event):
    """The mail server refused a mail for good."""

    name = "mail.given_up"
    mail_id: int


@dataclass(frozen=True)
class ChannelTold(Event):
    """Messages wait for their channels."""

    name = "channel.told"
    channel_ids: list[int]
