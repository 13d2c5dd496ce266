"""HTTP of the serial board: what became of a serial."""

from __future__ import annotations

from fastapi import APIRouter

from derpman.kit.http import RunAdmin
from derpman.kit.types import IdValue
from derpman.pages import serial_chain
from derpman.pages.serial_chain import ChainOut

router = APIRouter(prefix="/api/serial", tags=["serial"])


@router.get("/{serial_id}/chain")
def show_chain(run: RunAdmin, serial_id: IdValue) -> ChainOut:
    """A serial's plan, maker, customer, used time and traffic, servers and containers."""
    return run.read(serial_chain.chain, serial_id)
