"""The Go programs of the tests, built into build/fleet from the module in control/."""

import fcntl
import hashlib
from dataclasses import dataclass
from pathlib import Path

from tests.system.processes import ROOT, run

MODULE = Path(__file__).parent / "control"
FOLDER = ROOT / "build" / "fleet"
# The command line inside the daemon, as Tailscale's small packages have it; and without what only
# clouds, routers and desktops use, which takes most of the time to build.
_OMITTED = ("aws", "bird", "completion", "kube", "synology", "systray", "tap")
_TAGS = ",".join(["ts_include_cli", *(f"ts_omit_{feature}" for feature in _OMITTED)])


@dataclass(frozen=True)
class Binaries:
    control: Path  # the control server
    tailscaled: Path
    tailscale: Path
    derper: Path  # unmodified


def build() -> Binaries:
    """Build what has changed; a minute or two the first time, nothing afterwards."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    sources = [MODULE / name for name in ("main.go", "go.mod", "go.sum")]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    names = ("control", "tailscaled", "tailscale", "derper")
    made = Binaries(*(FOLDER / name for name in names))
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = FOLDER / "built-from"
        fresh = stamp.exists() and stamp.read_text() == digest
        if not fresh or not all((FOLDER / name).exists() for name in names):
            stamp.unlink(missing_ok=True)
            packages = [".", "tailscale.com/cmd/tailscaled", "tailscale.com/cmd/derper"]
            run(
                [
                    ROOT / "tools/go",
                    "build",
                    "-trimpath",
                    "-tags",
                    _TAGS,
                    "-o",
                    f"{FOLDER}/",
                    *packages,
                ],
                cwd=MODULE,
                env={"CGO_ENABLED": "0"},
                seconds=1800,
            )
            made.tailscale.unlink(missing_ok=True)
            made.tailscale.symlink_to("tailscaled")  # it goes by the name it is called with
            stamp.write_text(digest)
    return made
