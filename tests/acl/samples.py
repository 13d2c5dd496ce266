"""Slots for the tests of this folder."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from derpman.acl.derpmap import Slot


def pin(of: str) -> str:
    return "sha256-raw:" + hashlib.sha256(of.encode()).hexdigest()


def slot(number: int = 1, **changes: Any) -> Slot:
    usual = Slot(
        region_id=930 + number,
        code=f"bj{number}",
        name=f"北京 {number}",
        node_name=f"{930 + number}a",
        address=f"203.0.113.{number}",
        port=20440 + number,
        stun_port=23470 + number,
        pin=pin(f"slot {number}"),
    )
    return replace(usual, **changes)


def three(**changes: Any) -> tuple[Slot, Slot, Slot]:
    return slot(1, **changes), slot(2, **changes), slot(3, **changes)


def codes(findings: Any) -> list[str]:
    return [finding.code for finding in findings]
