"""Write the dependency locks, or tell whether they still follow pyproject.toml.

    python tools/lock.py            write requirements.lock, requirements-dev.lock, tools/go.lock
    python tools/lock.py --check    exit 1 when a lock is older than what it was made from

A lock names versions and hashes and no package host, so that any mirror can serve it. Its first
line carries a digest of what it was made from; the check compares digests and needs no network.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MARK = "# made by `make lock` from "


class Lock(NamedTuple):
    """One lock file, the requirements it is resolved from, and the lock it must agree with."""

    path: Path
    requirements: list[str]
    within: Path | None = None


def locks() -> list[Lock]:
    """The three locks, each with the requirements that pyproject.toml gives it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    runtime = [*project["project"]["dependencies"], *groups["build"]]
    used = ROOT / "requirements.lock"
    return [
        Lock(used, runtime),
        Lock(ROOT / "requirements-dev.lock", [*runtime, *groups["dev"]], within=used),
        Lock(ROOT / "tools" / "go.lock", groups["go"]),
    ]


def digest(requirements: list[str]) -> str:
    """The digest that ties a lock to its requirements; their order does not matter."""
    return hashlib.sha256(json.dumps(sorted(requirements)).encode()).hexdigest()


def is_fresh(lock: Lock) -> bool:
    """Whether the lock was made from exactly these requirements."""
    lines = lock.path.read_text().splitlines() if lock.path.exists() else [""]
    return lines[0] == MARK + digest(lock.requirements)


def write(lock: Lock) -> None:
    """Resolve the requirements for Python 3.11 and newer, and keep what still fits."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    command = [
        *(uv, "pip", "compile", "-", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"),
        *("--output-file", str(lock.path)),
    ]
    if lock.within:
        command += ["--constraints", str(lock.within)]
    subprocess.run(command, input="\n".join(lock.requirements), text=True, check=True)
    body = lock.path.read_text()
    if "://" in body:
        sys.exit(f"{lock.path.name} names a package host; it must not")
    lock.path.write_text(f"{MARK}{digest(lock.requirements)}\n{body}")


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        stale = [lock.path.name for lock in locks() if not is_fresh(lock)]
        if stale:
            sys.exit(f"{', '.join(stale)}: older than pyproject.toml; run `make lock`")
        return
    for lock in locks():
        write(lock)
        print(f"{lock.path.relative_to(ROOT)}: {lock.path.read_text().count('==')} packages")


if __name__ == "__main__":
    main()
