"""Proofs of work: ours, in time, for the network they were given to, and once."""

from __future__ import annotations

import itertools

import pytest
from cryptography.fernet import Fernet

from derpman.kit import puzzles
from derpman.kit.errors import Forbidden
from derpman.kit.guards import FREE_MAILS, Guards
from derpman.kit.secrets import Vault
from derpman.kit.throttle import Throttle
from derpman.kit.work import Actor, Role

NETWORK = "198.51.100.0/24"
NOW = 1_800_000_000


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Vault:
    monkeypatch.setattr(puzzles, "BITS", 8)
    return Vault([Fernet.generate_key().decode()])


def solve(puzzle: str) -> str:
    bits = int(puzzle.split(".")[1])
    numbers = (f"{puzzle}:{number}" for number in itertools.count())
    return next(answer for answer in numbers if puzzles.zero_bits(answer) >= bits)


def test_an_answer_counts_in_time_and_for_its_network(vault: Vault) -> None:
    puzzle = puzzles.new(vault, NETWORK, now=NOW)
    answer = solve(puzzle)
    assert puzzles.solved(vault, NETWORK, answer, now=NOW) == puzzle
    assert puzzles.solved(vault, "203.0.113.0/24", answer, now=NOW) is None
    assert puzzles.solved(vault, NETWORK, answer, now=NOW + puzzles.LIFE_SECONDS + 1) is None
    easier = answer.replace(".8.", ".0.", 1)
    assert puzzles.solved(vault, NETWORK, easier, now=NOW) is None
    other = Vault([Fernet.generate_key().decode()])
    assert puzzles.solved(other, NETWORK, answer, now=NOW) is None
    for wrong in ("", "x", f"{puzzle}:", answer + "0" * 30, answer.split(":")[0]):
        assert puzzles.solved(vault, NETWORK, wrong, now=NOW) is None
    unsolved = next(
        f"{puzzle}:{number}"
        for number in itertools.count()
        if puzzles.zero_bits(f"{puzzle}:{number}") < 8
    )
    assert puzzles.solved(vault, NETWORK, unsolved, now=NOW) is None


def test_above_a_rate_of_its_network_each_mail_costs_an_answer_that_counts_once(
    vault: Vault,
) -> None:
    guards = Guards(Throttle(), 30, "us", is_https=True, vault=vault, seconds=lambda: NOW)
    for number in range(FREE_MAILS.times):
        guards.take_mail_form(Actor(Role.NOBODY, ip=f"198.51.100.{number}"))
    with pytest.raises(Forbidden) as refused:
        guards.take_mail_form(Actor(Role.NOBODY, ip="198.51.100.200"))
    assert refused.value.code == "access.work_needed"
    answer = solve(str(refused.value.params["puzzle"]))
    guards.take_mail_form(Actor(Role.NOBODY, ip="198.51.100.201", work=answer))
    with pytest.raises(Forbidden):
        guards.take_mail_form(Actor(Role.NOBODY, ip="198.51.100.202", work=answer))
    guards.take_mail_form(Actor(Role.NOBODY, ip="203.0.113.1"))  # another network
