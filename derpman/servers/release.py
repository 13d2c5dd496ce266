"""The release key of this installation, and the relay image that it signs for nodes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import undefer

from derpman.kit.work import UnitOfWork
from derpman.servers.errors import NodeError
from derpman.servers.models import PanelKey
from derpman.servers.node import NodeClient

RELEASE = "release"
CHUNK_BYTES = 512 * 1024
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


def release_key(work: UnitOfWork) -> str:
    """Return the public half, base64 of its 32 bytes; the key is made at first need."""
    return _key(work).public


def sign(work: UnitOfWork, *, label: str, sha256: str) -> str:
    """Return the release key's signature over an image, base64."""
    private = Ed25519PrivateKey.from_private_bytes(
        base64.b64decode(work.vault.open(_key(work).private))
    )
    return base64.b64encode(private.sign(message(label, sha256))).decode()


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


async def send_image(node: NodeClient, image: RelayImage) -> None:
    """Send an image in chunks; NodeError when the node does not take it."""
    offset = 0
    while offset < image.size:
        data = await asyncio.to_thread(_chunk, image.archive, offset)
        if not data:
            raise NodeError("image.changed", "the archive changed while it was sent")
        body = {
            "label": image.label,
            "size": image.size,
            "sha256": image.sha256,
            "signature": image.signature,
            "offset": offset,
            "data": base64.b64encode(data).decode(),
        }
        # The last chunk has the node load the image, which takes its time.
        await node.call("image", body, seconds=120)
        offset += len(data)


def _chunk(archive: Path, offset: int) -> bytes:
    with archive.open("rb") as file:
        file.seek(offset)
        return file.read(CHUNK_BYTES)
