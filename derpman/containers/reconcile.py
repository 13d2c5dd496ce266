"""What a server should run, and what its node says that it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

from sqlalchemy import select, update

from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.containers import restraints
from derpman.containers.models import Admission, Placement, PortClaim
from derpman.containers.states import Observed, Wanted
from derpman.finance.models import OverQuota
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.servers import service as servers

PORT_REST = timedelta(days=7)
LOGGED_EVENTS = frozenset(
    {
        "relay_killed_back",
        "start_failed",
        "check_failed",
        "expired",
        "gap",
        "quota_stopped",
        "quota_throttled",
        "foreign_removed",
        "image_loaded",
    }
)
"""What a node did by itself and an operator reads in the server's log."""


class Device(TypedDict):
    key: str
    not_after: str | None


class Quota(TypedDict):
    """How much a relay may send in all, and what its node does then."""

    limit_bytes: int
    at_limit: OverQuota
    throttle_bytes_per_second: int


class Relay(TypedDict):
    """One relay as the node protocol has it; holds secrets: never log it."""

    id: int
    generation: int
    address: str
    port: int
    stun_port: int
    certificate: str
    private_key: str
    mesh_key: str
    running: bool
    expires_at: str | None
    rate_bytes_per_second: int
    quota: Quota | None
    devices: list[Device]


class DesiredState(TypedDict):
    """Everything a server should run: the body of `apply`."""

    generation: int
    relays: list[Relay]


def desired_state(work: UnitOfWork, *, server_id: int, force: bool = False) -> DesiredState | None:
    """Return what a server should run; None when its node accepted just that, unless forced."""
    # The generation is read first: what is read after it is never older than it says.
    wanted, accepted, is_halted = servers.generations(work, server_id=server_id)
    if wanted == accepted and not force:
        return None
    rows = work.session.execute(
        select(
            Placement.id,
            Placement.user_id,
            Placement.generation,
            Placement.address,
            Placement.port,
            Placement.certificate,
            Placement.private_key,
            Placement.mesh_key,
            Placement.wanted,
            Placement.expires_at,
            Placement.ends_at,
            Placement.rate_bytes_per_second,
            Placement.quota_bytes,
            Placement.at_quota,
            Placement.throttle_bytes_per_second,
            restraints.STOPS.label("stops"),
            restraints.THROTTLE.label("slowed_to"),
        )
        .where(Placement.server_id == server_id, Placement.gone_at.is_(None))
        .where(Placement.wanted != Wanted.RELEASED)
        .order_by(Placement.id)
    ).all()
    devices = _devices(work, {row.user_id for row in rows})
    relays = [
        Relay(
            id=row.id,
            generation=row.generation,
            address=row.address,
            port=row.port,
            stun_port=row.port,
            certificate=row.certificate,
            private_key=work.vault.open(row.private_key),
            mesh_key=work.vault.open(row.mesh_key),
            running=row.wanted is Wanted.RUNNING and not is_halted and not row.stops,
            expires_at=_time(min(row.expires_at, row.ends_at or row.expires_at)),
            rate_bytes_per_second=restraints.slowed(row.rate_bytes_per_second, row.slowed_to),
            quota=_quota(row.quota_bytes, row.at_quota, row.throttle_bytes_per_second),
            devices=devices.get(row.user_id, []),
        )
        for row in rows
    ]
    return DesiredState(generation=wanted, relays=relays)


def _quota(limit: int | None, at_limit: OverQuota | None, throttle: int) -> Quota | None:
    if limit is None or at_limit is None:
        return None
    # A throttle to nothing would be no relay at all, which is what `stop` is for.
    return Quota(limit_bytes=limit, at_limit=at_limit, throttle_bytes_per_second=max(1, throttle))


def _devices(work: UnitOfWork, user_ids: set[int]) -> dict[int, list[Device]]:
    devices: dict[int, list[Device]] = {}
    if user_ids:
        rows = work.session.execute(
            select(Admission.user_id, Admission.node_key, Admission.not_after)
            .where(Admission.user_id.in_(user_ids))
            .order_by(Admission.user_id, Admission.node_key)
        )
        for user_id, key, not_after in rows:
            device = Device(key=key, not_after=_time(not_after) if not_after else None)
            devices.setdefault(user_id, []).append(device)
    return devices


