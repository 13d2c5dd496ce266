"""JSON of upgrades."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from derpman.kit.states import allowed_actions
from derpman.kit.types import Body, IdValue, Note, Out, Part
from derpman.servers.models import Upgrade, UpgradeStage
from derpman.servers.rollouts import WATCH_SECONDS
from derpman.servers.states import UPGRADE_TRANSITIONS, StageStatus, UpgradeStatus
from derpman.servers.texts import sentence

ASKED_FOR = ("pause", "resume", "abort")
"""Actions that an administrator may ask for; the others happen."""


class BeginUpgrade(Body):
    server_ids: Annotated[list[IdValue] | None, Field(min_length=1, max_length=1000)] = None
    """All healthy servers when left out."""
    watch_seconds: Annotated[int, Field(ge=0, le=86_400)] = WATCH_SECONDS
    """How long the first server is watched before the others follow, one at a time."""
    reason: Note | None = None


class UpgradeBegunOut(Out):
    upgrade_id: int


class StageOut(Part):
    server_id: int
    status: StageStatus
    job_id: int | None
    """Its steps: GET /api/server/jobs/{job_id}."""
    error: str | None
    message: str | None
    watch_until: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, stage: UpgradeStage) -> Self:
        return cls(
            server_id=stage.server_id,
            status=stage.status,
            job_id=stage.job_id,
            error=stage.error,
            message=sentence(stage.error, {}) if stage.error else None,
            watch_until=stage.watch_until,
            started_at=stage.started_at,
            finished_at=stage.finished_at,
        )


class UpgradePart(Part):
    id: int
    status: UpgradeStatus
    node_version: str
    node_sha256: str
    relay_label: str
    watch_seconds: int
    reason: str | None
    error: str | None
    actor_name: str
    created_at: datetime
    finished_at: datetime | None
    servers: list[StageOut]
    """In their order."""
    done: int
    """How many servers are through."""
    allowed_actions: list[str]

    @classmethod
    def of(cls, upgrade: Upgrade, stages: Sequence[UpgradeStage]) -> Self:
        possible = allowed_actions(UPGRADE_TRANSITIONS, upgrade.status)
        return cls(
            id=upgrade.id,
            status=upgrade.status,
            node_version=upgrade.node_version,
            node_sha256=upgrade.node_sha256,
            relay_label=upgrade.relay_label,
            watch_seconds=upgrade.watch_seconds,
            reason=upgrade.reason,
            error=upgrade.error,
            actor_name=upgrade.actor_name,
            created_at=upgrade.created_at,
            finished_at=upgrade.finished_at,
            servers=[StageOut.of(stage) for stage in stages],
            done=sum(stage.status is StageStatus.DONE for stage in stages),
            allowed_actions=[action for action in possible if action in ASKED_FOR],
        )


class OneUpgradeOut(Out):
    upgrade: UpgradePart


class UpgradesOut(Out):
    upgrades: list[UpgradePart]
    next_before: int | None
