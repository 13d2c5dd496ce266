"""Node keys, and what `tailscale status --json` tells of a tailnet's devices."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, cast

from derpman.devices.errors import NotANodeKey, NotAStatus

_BARE = re.compile(r"[0-9a-fA-F]{64}")
# Keys that a customer may mistake for a node key (tailscale.com/types/key).
_OTHER_KINDS = ("mkey", "discokey", "privkey", "nlpub", "tskey")
MAX_PEERS = 5000


def node_key(text: str) -> str:
    """Return a node key as Tailscale writes it; raise NotANodeKey for anything else."""
    cleaned = text.strip()
    kind, colon, digits = cleaned.rpartition(":")
    if not colon:
        digits = cleaned
    if kind not in ("", "nodekey") or not _BARE.fullmatch(digits):
        other = next((kind for kind in _OTHER_KINDS if cleaned.startswith(kind)), "unknown")
        raise NotANodeKey(kind=other)
    if digits.strip("0") == "":
        raise NotANodeKey(kind="zero")  # what a client shows while it is logged out
    return f"nodekey:{digits.lower()}"


@dataclass(frozen=True)
class Seen:
    """One device that a status names."""

    node_key: str
    name: str
    system: str


def devices_of_status(text: str) -> list[Seen]:
    """Return every device in the output of `tailscale status --json`, the own one first."""
    try:
        status = json.loads(text)
    except (ValueError, RecursionError):
        raise NotAStatus from None
    if not isinstance(status, dict):
        raise NotAStatus
    document = cast("dict[str, Any]", status)
    peers: Any = document.get("Peer") or {}
    if not isinstance(peers, dict) or "Self" not in document:
        raise NotAStatus
    nodes = [document["Self"], *list(cast("dict[str, Any]", peers).values())[:MAX_PEERS]]
    found: dict[str, Seen] = {}
    for node in nodes:
        seen = _seen(node)
        if seen is not None:
            found.setdefault(seen.node_key, seen)
    if not found:
        raise NotAStatus
    return list(found.values())


def _seen(node: object) -> Seen | None:
    if not isinstance(node, dict):
        return None
    fields = cast("dict[str, Any]", node)
    try:
        key = node_key(str(fields.get("PublicKey", "")))
    except NotANodeKey:
        return None
    full_name = str(fields.get("DNSName") or "").split(".")[0] or str(fields.get("HostName") or "")
    return Seen(key, clean_name(full_name) or key[8:20], clean_name(str(fields.get("OS") or "")))


def clean_name(text: str) -> str:
    """Return a name without what cannot be printed, cut to what a column holds."""
    return "".join(char for char in text if char.isprintable()).strip()[:64]
