"""HTTP of serials: all of it is for admins; customers redeem through `rentals`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from derpman.kit.csvfile import CSV, csv_file
from derpman.kit.http import RunAdmin
from derpman.kit.types import IdValue
from derpman.kit.work import UnitOfWork
from derpman.serials import queries, service
from derpman.serials.models import Serial
from derpman.serials.schemas import (
    Generate,
    GeneratedOut,
    OneSerialOut,
    Revoke,
    RevokedOut,
    RevokeMany,
    SerialFilter,
    SerialOut,
    SerialsOut,
)
from derpman.users import service as users

router = APIRouter(prefix="/api/serial", tags=["serial"])

COLUMNS = (
    "id",
    "code",
    "duration_days",
    "plan_id",
    "status",
    "created_by",
    "order_id",
    "distributor_id",
    "user_id",
    "created_at",
    "expires_at",
    "used_at",
    "note",
)
"""Of a CSV file."""


@router.post("/generate")
def generate(run: RunAdmin, body: Generate) -> GeneratedOut:
    """Make serials of a plan; `duration_days` alone means the plan of that length."""
    made = run(service.generate, **body.model_dump())
    return GeneratedOut(serial_numbers=[serial.code for serial in made])


@router.get("/list")
def list_serials(run: RunAdmin, query: Annotated[SerialFilter, Query()]) -> SerialsOut:
    """Serials, newest first; `code` is how a code begins, however it is typed."""
    return run.read(_page, query)


@router.get("/export", response_class=StreamingResponse, responses=CSV)
def export_serials(run: RunAdmin, query: Annotated[SerialFilter, Query()]) -> StreamingResponse:
    """The serials of a filter as CSV."""
    filters = query.model_dump(exclude={"before", "limit"})

    def fetch(before: int | None, limit: int) -> tuple[list[Serial], int | None]:
        return run.read(queries.serials, **filters, before=before, limit=limit)

    return csv_file("serials", COLUMNS, fetch)


@router.post("/revoke")
def revoke_many(run: RunAdmin, body: RevokeMany) -> RevokedOut:
    """Make many unused serials worthless; those that are used or gone are left out, and named."""
    revoked, left_out = run(service.revoke_many, ids=body.ids, reason=body.reason)
    return RevokedOut(revoked=revoked, left_out=left_out)


@router.get("/{serial_id}")
def show_serial(run: RunAdmin, serial_id: IdValue) -> OneSerialOut:
    """One serial."""
    return OneSerialOut(serial=run.read(_one, serial_id))


@router.post("/{serial_id}/revoke")
def revoke(run: RunAdmin, serial_id: IdValue, body: Revoke) -> OneSerialOut:
    """Make an unused serial worthless."""
    return OneSerialOut(serial=run(_revoked, serial_id, body.reason))


def _page(work: UnitOfWork, query: SerialFilter) -> SerialsOut:
    found, next_before = queries.serials(work, **query.model_dump())
    usernames = _usernames(work, found)
    return SerialsOut(
        serials=[SerialOut.of(one, usernames) for one in found], next_before=next_before
    )


def _one(work: UnitOfWork, serial_id: int) -> SerialOut:
    serial = service.get(work, serial_id)
    return SerialOut.of(serial, _usernames(work, [serial]))


def _usernames(work: UnitOfWork, found: list[Serial]) -> dict[int, str]:
    people = {one for serial in found for one in (serial.user_id, serial.distributor_id) if one}
    return users.names_of(work, user_ids=people)


def _revoked(work: UnitOfWork, serial_id: int, reason: str) -> SerialOut:
    service.revoke(work, serial_id=serial_id, reason=reason)
    return _one(work, serial_id)
