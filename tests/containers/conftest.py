"""Three relays of somebody, and a node that says what it sees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from derpman.containers import service
from derpman.containers.models import Placement
from derpman.kit.work import Edge

Allocate = Callable[..., list[Placement]]


@pytest.fixture
def allocate(edge: Edge, clock: Callable[[], datetime]) -> Allocate:
    """Allocate three relays for a user; the rental's id is ten times his."""

    def run(user_id: int, **arguments: Any) -> list[Placement]:
        terms: dict[str, Any] = {
            "rental_id": user_id * 10,
            "region_base": 931,
            "expires_at": clock() + timedelta(days=30),
            "rate_bytes_per_second": 0,
        }
        return edge(service.allocate, user_id=user_id, **{**terms, **arguments})

    return run
