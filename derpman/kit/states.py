"""State machines as tables that can be read aloud."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from derpman.kit.errors import Conflict

State = TypeVar("State", bound=StrEnum)


class IllegalTransition(Conflict):
    """The object's state does not allow this action."""

    code = "state.illegal"
    text = "“{action}” is not possible while the state is “{state}”."


def next_state(table: Mapping[tuple[State, str], State], state: State, action: str) -> State:
    """Return the state that `action` leads to; raise IllegalTransition when the table has none."""
    try:
        return table[state, action]
    except KeyError:
        raise IllegalTransition(state=str(state), action=action) from None


def allowed_actions(table: Mapping[tuple[State, str], State], state: State) -> list[str]:
    """Return the actions that are possible in `state`, in the table's order."""
    return [action for from_state, action in table if from_state == state]
