"""Password hashes: what fits, what takes as long, what is refused."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from derpman.kit import passwords
from derpman.kit.passwords import HASHER, NOBODYS, Passwords, PasswordsBusy


@pytest.fixture
def pool() -> Passwords:
    return Passwords()


def test_a_password_fits_its_own_hash_only(pool: Passwords) -> None:
    stored = pool.hash("correct horse")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert pool.verify("correct horse", stored)
    assert not pool.verify("correct horse ", stored)
    assert pool.hash("correct horse") != stored


def test_keyboards_that_send_one_character_in_two_ways_agree(pool: Passwords) -> None:
    assert pool.verify("cafe\u0301 123", pool.hash("caf\u00e9 123"))
    assert pool.verify("ｐａｓｓ１２３", pool.hash("pass123"))


def test_a_hash_with_old_parameters_is_renewed(pool: Passwords) -> None:
    old = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8192, parallelism=1),)).hash("secret")
    fits, renewed = pool.verify_and_update("secret", old)
    assert fits
    assert renewed is not None
    assert pool.verify_and_update("secret", renewed) == (True, None)
    assert pool.verify_and_update("wrong", old) == (False, None)


@pytest.mark.parametrize("stored", [None, "!", ""])
def test_nobody_takes_as_long_and_never_fits(
    pool: Passwords, stored: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    real = HASHER.hashers[0].verify

    def watched(password: str, against: str) -> bool:
        checked.append(against)
        return real(password, against)

    monkeypatch.setattr(HASHER.hashers[0], "verify", watched)
    assert pool.verify_and_update("whatever", stored) == (False, None)
    assert checked == [NOBODYS]
    assert not HASHER.current_hasher.check_needs_rehash(NOBODYS)


def test_two_run_at_once_some_wait_and_the_rest_is_refused() -> None:
    pool = Passwords(at_once=2, waiting=3)
    gate, most, running = threading.Event(), 0, 0
    counting = threading.Lock()

    def slow() -> str:
        nonlocal most, running
        with counting:
            running += 1
            most = max(most, running)
        gate.wait(30)
        with counting:
            running -= 1
        return "done"

    with ThreadPoolExecutor(5) as callers:
        taken = [callers.submit(pool._run, slow) for _ in range(5)]
        while pool._places._value or running < 2:  # all five have their places, and two run
            threading.Event().wait(0.001)
        with pytest.raises(PasswordsBusy):
            pool.hash("one too many")
        gate.set()
        assert [future.result() for future in taken] == ["done"] * 5
    assert most == 2
    assert pool.hash("there is room again")


def test_a_process_has_one_pool() -> None:
    assert passwords.of_process() is passwords.of_process()
    assert passwords.verify("correct horse", passwords.hash("correct horse"))
