"""Secrets at rest, and the key file that several processes may make at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from derpman.kit.secrets import Vault, key_file, new_token, token_hash


def test_rotated_keys_still_open_what_they_sealed() -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    sealed = Vault([old]).seal("hush")
    assert "hush" not in sealed
    assert Vault([new, old]).open(sealed) == "hush"
    with pytest.raises(ValueError, match="does not have"):
        Vault([new]).open(sealed)


def test_signatures_outlive_rotation_and_no_forgery_passes() -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    signature = Vault([old]).sign("browser 1")
    assert Vault([new, old]).is_signed("browser 1", signature)
    assert not Vault([new, old]).is_signed("browser 2", signature)
    assert not Vault([new]).is_signed("browser 1", signature)


def test_tokens_are_stored_as_hashes() -> None:
    token = new_token()
    assert len(token) >= 43
    assert token not in token_hash(token)


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret.key"
    code = (
        "import sys, pathlib\nfrom derpman.kit.secrets import key_file\n"
        "print(key_file(pathlib.Path(sys.argv[1]))[0])\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    keys = {process.communicate(timeout=60)[0].strip() for process in started}
    assert keys == set(key_file(path))
    assert len(keys) == 1
    assert path.stat().st_mode & 0o077 == 0
