"""HTTP of upgrades, for admins."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from derpman.kit.csvfile import CSV, listed
from derpman.kit.http import RunAdmin
from derpman.kit.paging import TimedQuery
from derpman.kit.types import IdValue
from derpman.kit.work import UnitOfWork
from derpman.servers import queries, rollouts
from derpman.servers.errors import NotBuilt
from derpman.servers.release import built_image, built_program
from derpman.servers.upgrade_schemas import (
    BeginUpgrade,
    OneUpgradeOut,
    UpgradeBegunOut,
    UpgradePart,
    UpgradesOut,
)

router = APIRouter(prefix="/api/server/upgrade", tags=["server"])


@router.post("")
def begin_upgrade(request: Request, run: RunAdmin, body: BeginUpgrade) -> UpgradeBegunOut:
    """Bring servers to this panel's node and relay image: one first, then one at a time."""
    build_dir = request.app.state.system.settings.build_dir
    program, image = built_program(build_dir), built_image(build_dir)
    if program is None or image is None:
        raise NotBuilt
    upgrade = run(
        rollouts.begin,
        node_version=program.version,
        node_sha256=program.sha256,
        relay_label=image.label,
        **body.model_dump(),
    )
    return UpgradeBegunOut(upgrade_id=upgrade.id)


@router.get("", response_model=UpgradesOut, responses=CSV)
def list_upgrades(run: RunAdmin, query: Annotated[TimedQuery, Query()]) -> Any:
    """Upgrades, newest first, each with how far its servers are."""
    return listed(
        query, lambda one: run.read(_list, one), name="upgrades", rows="upgrades", row=UpgradePart
    )


@router.get("/{upgrade_id}")
def show_upgrade(run: RunAdmin, upgrade_id: IdValue) -> OneUpgradeOut:
    """One upgrade, with how far its servers are."""
    return OneUpgradeOut(upgrade=run.read(_one, upgrade_id))


@router.post("/{upgrade_id}/pause")
def pause_upgrade(run: RunAdmin, upgrade_id: IdValue) -> OneUpgradeOut:
    """Begin with no further server; one that is at it goes to its end."""
    return OneUpgradeOut(upgrade=run(_after, rollouts.pause, upgrade_id))


@router.post("/{upgrade_id}/resume")
def resume_upgrade(run: RunAdmin, upgrade_id: IdValue) -> OneUpgradeOut:
    """Go on; a server whose upgrade failed gets another try."""
    return OneUpgradeOut(upgrade=run(_after, rollouts.resume, upgrade_id))


@router.post("/{upgrade_id}/abort")
def abort_upgrade(run: RunAdmin, upgrade_id: IdValue) -> OneUpgradeOut:
    """End it: what was upgraded stays so, what waits is left alone."""
    return OneUpgradeOut(upgrade=run(_after, rollouts.abort, upgrade_id))


def _after(work: UnitOfWork, verb: Any, upgrade_id: int) -> UpgradePart:
    verb(work, upgrade_id=upgrade_id)
    work.session.flush()
    return _one(work, upgrade_id)


def _one(work: UnitOfWork, upgrade_id: int) -> UpgradePart:
    return UpgradePart.of(rollouts.get(work, upgrade_id), rollouts.stages(work, upgrade_id))


def _list(work: UnitOfWork, query: TimedQuery) -> UpgradesOut:
    found, next_before = queries.upgrades(work, **query.asked())
    stages = queries.upgrade_stages(work, [upgrade.id for upgrade in found])
    return UpgradesOut(
        upgrades=[UpgradePart.of(upgrade, stages.get(upgrade.id, [])) for upgrade in found],
        next_before=next_before,
    )
