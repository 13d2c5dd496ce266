"""What the logs of our processes must not say."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from derpman.kit import journal
from derpman.kit.work import Edge


@pytest.fixture
def restored() -> Iterator[None]:
    """Give logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_tells_where_and_no_values(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    journal.configure(level="INFO", as_json=as_json, process="test")

    def fail(password: str) -> None:
        assert password
        raise LookupError("no such thing")

    try:
        fail("esroh-tcerroc"[::-1])  # so that the line itself does not say it
    except LookupError:
        structlog.get_logger("test").exception("it failed")
    written = capsys.readouterr().err
    assert "LookupError" in written
    assert "test_journal" in written
    assert "correct-horse" not in written


def test_an_error_of_the_database_tells_no_values(edge: Edge) -> None:
    with pytest.raises(SQLAlchemyError) as failed:
        edge(lambda work: work.session.execute(text("SELECT :x FROM nowhere"), {"x": "correct"}))
    assert "nowhere" in str(failed.value)
    assert "correct" not in str(failed.value)
