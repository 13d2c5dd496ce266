"""Mails for tests, and many hands at once."""

import threading
from collections.abc import Callable

from derpman.kit.work import Edge
from derpman.notifications import service
from derpman.notifications.models import Mail
from derpman.notifications.service import Letter

CODE = "493817"


def queue(edge: Edge, address: str = "carl@example.com", **more) -> Mail:
    """Queue a mail with a code."""
    mail = edge(
        service.queue_mail,
        template="verify_address",
        address=address,
        locale="en",
        params={"minutes": 30},
        secrets={"code": CODE, "token": "t0ken"},
        **more,
    )
    assert mail is not None
    return mail


def stored(edge: Edge, mail_id: int) -> Mail:
    return edge.read(service.mail_of, mail_id)


def try_lease(edge: Edge, domain: str = "derp.example") -> Letter | None:
    return edge(service.lease_next, domain=domain)


def lease(edge: Edge, domain: str = "derp.example") -> Letter:
    letter = try_lease(edge, domain)
    assert letter is not None
    return letter


def defer(edge: Edge, letter: Letter, reason: str = "451 later") -> None:
    edge(service.defer, mail_id=letter.mail_id, attempt=letter.attempt, reason=reason)


def refuse(edge: Edge, letter: Letter, reason: str = "550 no") -> None:
    edge(service.refuse, mail_id=letter.mail_id, attempt=letter.attempt, reason=reason)


def put_back(edge: Edge, letter: Letter, reason: str = "nobody listens") -> None:
    edge(service.put_back, mail_id=letter.mail_id, attempt=letter.attempt, reason=reason)


def at_once(count: int, act: Callable[[], object]) -> None:
    """Run `act` on so many threads, begun together; raise what any of them raised."""
    gate = threading.Barrier(count)
    errors: list[BaseException] = []

    def one() -> None:
        gate.wait()
        try:
            act()
        except BaseException as error:  # noqa: BLE001 # handed to the test
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
