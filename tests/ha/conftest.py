"""Fleets of fake servers with somebody who probes them."""

from __future__ import annotations

from tests.servers.conftest import _no_old_nodes, live_edge, panel, wakes, world

__all__ = ["_no_old_nodes", "live_edge", "panel", "wakes", "world"]
