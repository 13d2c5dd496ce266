"""HTTP of the rules about what customers do, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from derpman.alerts import rules
from derpman.alerts.models import Reaction, Severity
from derpman.alerts.rules import RULES, Rule
from derpman.kit.http import RunAdmin
from derpman.kit.types import Body, Out, Part

router = APIRouter(prefix="/api/alerts/rules", tags=["alerts"])
Kind = Annotated[str, Path(max_length=64, pattern="^[a-z_]+$")]


class RuleIn(Body):
    is_enabled: bool
    severity: Severity
    reaction: Reaction
    throttle_bytes_per_second: Annotated[int, Field(ge=1000, le=10**12)] = 125_000
    hold_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    thresholds: Annotated[dict[str, int], Field(max_length=10)]


class RuleOut(Part):
    kind: str
    is_enabled: bool
    severity: Severity
    reaction: Reaction
    throttle_bytes_per_second: int
    hold_minutes: int
    thresholds: dict[str, int]
    built_in_thresholds: dict[str, int]
    possible_reactions: list[Reaction]

    @classmethod
    def of(cls, rule: Rule) -> RuleOut:
        """Return a rule, beside what it may be."""
        kind = RULES[rule.kind]
        return cls(
            kind=rule.kind,
            is_enabled=rule.is_enabled,
            severity=rule.severity,
            reaction=rule.reaction,
            throttle_bytes_per_second=rule.throttle_bytes_per_second,
            hold_minutes=rule.hold_minutes,
            thresholds=dict(rule.thresholds),
            built_in_thresholds=dict(kind.thresholds),
            possible_reactions=[one for one in Reaction if one in kind.reactions],
        )


class RulesOut(Out):
    rules: list[RuleOut]


class OneRuleOut(Out):
    rule: RuleOut


@router.get("")
def list_rules(run: RunAdmin) -> RulesOut:
    """What counts as odd in what customers do, and what follows."""
    return RulesOut(rules=[RuleOut.of(rule) for rule in run.read(rules.rules)])


@router.post("/{kind}")
def edit_rule(run: RunAdmin, kind: Kind, body: RuleIn) -> OneRuleOut:
    """Change a rule; it judges anew within a minute."""
    wanted = Rule(kind=kind, **body.model_dump())
    return OneRuleOut(rule=RuleOut.of(run(rules.edit, wanted=wanted)))
