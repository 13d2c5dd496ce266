"""What follows what, on one screen; and how the parts of a process are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Engine

from derpman.access.events import PasswordForgotten
from derpman.acl.events import AclReplaced
from derpman.alerts.events import AlertOver, AlertRaised
from derpman.devices.events import DeviceKnocked, DeviceRegistered, DeviceRemoved
from derpman.distribution.events import ApplicationDecided, SerialsReady, StatementMade
from derpman.finance.events import (
    OrderClosed,
    OrderDelivered,
    OrderPaid,
    OrderRefunded,
    PaymentWanted,
    ReceiptRefused,
    WalletCredited,
)
from derpman.kit import memory, places
from derpman.kit.clock import Clock, utc_now
from derpman.kit.db import Sessions, engine_for
from derpman.kit.guards import Guards
from derpman.kit.secrets import Vault
from derpman.kit.throttle import Throttle
from derpman.kit.wake import LocalWake, RedisWake, Wake
from derpman.kit.work import SYSTEM, Actor, Edge, Role
from derpman.notifications.events import ChannelTold, MailGivenUp, MailQueued
from derpman.rentals.events import (
    RentalActivated,
    RentalEnded,
    RentalRenewed,
    RentalTermsChanged,
    UserDeregistered,
    UserDeregistering,
    UserReinstated,
    UserSuspended,
)
from derpman.servers.events import ServerJobQueued
from derpman.settings import Settings
from derpman.tailnets.events import (
    AclPushed,
    AclPushFailed,
    AclPushUndone,
    LinkAsked,
    LinkRefused,
    LinkRemoved,
    PushAsked,
)
from derpman.traffic.events import QuotaPassed, ServerAtMargin, ServerStopped, TrafficOpened
from derpman.users.events import VerificationAsked

SUBSCRIPTIONS: dict[str, Sequence[str]] = {
    # The push first: devices may be waiting for the new map.
    AclReplaced.name: ["tailnets.push_replaced", "acl.follow_replaced", "acl.tell_replaced"],
    AclPushed.name: ["acl.note_pushed"],
    AclPushFailed.name: ["tailnets.tell_push_failed"],
    AclPushUndone.name: ["acl.note_undone"],
    ApplicationDecided.name: ["distribution.tell_decided"],
    AlertOver.name: ["alerts.tell_resolved", "containers.lift_of_alert"],
    AlertRaised.name: ["users.mail_admins_of_alert", "alerts.tell_raised"],
    ChannelTold.name: ["notifications.tell_channels"],
    DeviceKnocked.name: ["devices.tell_knocked"],
    DeviceRegistered.name: ["devices.tell_registered"],
    DeviceRemoved.name: ["devices.tell_removed"],
    LinkAsked.name: ["tailnets.test_link"],
    LinkRefused.name: ["tailnets.tell_refused"],
    LinkRemoved.name: ["devices.forget_linked"],
    MailGivenUp.name: ["alerts.report_given_up"],
    MailQueued.name: ["notifications.send"],
    OrderClosed.name: ["finance.close_payments"],
    OrderDelivered.name: ["distribution.follow_order"],
    OrderPaid.name: ["rentals.fulfil_order", "distribution.deliver_serials"],
    OrderRefunded.name: ["distribution.follow_order"],
    PasswordForgotten.name: ["access.send_reset"],
    PaymentWanted.name: ["finance.begin_payment"],
    ReceiptRefused.name: ["finance.tell_refused"],
    PushAsked.name: ["tailnets.push"],
    RentalActivated.name: [
        "traffic.follow_rental",
        "rentals.tell_activated",
        "devices.fit_to_plan",
        "devices.look_soon",
        "notifications.announce",
    ],
    RentalEnded.name: ["traffic.follow_rental", "rentals.tell_ended", "notifications.announce"],
    RentalRenewed.name: ["traffic.follow_rental", "rentals.tell_renewed", "notifications.announce"],
    RentalTermsChanged.name: ["traffic.follow_rental", "devices.fit_to_plan"],
    SerialsReady.name: ["distribution.tell_ready"],
    ServerJobQueued.name: ["servers.run_job"],
    StatementMade.name: ["distribution.tell_settled"],
    QuotaPassed.name: ["traffic.tell_passed"],
    ServerAtMargin.name: ["ha.follow_margin"],
    ServerStopped.name: ["traffic.tell_server_stopped"],
    TrafficOpened.name: ["traffic.tell_opened"],
    UserDeregistered.name: ["rentals.tell_deregistered", "notifications.announce"],
    UserDeregistering.name: ["devices.forget", "notifications.announce"],
    UserReinstated.name: ["rentals.tell_reinstated", "notifications.announce"],
    UserSuspended.name: ["rentals.tell_suspended", "notifications.announce"],
    VerificationAsked.name: ["users.send_code"],
    WalletCredited.name: ["finance.tell_credited"],
}
"""Names of events to the names of the tasks that follow: the asynchronous map."""


@dataclass(frozen=True)
class System:
    """The parts that every process of an installation is made of."""

    settings: Settings
    engine: Engine
    vault: Vault
    wake: Wake
    clock: Clock = utc_now

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.engine)

    @cached_property
    def guards(self) -> Guards:
        redis_url = self.settings.redis_url
        return Guards(
            throttle=Throttle(None if redis_url is None else redis_url.get_secret_value()),
            session_days=self.settings.session_days,
            support_contact=self.settings.support_contact,
            is_https=self.settings.public_url.startswith("https:"),
            second_factor_for=frozenset(Role(role) for role in self.settings.second_factor_for),
            proof_seconds=self.settings.proof_minutes * 60,
            vault=self.vault,
        )

    def edge(self, actor: Actor = SYSTEM) -> Edge:
        """Return the edge that acts for somebody."""
        return Edge(
            sessions=self.sessions,
            vault=self.vault,
            actor=actor,
            handlers=SUBSCRIPTIONS,
            clock=self.clock,
            wake=self.wake.send,
        )


def assemble(settings: Settings) -> System:
    """Put a process's parts together. Nothing is connected to before it is used."""
    memory.begun()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if settings.ip2region_path is not None:
        places.use_city_files([settings.ip2region_path])
    wake: Wake = (
        LocalWake(settings.data_dir)
        if settings.redis_url is None
        else RedisWake(settings.redis_url.get_secret_value())
    )
    return System(
        settings=settings,
        engine=engine_for(settings.database),
        vault=Vault(settings.vault_keys, file=settings.key_file),
        wake=wake,
    )
