"""JSON of pages that show something of everything."""

from __future__ import annotations

from datetime import datetime

from derpman.alerts.schemas import AlertOut
from derpman.devices.schemas import DevicePart, KnockPart, PairingOut
from derpman.kit.types import Out, Part
from derpman.notifications.schemas import Concealed
from derpman.rentals.schemas import RentalPart
from derpman.servers.schemas import RegionOut
from derpman.traffic.schemas import PeriodPart, RelayPart


class HomeOut(Out):
    """All that a customer's pages show live."""

    rental: RentalPart | None
    devices: list[DevicePart]
    device_limit: int | None
    knocks: list[KnockPart]
    pairing: PairingOut
    period: PeriodPart | None
    runs_out_at: datetime | None
    relays: list[RelayPart]
    rate_bytes_per_second: int


class HourPart(Part):
    at: datetime
    """When the hour began."""
    mean: float


class RelayLatencyPart(Part):
    slot: int
    latency_ms: float | None
    """From the panel to the relay's server, as last measured; null when that was too long ago."""
    hours: list[HourPart]
    """Of the last day, oldest first; those without a measurement are left out."""


class LatencyOut(Out):
    relays: list[RelayLatencyPart]


class NoticePart(Part):
    """A mail that the customer got, without codes and links of any kind."""

    id: int
    template: str
    subject: str
    text: Concealed
    created_at: datetime


class NoticesOut(Out):
    notices: list[NoticePart]
    next_before: int | None


class RelayCount(Part):
    wanted: str
    observed: str
    relays: int


class SettingPart(Part):
    section: str
    name: str
    variable: str
    """Of the environment or `.env`."""
    value: str | None
    """None: a secret, or nothing."""
    is_set: bool
    is_default: bool


class SettingsOut(Out):
    settings: list[SettingPart]


class OverviewOut(Out):
    """All that an admin's overview shows live, at most some seconds old."""

    regions: list[RegionOut]
    servers: dict[str, int]
    """By state."""
    relays: list[RelayCount]
    users: dict[str, int]
    """By role; those that are not suspended."""
    suspended: int
    alerts: dict[str, int]
    """Open ones by severity."""
    newest_alerts: list[AlertOut]
    rate_bytes_per_second: int
    month_traffic_bytes: int
    traffic_bytes: int
    customers_used_up: int
    mails_waiting: int
    mails_refused: int
    receipts_waiting: int
    applications_waiting: int
    accounts_differ: dict[str, int]
    """Open alerts about figures that do not agree, by type: traffic, and money."""
