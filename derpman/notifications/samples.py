"""One value for everything that a mail can tell: for previews and for judging templates.

Whoever declares a new name in `rendering.TEMPLATES` gives it a value here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

SAMPLES: Mapping[str, Any] = {
    "username": "carl<b>",
    "minutes": 30,
    "at": datetime(2026, 3, 1, 8, 0, tzinfo=UTC),
    "expires_at": datetime(2026, 3, 31, 8, 0, tzinfo=UTC),
    "ended_at": datetime(2026, 3, 31, 8, 0, tzinfo=UTC),
    "changes_at": datetime(2026, 3, 31, 8, 0, tzinfo=UTC),
    "closes_at": datetime(2026, 4, 30, 8, 0, tzinfo=UTC),
    "next_device_limit": 3,
    "acl_goes_on": True,
    "can_renew": True,
    "is_automatic": True,
    "happened": "second_factor_on",
    "ip": "198.51.100.7",
    "place": "上海",
    "browser": "Chrome 130",
    "plan": "30 天",
    "device_limit": 5,
    "relays": [
        {"slot": slot, "region": f"r{slot}", "address": "203.0.113.1", "port": 20000 + slot}
        for slot in (1, 2, 3)
    ],
    "reason": "because",
    "device": "laptop",
    "node_key": "nodekey:abcd",
    "limit": 5,
    "is_full": True,
    "version": "2",
    "old_version": "1",
    "ends_at": datetime(2026, 3, 31, 8, 0, tzinfo=UTC),
    "level": 95,
    "used": "190 GB",
    "amount": "200 GB",
    "why": "refund",
    "balance": "¥12.00",
    "order": "D20260301160000ABCDEFGHJK",
    "price": "¥39.00",
    "period_ends_at": datetime(2026, 3, 31, 8, 0, tzinfo=UTC),
    "is_stopped": True,
    "region": "华东 1",
    "severity": "critical",
    "alert_type": "server_unreachable",
    "message": "Tom & Jerry\n\n<script>",
    "count": 3,
    "is_approved": True,
    "codes": ["DERP-AAAA-BBBB-CCCC", "DERP-DDDD-EEEE-FFFF"],
    "month": "2026-03",
    "opening": "¥0.00",
    "earned": "¥12.00",
    "taken_back": "¥2.00",
    "to_credit": "¥3.00",
    "to_wallet": "¥7.00",
    "closing": "¥0.00",
    "subject": "News & more",
    "what": "Your relays have carried unusually much traffic.",
    "reaction": "throttle",
    "added": "laptop, phone",
    "removed": "old-laptop",
    "no_room": "tv",
    "names": "laptop, phone",
}
