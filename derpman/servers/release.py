"""The release key of this installation; the relay image and the program that it signs for nodes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import undefer

from derpman.kit.work import UnitOfWork
from derpman.servers.errors import NodeError
from derpman.servers.models import PanelKey
from derpman.servers.node import NodeClient

RELEASE = "release"
CHUNK_BYTES = 512 * 1024
PROGRAM = "derpman-node"
ARCHIVE = "relay-image.tar"
LABEL = f"{ARCHIVE}.label"


@dataclass(frozen=True)
class RelayImage:
    """A relay image's archive, signed."""

    archive: Path
    label: str
    size: int
    sha256: str
    signature: str
    """Ed25519 over `message`, base64."""


def message(label: str, sha256: str) -> bytes:
    """Return what the release key signs of an image."""
    return f"derpman-relay-image\n{label}\n{sha256}\n".encode()


def program_message(version: str, sha256: str) -> bytes:
    """Return what the release key signs of a node's program."""
    return f"derpman-node\n{version}\n{sha256}\n".encode()


def release_key(work: UnitOfWork) -> str:
    """Return the public half, base64 of its 32 bytes; the key is made at first need."""
    return _key(work).public


def sign(work: UnitOfWork, *, label: str, sha256: str) -> str:
    """Return the release key's signature over an image, base64."""
    return _sign(work, message(label, sha256))


def sign_program(work: UnitOfWork, *, version: str, sha256: str) -> str:
    """Return the release key's signature over a node's program, base64."""
    return _sign(work, program_message(version, sha256))


def _sign(work: UnitOfWork, text: bytes) -> str:
    private = Ed25519PrivateKey.from_private_bytes(
        base64.b64decode(work.vault.open(_key(work).private))
    )
    return base64.b64encode(private.sign(text)).decode()


def _key(work: UnitOfWork) -> PanelKey:
    key = work.session.get(PanelKey, RELEASE, options=[undefer(PanelKey.private)])
    if key is None:
        private = Ed25519PrivateKey.generate()
        raw = serialization.Encoding.Raw
        public = private.public_key().public_bytes(raw, serialization.PublicFormat.Raw)
        secret = private.private_bytes(
            raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        )
        key = PanelKey(
            name=RELEASE,
            public=base64.b64encode(public).decode(),
            private=work.vault.seal(base64.b64encode(secret).decode()),
            created_at=work.now,
        )
        work.session.add(key)
        work.session.flush()  # two processes may make it at once: the key of the row decides
    return key


@dataclass(frozen=True)
class BuiltImage:
    """A relay image's archive as it was built."""

    archive: Path
    label: str
    size: int
    sha256: str

    def signed(self, signature: str) -> RelayImage:
        return RelayImage(self.archive, self.label, self.size, self.sha256, signature)


def built_image(build_dir: Path) -> BuiltImage | None:
    """Return the relay image that was built last, or None when none was."""
    archive, label = build_dir / ARCHIVE, build_dir / LABEL
    if not archive.is_file() or not label.is_file():
        return None
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return BuiltImage(archive, label.read_text().strip(), archive.stat().st_size, sha256)


@dataclass(frozen=True)
class BuiltProgram:
    """derpman-node as it was built."""

    path: Path
    version: str
    size: int
    sha256: str


def built_program(build_dir: Path) -> BuiltProgram | None:
    """Return the node's program that was built last, or None when none that runs was."""
    path = build_dir / PROGRAM
    try:
        said = subprocess.run(
            [path.resolve(), "version"], capture_output=True, text=True, check=True, timeout=20
        )
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    except (OSError, subprocess.SubprocessError):
        return None
    return BuiltProgram(path, said.stdout.strip()[:64], size, sha256)


async def send_image(node: NodeClient, image: RelayImage) -> None:
    """Send an image in chunks; NodeError when the node does not take it."""
    about = {
        "label": image.label,
        "size": image.size,
        "sha256": image.sha256,
        "signature": image.signature,
    }
    await _send(node, "image", image.archive, about)


async def send_program(node: NodeClient, program: BuiltProgram, signature: str) -> bool:
    """Send a program in chunks; NodeError when the node does not take it.

    True: the node restarts with it now. False: it is the one that runs.
    """
    about = {
        "version": program.version,
        "size": program.size,
        "sha256": program.sha256,
        "signature": signature,
    }
    return (await _send(node, "upgrade", program.path, about)).get("restarts") is True


async def _send(node: NodeClient, verb: str, path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Send a file until the node says that it is complete; return its last answer."""
    offset, answer = 0, dict[str, Any]()
    while offset < about["size"] and answer.get("complete") is not True:
        data = await asyncio.to_thread(_chunk, path, offset)
        if not data:
            raise NodeError(f"{verb}.changed", "the file changed while it was sent")
        body = {**about, "offset": offset, "data": base64.b64encode(data).decode()}
        # With the last chunk the node loads an image or tries a program, which takes its time.
        answer = await node.call(verb, body, seconds=120)
        offset += len(data)
    return answer


def _chunk(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(CHUNK_BYTES)
