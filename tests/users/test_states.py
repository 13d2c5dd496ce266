"""Every state of an account, and every action."""

from __future__ import annotations

import pytest

from derpman.kit.states import IllegalTransition, allowed_actions, next_state
from derpman.users.states import TRANSITIONS, UserStatus


@pytest.mark.parametrize("status", UserStatus)
@pytest.mark.parametrize("action", sorted({action for _, action in TRANSITIONS}))
def test_each_action_is_in_the_table_or_refused(status: UserStatus, action: str) -> None:
    if action in allowed_actions(TRANSITIONS, status):
        assert next_state(TRANSITIONS, status, action) is not status
    else:
        with pytest.raises(IllegalTransition):
            next_state(TRANSITIONS, status, action)
