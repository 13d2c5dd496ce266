"""HTTP of one person's data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from derpman.kit.http import Guarded, RunSelfFresh, RunSuperAdminFresh
from derpman.kit.throttle import Limit
from derpman.kit.types import IdValue, Out
from derpman.pages import personal

router = APIRouter(prefix="/api/user", tags=["user"])
TAKEN = Limit("personal-data", 5, 86_400)
CHUNK = 65_536
ZIP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A ZIP with a file of JSON lines for each table.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/personal_data", response_class=StreamingResponse, responses=ZIP)
def take_own_data(run: RunSelfFresh, guards: Guarded) -> StreamingResponse:
    """All that is kept of the caller, to take along."""
    user_id = run.actor.user_id or 0
    guards.take(TAKEN, str(user_id))
    return _sent(run(personal.archive, user_id=user_id), user_id)


@router.get("/{user_id:id}/personal_data", response_class=StreamingResponse, responses=ZIP)
def take_data(run: RunSuperAdminFresh, user_id: IdValue) -> StreamingResponse:
    """All that is kept of somebody who asked for it."""
    return _sent(run(personal.archive, user_id=user_id), user_id)


@router.post("/{user_id:id}/erase")
def erase_data(run: RunSuperAdminFresh, user_id: IdValue) -> Out:
    """Make a deregistered account nobody's; what law wants kept stays without his name."""
    run(personal.erase, user_id=user_id)
    return Out()


def _sent(packed: IO[bytes], user_id: int) -> StreamingResponse:
    return StreamingResponse(
        _chunks(packed),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="personal-data-{user_id}.zip"'},
    )


def _chunks(packed: IO[bytes]) -> Iterator[bytes]:
    with packed:
        while chunk := packed.read(CHUNK):
            yield chunk
