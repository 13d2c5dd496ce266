"""HTTP of plans."""

from __future__ import annotations

from fastapi import APIRouter

from derpman.finance import service
from derpman.finance.schemas import (
    AddPlan,
    OnePlanOut,
    PlanOut,
    PlansOut,
    PriceOut,
    PricesOut,
    UpdatePlan,
)
from derpman.kit.http import RunAdmin, RunAdminFresh, RunPublic
from derpman.kit.types import IdValue

router = APIRouter(prefix="/api/finance", tags=["finance"])


@router.get("/plans")
def list_plans(run: RunPublic) -> PlansOut:
    """Plans on sale; staff see the retired ones too."""
    return PlansOut(plans=[PlanOut.model_validate(plan) for plan in run.read(service.plans)])


@router.post("/plans")
def add_plan(run: RunAdminFresh, body: AddPlan) -> OnePlanOut:
    """Put another plan on sale."""
    plan = run(service.add_plan, **body.model_dump())
    return OnePlanOut(plan=PlanOut.model_validate(plan))


@router.post("/plans/{plan_id}")
def update_plan(run: RunAdminFresh, plan_id: IdValue, body: UpdatePlan) -> OnePlanOut:
    """Change a plan's terms, or retire it. Rentals that run keep theirs."""
    plan = run(service.update_plan, plan_id=plan_id, **body.model_dump(exclude_none=True))
    return OnePlanOut(plan=PlanOut.model_validate(plan))


@router.get("/plans/{plan_id}/prices")
def list_prices(run: RunAdmin, plan_id: IdValue) -> PricesOut:
    """What a plan cost and since when, the newest first."""
    return PricesOut(
        prices=[PriceOut.model_validate(one) for one in run.read(service.prices, plan_id=plan_id)]
    )
