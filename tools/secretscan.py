"""Find what looks like a secret in the files that the repository keeps; exit 1 and name the places.

python tools/secretscan.py

Reads files only, and needs no network. A line that ends in `# no secret: <why>` is left alone.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOOKS = {
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*\n[A-Za-z0-9+/=\n]{60}"),
    "a Fernet token": re.compile(rb"\bgAAAAA[A-Za-z0-9_-]{60,}"),
    "an API token of ours": re.compile(
        rb"\bderpman_(?=[\w-]*[A-Z])(?=[\w-]*\d)[A-Za-z0-9_-]{43}\b"
    ),
    "a key of a cloud": re.compile(rb"\b(?:AKIA[0-9A-Z]{16}|LTAI[0-9A-Za-z]{16,24})\b"),
    "a key of Tailscale": re.compile(rb"\btskey-[a-z]+-[A-Za-z0-9]{8,}-[A-Za-z0-9]{16,}\b"),
    "a token of a code host": re.compile(rb"\b(?:ghp|gho|ghs|glpat)[_-][A-Za-z0-9_-]{20,}\b"),
    "a password in an address": re.compile(
        rb"\b(?:mysql|postgresql|redis)(?:\+\w+)?://[^\s:/@\"'{}<>]+:(?!password@)[^\s:/@\"'{}<>]{6,}@"
        rb"(?!127\.0\.0\.1|localhost)"
    ),
}
EXCUSED = re.compile(rb"no secret: \S+")
MOST_BYTES = 2_000_000


def found() -> list[str]:
    """Where something looks like a secret: file, line, and what it looks like."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
    ).stdout.split(b"\0")
    places: list[str] = []
    for name in filter(None, listed):
        path = ROOT / name.decode()
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            continue
        content = path.read_bytes()
        for what, pattern in LOOKS.items():
            for match in pattern.finditer(content):
                line = content.count(b"\n", 0, match.start()) + 1
                end = content.find(b"\n", match.end())
                if not EXCUSED.search(content[match.start() : end if end >= 0 else None]):
                    places.append(f"{name.decode()}:{line}: {what}")
    return places


if __name__ == "__main__":
    if places := found():
        sys.exit("\n".join(places))
