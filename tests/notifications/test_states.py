"""A mail's moves."""

import pytest

from derpman.kit.states import IllegalTransition, allowed_actions, next_state
from derpman.notifications.states import TRANSITIONS, MailStatus


def test_sent_is_the_end():
    assert allowed_actions(TRANSITIONS, MailStatus.SENT) == []


def test_only_a_refused_mail_is_queued_again():
    for status in MailStatus:
        if status is MailStatus.REFUSED:
            assert next_state(TRANSITIONS, status, "requeue") is MailStatus.QUEUED
        else:
            with pytest.raises(IllegalTransition):
                next_state(TRANSITIONS, status, "requeue")
