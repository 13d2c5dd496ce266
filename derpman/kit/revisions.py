"""Which forms of the database this program knows, without loading what changes them (10 MB)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "migrations" / "versions"


@lru_cache(1)
def known() -> tuple[str, ...]:
    """Return the revisions of the migrations, the oldest first: each file begins with its own."""
    return tuple(sorted(path.name.partition("_")[0] for path in FOLDER.glob("[0-9]*_*.py")))
