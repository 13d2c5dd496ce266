"""The folder broker: a message is there whole or not at all."""

from __future__ import annotations

from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

from derpman.kit import folder_queue


@pytest.fixture
def channel(tmp_path: Path) -> Any:
    folder_queue.register()
    folder = str(tmp_path)
    options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder}
    with Connection("folder://", transport_options=options) as connection:
        yield connection.channel()


def test_messages_come_as_they_were_sent_and_each_once(channel: Any):
    channel._put("celery", {"body": "one"})
    channel._put("other", {"body": "two"})
    assert channel._get("celery") == {"body": "one"}
    with pytest.raises(Empty):
        channel._get("celery")
    assert channel._get("other") == {"body": "two"}


def test_a_message_is_not_seen_before_it_is_whole(channel: Any, monkeypatch: pytest.MonkeyPatch):
    move = Path.replace

    def look_first(source: Path, target: Path) -> Path:
        with pytest.raises(Empty):
            channel._get("celery")
        return move(source, target)

    monkeypatch.setattr(Path, "replace", look_first)
    channel._put("celery", {"body": "one"})
    assert channel._get("celery") == {"body": "one"}


def test_what_was_cut_short_is_dropped_and_the_next_one_comes(channel: Any, tmp_path: Path):
    (tmp_path / "0_cut.celery.msg").write_text('{"bo')
    channel._put("celery", {"body": "one"})
    with pytest.raises(Empty):
        channel._get("celery")
    assert channel._get("celery") == {"body": "one"}
