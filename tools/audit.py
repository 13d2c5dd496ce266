"""Ask the OSV database about every locked dependency; exit 1 when one has a known flaw.

python tools/audit.py [--needed]

PyPI packages are read from the two locks, npm's from web/package-lock.json, Go's from the go.mod
files and the toolchain. Without a way to the database it says so and exits 0; with --needed it
exits 2. A flaw that does not concern us is accepted for a time in tools/audit-accepted.txt, a line
`<id> <until, YYYY-MM-DD> <why>`. Protocol: https://google.github.io/osv.dev/api/
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OSV = os.environ.get("OSV_URL", "https://api.osv.dev")
AT_ONCE = 1000  # queries that one request may hold
TIMEOUT_S = 20
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
REQUIRED = re.compile(r"^(?:require )?\s*(\S+\.\S+) v(\S+)(?: // indirect)?$", re.MULTILINE)


class Package(NamedTuple):
    """One locked version; `ecosystem` is OSV's word for where it comes from."""

    ecosystem: str
    name: str
    version: str


def locked(root: Path = ROOT) -> list[Package]:
    """Every version that some lock names."""
    found: set[Package] = set()
    for path in root.glob("requirements*.lock"):
        for name, version in PINNED.findall(path.read_text()):
            found.add(Package("PyPI", name, version))
    packages = json.loads((root / "web/package-lock.json").read_text())["packages"]
    for place, about in packages.items():
        if place and "version" in about:
            name = about.get("name") or place.rpartition("node_modules/")[2]
            found.add(Package("npm", name, about["version"]))
    for path in root.glob("**/go.mod"):
        if "build" not in path.parts and "node_modules" not in path.parts:
            for name, version in REQUIRED.findall(path.read_text()):
                found.add(Package("Go", name, version))
    if version := toolchain(root):
        found.add(Package("Go", "stdlib", version))
    return sorted(found)


def toolchain(root: Path) -> str:
    """The version of Go that builds the node, or "" where there is none."""
    done = subprocess.run(
        [root / "tools/go", "version"], check=False, capture_output=True, text=True
    )
    match = re.search(r"\bgo(\d+\.\d+(?:\.\d+)?)\b", done.stdout)
    return match[1] if match else ""


def flaws(packages: list[Package]) -> dict[Package, list[str]]:
    """The ids of known flaws by package; OSError when the database cannot be asked."""
    found: dict[Package, list[str]] = {}
    waiting: list[tuple[Package, str]] = [(one, "") for one in packages]
    while waiting:
        part, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        queries = [
            {"package": {"ecosystem": one.ecosystem, "name": one.name}, "version": one.version}
            | ({"page_token": token} if token else {})
            for one, token in part
        ]
        results = ask("/v1/querybatch", {"queries": queries})["results"]
        for (one, _), result in zip(part, results, strict=True):
            ids = [vuln["id"] for vuln in result.get("vulns") or []]
            if ids:
                found.setdefault(one, []).extend(ids)
            if token := result.get("next_page_token"):
                waiting.append((one, token))
    return found


def ask(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(OSV + path, data, headers)  # noqa: S310 # https, or a test's
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 # as above
        return json.load(answer)


def accepted(root: Path = ROOT) -> set[str]:
    """The ids that are accepted today."""
    path = root / "tools/audit-accepted.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    today = time.strftime("%Y-%m-%d", time.gmtime())
    taken: set[str] = set()
    for line in lines:
        if line.strip() and not line.startswith("#"):
            flaw, until, _why = line.split(maxsplit=2)
            if until >= today:
                taken.add(flaw)
    return taken


def main() -> int:
    packages = locked()
    try:
        found = flaws(packages)
        taken = accepted()
        told = {
            (one, flaw): ask(f"/v1/vulns/{flaw}")
            for one, flaws_of in found.items()
            for flaw in flaws_of
            if flaw not in taken
        }
    except (OSError, urllib.error.URLError) as error:
        print(f"audit: left out, {OSV} cannot be asked ({error}); flaws found lately are not known")
        return 2 if "--needed" in sys.argv else 0
    standing = {key: about for key, about in told.items() if not about.get("withdrawn")}
    for (one, flaw), about in standing.items():
        names = ", ".join([flaw, *about.get("aliases", [])])
        summary = about.get("summary") or about.get("details", "")[:100]
        print(f"{one.ecosystem} {one.name} {one.version}: {names}: {summary}")
    print(f"audit: {len(packages)} locked versions, {len(standing)} known flaws")
    return 1 if standing else 0


if __name__ == "__main__":
    sys.exit(main())
