"""Rules about what customers do: what is odd, how odd it must be, and what follows.

Modules above look for what a rule describes and hand what they find to `containers.reactions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import select

from derpman.alerts.errors import RuleNotFound, RuleWrong
from derpman.alerts.models import AnomalyRule, Reaction, Severity
from derpman.alerts.texts import Text
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs

RATE_TOO_HIGH = "rate_too_high"
QUOTA_PASSED = "quota_passed"
SUDDEN_CHANGE = "sudden_change"
MANY_ADDRESSES = "many_addresses"
UNKNOWN_FLOOD = "unknown_flood"
WORDS_ONLY = frozenset({Reaction.ALERT, Reaction.MAIL})
ANY = frozenset(Reaction)
MOST = 1_000_000


@dataclass(frozen=True)
class Kind:
    """A rule as it comes, and what a customer is told when it finds something."""

    thresholds: Mapping[str, int]
    told: Text
    severity: Severity = Severity.WARNING
    reactions: frozenset[Reaction] = field(default=ANY)


RULES: dict[str, Kind] = {
    # the mean over so many minutes, all relays of a customer together
    RATE_TOO_HIGH: Kind(
        {"megabytes_per_second": 25, "minutes": 10},
        Text(
            en="Your relays have carried unusually much traffic for a while.",
            zh="您的中继在一段时间内流量异常偏高。",
        ),
    ),
    # what the plan says is done by the quota itself
    QUOTA_PASSED: Kind(
        {},
        Text(en="The traffic of your plan is used up.", zh="您的套餐流量已用完。"),
        severity=Severity.INFO,
        reactions=WORDS_ONLY,
    ),
    # an hour against the same hour of his last weeks
    SUDDEN_CHANGE: Kind(
        {"factor": 10, "gigabytes_more": 5, "weeks": 4},
        Text(
            en="Your relays carried far more traffic than they usually do at this time of a week.",
            zh="您的中继流量远高于您以往每周同一时段的水平。",
        ),
    ),
    # different networks (/24, /48) that one device newly came from within so many minutes
    MANY_ADDRESSES: Kind(
        {"networks": 8, "minutes": 60},
        Text(
            en="One of your devices connected from many different networks within a short time. "
            "Its key may have been copied.",
            zh="您的一台设备在短时间内从许多不同的网络连接，其密钥可能已被复制。",
        ),
    ),
    # different devices that are not registered and knocked within so many minutes
    UNKNOWN_FLOOD: Kind(
        {"devices": 20, "minutes": 10},
        Text(
            en="Many devices that you did not register tried to use your relays.",
            zh="有许多未登记的设备尝试使用您的中继。",
        ),
        reactions=WORDS_ONLY,
    ),
}


@dataclass(frozen=True)
class Rule:
    """A rule as it is in force."""

    kind: str
    is_enabled: bool
    severity: Severity
    reaction: Reaction
    throttle_bytes_per_second: int
    """Of each device, while the reaction is to throttle."""
    hold_minutes: int
    """So long a throttle or stop lasts at least."""
    thresholds: Mapping[str, int]


def rules(work: UnitOfWork) -> list[Rule]:
    """Return every rule as it is in force."""
    rows = {row.kind: row for row in work.session.scalars(select(AnomalyRule))}
    return [_rule(kind, rows.get(kind)) for kind in RULES]


def rule(work: UnitOfWork, kind: str) -> Rule:
    """Return one rule as it is in force."""
    if kind not in RULES:
        raise RuleNotFound(kind=kind)
    return _rule(kind, work.session.get(AnomalyRule, kind))


def edit(work: UnitOfWork, *, wanted: Rule) -> Rule:
    """Put a rule into force as an admin wants it; it judges anew with the next sweep."""
    before = rule(work, wanted.kind)
    kind = RULES[wanted.kind]
    if wanted.thresholds.keys() != kind.thresholds.keys():
        named = ", ".join(sorted(kind.thresholds)) or "none"
        raise RuleWrong(field="thresholds", reason=f"they are {named}")
    if not all(1 <= value <= MOST for value in wanted.thresholds.values()):
        raise RuleWrong(field="thresholds", reason=f"each is from 1 to {MOST}")
    if wanted.reaction not in kind.reactions:
        raise RuleWrong(
            field="reaction", reason=f"it is one of {', '.join(sorted(kind.reactions))}"
        )
    row = work.session.get(AnomalyRule, wanted.kind)
    if row is None:
        row = AnomalyRule(kind=wanted.kind)
        work.session.add(row)
    row.is_enabled, row.severity, row.reaction = (
        wanted.is_enabled,
        wanted.severity,
        wanted.reaction,
    )
    row.throttle_bytes_per_second = wanted.throttle_bytes_per_second
    row.hold_minutes = wanted.hold_minutes
    row.thresholds = json.dumps(dict(wanted.thresholds), sort_keys=True)
    row.updated_at = work.now
    work.session.flush()
    logs.record(
        work,
        action="anomaly_rule.edit",
        object_type="anomaly_rule",
        before=_shown(before),
        after=_shown(wanted),
    )
    return rule(work, wanted.kind)


def _rule(kind: str, row: AnomalyRule | None) -> Rule:
    built_in = RULES[kind]
    if row is None:
        return Rule(
            kind=kind,
            is_enabled=True,
            severity=built_in.severity,
            reaction=Reaction.ALERT,
            throttle_bytes_per_second=125_000,
            hold_minutes=60,
            thresholds=built_in.thresholds,
        )
    kept: dict[str, int] = json.loads(row.thresholds)
    return Rule(
        kind=kind,
        is_enabled=row.is_enabled,
        severity=row.severity,
        reaction=row.reaction,
        throttle_bytes_per_second=row.throttle_bytes_per_second,
        hold_minutes=row.hold_minutes,
        thresholds={name: kept.get(name, value) for name, value in built_in.thresholds.items()},
    )


def _shown(one: Rule) -> dict[str, object]:
    return {
        "kind": one.kind,
        "is_enabled": one.is_enabled,
        "severity": one.severity,
        "reaction": one.reaction,
        "throttle_bytes_per_second": one.throttle_bytes_per_second,
        "hold_minutes": one.hold_minutes,
        "thresholds": dict(one.thresholds),
    }
