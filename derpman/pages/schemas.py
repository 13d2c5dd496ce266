"""JSON of pages that show something of everything."""

from __future__ import annotations

from datetime import datetime

from derpman.alerts.schemas import AlertOut
from derpman.devices.schemas import DevicePart, KnockPart, PairingOut
from derpman.kit.types import Out, Part
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


class RelayCount(Part):
    wanted: str
    observed: str
    relays: int


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