def _time(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class _Live:
    """A placement that its node has not proved gone."""

    id: int
    wanted: Wanted
    observed: Observed
    reason: str | None
    restarts: int
    ready_at: datetime | None


def record_observed(work: UnitOfWork, *, server_id: int, snapshot: Mapping[str, Any]) -> None:
    """Keep what a node reports of its relays: only rows that differ are written.

    `snapshot` is a checked snapshot of the node protocol. A released relay is gone, and its port
    begins to rest, when the node has accepted all that is wanted and does not have it any more.
    """
    # The rows are read before the generation: a wish that comes between makes it the greater one,
    # and nothing is concluded from a snapshot older than the wish.
    live = {
        row.id: _Live(*row)
        for row in work.session.execute(
            select(
                Placement.id,
                Placement.wanted,
                Placement.observed,
                Placement.reason,
                Placement.restarts,
                Placement.ready_at,
            ).where(Placement.server_id == server_id, Placement.gone_at.is_(None))
        )
    }
    wanted, _, _ = servers.generations(work, server_id=server_id)
    is_settled = snapshot["generation"] >= wanted
    reported = {relay["id"]: relay for relay in snapshot.get("relays", ())}
    changes = [
        change
        for relay_id, relay in reported.items()
        if relay_id in live and (change := _change(live[relay_id], relay, work.now))
    ]
    if is_settled:
        absent = set(live) - set(reported)
        if not snapshot["whole"]:
            absent &= set(snapshot.get("removed", ()))
        released = {id_ for id_ in absent if live[id_].wanted is Wanted.RELEASED}
        _record_gone(work, released)
        changes += [
            {"id": id_, "observed": Observed.UNKNOWN, "reason": None}
            for id_ in sorted(absent - released)
            if live[id_].observed is not Observed.UNKNOWN
        ]
        for relay_id in sorted(set(reported) - set(live)):
            _report_unordered(work, server_id, relay_id)
    if changes:
        _write(work, changes)
        work.wake("live")
    _log_events(work, server_id, snapshot.get("events", ()))


def _change(known: _Live, relay: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    observed = Observed(relay["state"])
    reason, restarts = relay.get("reason"), relay.get("restarts", 0)
    is_ready = observed is Observed.READY and known.ready_at is None
    if (observed, reason, restarts) == (known.observed, known.reason, known.restarts):
        return None
    change = {"id": known.id, "observed": observed, "reason": reason, "restarts": restarts}
    return change | ({"ready_at": now} if is_ready else {})


def _write(work: UnitOfWork, changes: Sequence[Mapping[str, Any]]) -> None:
    for change in sorted(changes, key=lambda change: change["id"]):
        work.session.execute(
            update(Placement)
            .where(Placement.id == change["id"])
            .values({name: value for name, value in change.items() if name != "id"})
            .execution_options(synchronize_session=False)
        )


def _record_gone(work: UnitOfWork, placement_ids: set[int]) -> None:
    if not placement_ids:
        return
    ids = sorted(placement_ids)
    work.session.execute(
        update(Placement)
        .where(Placement.id.in_(ids), Placement.gone_at.is_(None))
        .values(observed=Observed.GONE, reason=None, gone_at=work.now)
        .execution_options(synchronize_session=False)
    )
    work.session.execute(
        update(PortClaim)
        .where(PortClaim.placement_id.in_(ids), PortClaim.free_at.is_(None))
        .values(free_at=work.now + PORT_REST)
        .execution_options(synchronize_session=False)
    )
    work.wake("live")


def write_off(work: UnitOfWork, *, server_id: int) -> None:
    """Take the released relays of a server for gone: its node is not listened to any more."""
    released = work.session.scalars(
        select(Placement.id).where(
            Placement.server_id == server_id,
            Placement.wanted == Wanted.RELEASED,
            Placement.gone_at.is_(None),
        )
    )
    _record_gone(work, set(released))


def _report_unordered(work: UnitOfWork, server_id: int, relay_id: int) -> None:
    alert = alerts.raise_alert(
        work,
        alert_type="unordered_relay",
        severity=Severity.WARNING,
        object_key=f"{server_id}:{relay_id}",
        params={"server_id": server_id, "relay_id": relay_id},
    )
    if alert.count == 1:  # its node lists it every few seconds until it is removed
        logs.record_server(
            work,
            server_id=server_id,
            action="relay.unordered",
            result="found",
            detail={"relay_id": relay_id},
        )


UNORDERED_SILENCE = timedelta(seconds=60)
"""A node lists what it is removing every few seconds; after so long without it, it is gone."""


def resolve_unordered(work: UnitOfWork) -> None:
    """Close alerts about relays that nobody ordered and that their nodes no longer report."""
    open_ones = alerts.open_of_type(
        work, alert_type="unordered_relay", last_before=work.now - UNORDERED_SILENCE
    )
    server_of = {key: int(key.partition(":")[0]) for key in open_ones}
    contacts = servers.contacts(work, server_ids=server_of.values()) if server_of else {}
    for key, server_id in server_of.items():
        contact = contacts.get(server_id)
        if contact is None or contact.is_in_touch:  # else its node cannot tell
            alerts.resolve_alert(work, alert_type="unordered_relay", object_key=key)


def _log_events(work: UnitOfWork, server_id: int, events: Sequence[Mapping[str, Any]]) -> None:
    for event in events:
        if event["kind"] not in LOGGED_EVENTS:
            continue
        logs.record_server(
            work,
            server_id=server_id,
            action=f"relay.{event['kind'].removeprefix('relay_')}"[:64],
            result="node",
            detail={"relay_id": event.get("relay"), **(event.get("detail") or {})},
        )
        if event["kind"] == "foreign_removed":
            alerts.raise_alert(
                work,
                alert_type="foreign_container",
                severity=Severity.WARNING,
                object_key=str(server_id),
                params={"server_id": server_id, "detail": event.get("detail") or {}},
            )
