"""Rules as they come, as admins set them, and what they may not be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from derpman.alerts import rules
from derpman.alerts.errors import RuleNotFound, RuleWrong
from derpman.alerts.models import Reaction, Severity
from derpman.alerts.rules import RULES
from derpman.alerts.texts import TEXTS
from derpman.kit.work import Edge


def test_rules_come_as_they_are_built_and_their_alerts_have_words(edge: Edge):
    found = edge.read(rules.rules)
    assert [rule.kind for rule in found] == list(RULES)
    assert all(rule.is_enabled and rule.reaction is Reaction.ALERT for rule in found)
    assert RULES.keys() <= TEXTS.keys()


def test_an_admin_sets_one(edge: Edge):
    rule = edge.read(rules.rule, "rate_too_high")
    wanted = replace(
        rule,
        severity=Severity.CRITICAL,
        reaction=Reaction.THROTTLE,
        thresholds={"megabytes_per_second": 5, "minutes": 3},
    )
    assert edge(rules.edit, wanted=wanted) == wanted
    assert edge.read(rules.rule, "rate_too_high") == wanted
    again = replace(wanted, is_enabled=False)
    assert edge(rules.edit, wanted=again) == again
    assert edge.read(rules.rule, "sudden_change").is_enabled


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        ("rate_too_high", {"thresholds": {"minutes": 1}}, "thresholds"),
        ("rate_too_high", {"thresholds": {"megabytes_per_second": 0, "minutes": 1}}, "thresholds"),
        ("quota_passed", {"thresholds": {"percent": 1}}, "thresholds"),
        ("quota_passed", {"reaction": Reaction.STOP}, "reaction"),
        ("unknown_flood", {"reaction": Reaction.THROTTLE}, "reaction"),
    ],
)
def test_what_makes_no_sense_is_refused(edge: Edge, kind: str, changes: dict, field: str):
    rule = edge.read(rules.rule, kind)
    with pytest.raises(RuleWrong) as refused:
        edge(rules.edit, wanted=replace(rule, **changes))
    assert refused.value.params["field"] == field
    assert edge.read(rules.rule, kind) == rule


def test_unknown_kinds_are_not_found(edge: Edge):
    with pytest.raises(RuleNotFound):
        edge.read(rules.rule, "nothing")


def test_over_http(client, root, eve):
    assert client.get("/api/alerts/rules", headers=eve.headers).status_code == 403
    listed = client.get("/api/alerts/rules", headers=root.headers).json()["rules"]
    assert [one["kind"] for one in listed] == list(RULES)
    rate = listed[0]
    assert rate["possible_reactions"] == ["alert", "mail", "throttle", "stop"]
    body = {
        "is_enabled": True,
        "severity": "critical",
        "reaction": "stop",
        "hold_minutes": 5,
        "thresholds": {"megabytes_per_second": 1, "minutes": 1},
    }
    path = "/api/alerts/rules/rate_too_high"
    assert client.post(path, json=body, headers=eve.headers).status_code == 403
    edited = client.post(path, json=body, headers=root.headers).json()["rule"]
    assert (edited["reaction"], edited["hold_minutes"]) == ("stop", 5)
    assert edited["built_in_thresholds"] == rate["thresholds"]
    wrong = client.post(path, json={**body, "thresholds": {}}, headers=root.headers)
    assert wrong.status_code == 422
    missing = client.post("/api/alerts/rules/x", json=body, headers=root.headers)
    assert missing.status_code == 404
