"""The ground of the system tests as fixtures; what this machine cannot give is skipped by name."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest

from tests.system.fleet import Fleet
from tests.system.processes import Impossible
from tests.system.services import MariaDB, Postgres, Redis
from tests.system.smtp import Catcher
from tests.system.tailnet import Control

T = TypeVar("T")


def _lent(make: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    try:
        thing = make()
    except Impossible as error:
        pytest.skip(str(error))
    with thing as entered:
        yield entered


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Four servers and four clients. A test leaves them as it found them."""
    yield from _lent(Fleet)


@pytest.fixture
def control(fleet: Fleet) -> Iterator[Control]:
    """A tailnet of its own for each test, without relays at first."""
    control = Control(fleet.ctl)
    yield control
    control.stop()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    yield from _lent(MariaDB)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    yield from _lent(Postgres)


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    yield from _lent(Redis)


@pytest.fixture
def mail() -> Iterator[Catcher]:
    with Catcher() as catcher:
        yield catcher
