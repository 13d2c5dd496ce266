"""Tables of states: what stands in them is possible, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from enum import StrEnum

import pytest

import derpman
from derpman.kit.states import IllegalTransition, allowed_actions, next_state


def tables() -> Iterator[tuple[str, Mapping[tuple[StrEnum, str], StrEnum]]]:
    for module in pkgutil.iter_modules(derpman.__path__):
        if not module.ispkg:
            continue
        try:
            states = importlib.import_module(f"derpman.{module.name}.states")
        except ModuleNotFoundError:
            continue
        for name, table in vars(states).items():
            if name.endswith("TRANSITIONS"):
                yield f"{module.name}.{name}", table


TABLES = dict(tables())


@pytest.mark.parametrize("name", TABLES)
def test_every_state_and_action_is_decided_by_the_table(name: str) -> None:
    table = TABLES[name]
    states = type(next(iter(table.values())))
    for state in states:
        for action in {action for _, action in table}:
            if (state, action) in table:
                assert next_state(table, state, action) is table[state, action]
                assert action in allowed_actions(table, state)
            else:
                with pytest.raises(IllegalTransition) as refused:
                    next_state(table, state, action)
                assert refused.value.params == {"state": state.value, "action": action}


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_reached(name: str) -> None:
    table = TABLES[name]
    first = next(iter(table))[0]
    reached, before = {first}, set[StrEnum]()
    while reached != before:
        before = set(reached)
        reached |= {to for (state, _), to in table.items() if state in reached}
    assert reached == {state for state, _ in table} | set(table.values())
