"""What a server is set up with: derpman-node as it was built, and the script for operators."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from shlex import quote

from derpman.servers.errors import StepFailed
from derpman.servers.rootshell import SCRIPT

PROGRAM = "derpman-node"
_LAST_LINE = 'main "$@"'
_BASE64_LINE = 57 * 64


@dataclass(frozen=True)
class Program:
    """The node's program, compressed for the way."""

    sha256: str
    packed: bytes = field(repr=False)


def program(build_dir: Path) -> Program:
    """Return derpman-node as it was built; StepFailed when it was not."""
    path = build_dir / PROGRAM
    try:
        changed_at = path.stat().st_mtime_ns
    except OSError:
        raise StepFailed("panel.not_built") from None
    return _program(path, changed_at)


@lru_cache(maxsize=1)
def _program(path: Path, _changed_at: int) -> Program:
    plain = path.read_bytes()
    return Program(hashlib.sha256(plain).hexdigest(), gzip.compress(plain, 6, mtime=0))


def script(
    *, node: Program, public_key: str, release_key: str, report_url: str, token: str
) -> Iterator[str]:
    """Yield the text of a script that sets a server up by itself, with the program inside.

    It holds nothing secret but the token, which lets it say that it has run.
    """
    functions, entry = SCRIPT.rstrip().rsplit("\n", 1)
    assert entry == _LAST_LINE  # nothing of the script may run before this text says so
    yield functions
    yield f"""
report() {{
    body="{{\\"token\\": \\"$2\\", \\"host_key\\": \\"$(host_keys | head -n 1)\\"}}"
    if has curl; then
        curl -fsS -m 20 -o /dev/null -H 'Content-Type: application/json' --data "$body" "$1"
    elif has wget; then
        wget -q -T 20 -O /dev/null --header='Content-Type: application/json' \\
            --post-data="$body" "$1"
    else
        return 1
    fi
}}

[ "$(id -u)" = 0 ] || fail bootstrap.not_root "this must run as root: use sudo"
echo "Setting up $(distribution name) for DERP Management ..."
install_docker </dev/null
account {quote(public_key)} </dev/null
base64 -d <<'DERPMAN_NODE' | install_program {quote(node.sha256)}
"""
    for start in range(0, len(node.packed), _BASE64_LINE):
        chunk = node.packed[start : start + _BASE64_LINE]
        yield base64.encodebytes(chunk).decode()
    yield f"""DERPMAN_NODE
service {quote(release_key)} </dev/null
echo "Done. The SSH host keys of this server are:"
for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -l -f "$key" </dev/null || true; done
if report {quote(report_url)} {quote(token)} </dev/null; then
    echo "The panel knows, and goes on by itself."
else
    echo "The panel could not be told from here: press Retry on the server's page there."
fi
"""
