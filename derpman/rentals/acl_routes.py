"""HTTP under `/api/acl` of what needs the rental: the owner's route, and other region ids."""

from __future__ import annotations

import json

from fastapi import APIRouter

from derpman.acl.models import AclVersion
from derpman.acl.schemas import VersionPart
from derpman.kit.http import Guarded, RunAdmin, RunUser
from derpman.kit.throttle import Limit
from derpman.rentals import versions
from derpman.rentals.schemas import Generate, GeneratedOut, Regions

router = APIRouter(prefix="/api/acl", tags=["acl"])
CHANGES = Limit("acl-regions", 10, 3600)
"""How often one customer may choose other region ids: each choice cuts his connections once."""


@router.post("/generate")
def generate(run: RunAdmin, body: Generate) -> GeneratedOut:
    """Make a user's next ACL version; relays in place stay, empty slots are filled."""
    return _generated(run(versions.generate, **body.model_dump()))


@router.post("/regions")
def choose_regions(run: RunUser, guards: Guarded, body: Regions) -> GeneratedOut:
    """Take other region ids, for who has relays of his own under the usual ones."""
    user_id = run.actor.user_id or 0
    guards.take(CHANGES, str(user_id))
    version = run(versions.choose_regions, user_id=user_id, region_base=body.region_base)
    return _generated(version)


def _generated(version: AclVersion) -> GeneratedOut:
    return GeneratedOut(
        acl=json.loads(version.document), version=VersionPart.model_validate(version)
    )
