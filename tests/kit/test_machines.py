"""The machine check code: what is believed of it, and what is not."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from derpman.kit import machines
from derpman.kit.secrets import Vault

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def vault() -> Vault:
    return Vault([Fernet.generate_key().decode()])


def test_a_command_line_sends_a_digest(vault: Vault) -> None:
    assert machines.machine_of({"x-machine-code": DIGEST.upper()}, {}, vault) == f"machine:{DIGEST}"


def test_a_browser_has_the_name_we_gave_it(vault: Vault) -> None:
    cookie = machines.new_browser(vault)
    name = cookie.partition(".")[0]
    cookies = {machines.COOKIE: cookie}
    found = machines.machine_of({"x-browser-fingerprint": "abcdef012345"}, cookies, vault)
    assert found == f"browser:{name}:abcdef012345"
    assert machines.machine_of({}, cookies, vault) == f"browser:{name}:"
    assert machines.machine_of({"x-browser-fingerprint": "a b;c'--"}, cookies, vault).endswith(":")
    assert len(found) <= 80


@pytest.mark.parametrize("cookie", ["", ".", "x", "A" * 22, "A" * 22 + ".", "A" * 22 + ".é"])
def test_a_name_we_did_not_give_is_no_machine(vault: Vault, cookie: str) -> None:
    assert not machines.machine_of({"x-machine-code": "zz"}, {machines.COOKIE: cookie}, vault)
    stolen = machines.new_browser(Vault([Fernet.generate_key().decode()]))
    assert not machines.machine_of({}, {machines.COOKIE: stolen}, vault)
