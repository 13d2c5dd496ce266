"""Versions: how they are made, what they are worth and until when."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from derpman.acl import documents, service
from derpman.acl.derpmap import Unfit, slots_of, to_json, validate
from derpman.acl.errors import AclExpired, AclNotFound
from derpman.acl.forms import FormName
from derpman.acl.models import AclDownload, AclLog, AclVersion
from derpman.acl.states import AclStatus
from derpman.containers import service as containers
from derpman.kit.outbox import Delivery
from derpman.kit.work import Edge
from derpman.logs.models import UserHistory
from derpman.rentals import service as rentals
from derpman.users.errors import Suspended
from tests.acl.conftest import Activate, Issue
from tests.conftest import MovableClock, Person, QueuedMail

Mails = Callable[[str], list[QueuedMail]]


def rows(edge: Edge, statement: Any) -> list[Any]:
    return edge.read(lambda work: list(work.session.scalars(statement)))


def test_first_version_names_the_three_relays_and_is_logged(
    edge: Edge, carl: Person, activate: Activate, clock: MovableClock
) -> None:
    rental = activate(carl)
    version = edge.read(service.offered, user_id=carl.id)
    assert (version.number, version.rental_id, version.status) == (1, rental.id, "current")
    assert version.expires_at == clock.now + timedelta(days=32)
    assert version.digest == hashlib.sha256(version.document.encode()).hexdigest()
    made = json.loads(version.document)
    validate(made)
    placements = edge.read(containers.placements_of, user_id=carl.id)
    assert [
        (slot.region_id, slot.address, slot.port, slot.stun_port) for slot in slots_of(made)
    ] == [(one.region_id, one.address, one.port, one.port) for one in placements]
    [log] = rows(edge, select(AclLog))
    assert (log.user_id, log.acl_version, log.reason) == (carl.id, "1", "activation")
    assert (log.ip_address, log.location, log.actor_name) == ("198.51.100.7", "内网", "carl")
    assert log.created_at == clock.now
    assert "acl.issued" in rows(edge, select(UserHistory.kind))
    assert "acl.replaced" not in rows(edge, select(Delivery.event))


def test_next_version_supersedes_the_last(
    edge: Edge, carl: Person, activate: Activate, issue: Issue, clock: MovableClock
) -> None:
    activate(carl)
    clock.advance(days=3)
    second = issue(carl)
    assert second.number == 2
    assert second.expires_at == clock.now + timedelta(days=32)
    versions = rows(edge, select(AclVersion).order_by(AclVersion.number))
    assert [one.status for one in versions] == [AclStatus.SUPERSEDED, AclStatus.CURRENT]
    assert edge.read(service.offered, user_id=carl.id).number == 2


def test_equal_relays_give_equal_bytes_in_every_process(
    edge: Edge, carl: Person, activate: Activate, issue: Issue
) -> None:
    activate(carl)
    first, second = edge.read(service.current, user_id=carl.id), issue(carl)
    assert first is not None
    assert second.document == first.document
    program = (
        "import json, sys\n"
        "from derpman.acl.derpmap import slots_of, to_json, validated\n"
        "made = validated(reversed(slots_of(json.load(sys.stdin))))\n"
        "sys.stdout.buffer.write(to_json(made))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=first.document.encode(),
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        )
        assert done.stdout.decode() == first.document


def test_customer_is_told_of_a_version_that_differs_and_of_no_other(
    edge: Edge,
    carl: Person,
    activate: Activate,
    issue: Issue,
    follow: Callable[..., None],
    mails: Mails,
) -> None:
    activate(carl)
    issue(carl)
    follow("acl.")
    assert [mail.template for mail in mails(carl.email)] == []
    version = issue(carl, ports=1)
    follow("acl.")
    follow("acl.")
    [mail] = mails(carl.email)
    assert mail.template == "acl_changed"
    assert "管理员重新生成" in mail.text
    assert f"新版本：{version.number}" in mail.text
    for slot in slots_of(json.loads(version.document)):
        assert f"{slot.address}:{slot.port}" in mail.text


def test_of_two_replacements_at_once_the_customer_is_told_of_the_last(
    carl: Person, activate: Activate, issue: Issue, follow: Callable[..., None], mails: Mails
) -> None:
    activate(carl)
    issue(carl, ports=1)
    issue(carl, ports=1, reason="a sentence of an admin")
    follow("acl.")
    [mail] = mails(carl.email)
    assert "a sentence of an admin" in mail.text


def test_version_with_faults_is_not_made(edge: Edge, carl: Person, activate: Activate) -> None:
    rental = activate(carl)

    def verb(work):
        placements = containers.placements_of(work, user_id=carl.id)
        placements[0].address = "relay.example"
        service.issue(
            work, user_id=carl.id, rental_id=rental.id, placements=placements, reason="generated"
        )

    with pytest.raises(Unfit) as caught:
        edge(verb)
    assert [fault.code for fault in caught.value.findings] == ["node.host_not_an_address"]
    assert len(rows(edge, select(AclVersion))) == 1


def test_version_is_offered_for_32_days_and_the_grace(
    edge: Edge, carl: Person, activate: Activate, clock: MovableClock
) -> None:
    activate(carl)
    made_at = clock.now
    clock.now = made_at + timedelta(days=32, microseconds=-1)
    assert edge.read(service.offered, user_id=carl.id).number == 1
    clock.now = made_at + timedelta(days=32)
    with pytest.raises(AclExpired) as caught:
        edge.read(service.offered, user_id=carl.id)
    assert caught.value.params["version"] == 1
    grace = timedelta(days=2)
    assert edge.read(service.offered, user_id=carl.id, grace=grace).number == 1
    clock.advance(days=2)
    with pytest.raises(AclExpired):
        edge.read(service.offered, user_id=carl.id, grace=grace)


def test_nothing_is_offered_after_the_rental_whether_it_was_swept_or_not(
    edge: Edge, carl: Person, activate: Activate, issue: Issue, clock: MovableClock
) -> None:
    rental = activate(carl)
    clock.now = rental.expires_at
    issue(carl)  # its own time is not over
    with pytest.raises(AclNotFound):
        edge.read(service.offered, user_id=carl.id)
    edge(rentals.end_expired, rental_id=rental.id)
    with pytest.raises(AclNotFound):
        edge.read(service.offered, user_id=carl.id)
    versions = rows(edge, select(AclVersion))
    assert {one.status for one in versions} == {AclStatus.ENDED}
    assert {one.ended_at for one in versions} == {clock.now}
    assert rows(edge, select(UserHistory.kind)).count("acl.ended") == 1


def test_versions_count_on_over_rentals_and_the_first_of_a_new_one_replaces_none(
    edge: Edge, clock: MovableClock, carl: Person, activate: Activate
) -> None:
    rental = activate(carl)
    edge(rentals.end, rental_id=rental.id, reason="test")
    clock.advance(days=7)
    activate(carl)
    assert edge.read(service.offered, user_id=carl.id).number == 2
    assert "acl.replaced" not in rows(edge, select(Delivery.event))


def test_suspended_user_is_offered_nothing(edge: Edge, carl: Person, activate: Activate) -> None:
    activate(carl)
    edge(rentals.suspend_user, user_id=carl.id, reason="abuse")
    with pytest.raises(Suspended):
        edge.read(service.offered, user_id=carl.id)
    edge(rentals.reinstate_user, user_id=carl.id)
    assert edge.read(service.offered, user_id=carl.id).number == 1


def test_versions_made_at_once_have_numbers_of_their_own(
    edge: Edge, carl: Person, activate: Activate, issue: Issue
) -> None:
    activate(carl)
    threads = [threading.Thread(target=issue, args=(carl,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = rows(edge, select(AclVersion).order_by(AclVersion.number))
    assert [one.number for one in versions] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.status for one in versions] == [*["superseded"] * 6, "current"]


@pytest.mark.parametrize(
    "form", [FormName.SNIPPET, FormName.HEADSCALE_YAML, FormName.HEADSCALE_JSON]
)
def test_download_is_logged_in_few_statements(
    edge: Edge,
    edge_of: Callable[..., Edge],
    carl: Person,
    activate: Activate,
    statements: list[str],
    form: FormName,
) -> None:
    activate(carl)
    statements.clear()
    made = edge_of(carl.actor)(documents.download, form=form)
    assert len(statements) == 3, statements  # the user, his version, the log
    assert made.body
    [log] = rows(edge, select(AclDownload))
    assert (log.username, log.acl_version, log.form) == ("carl", "1", form)


@pytest.mark.parametrize("form", [FormName.POLICY, FormName.HEADSCALE_ADDRESS])
def test_what_is_no_file_cannot_be_downloaded(
    edge_of: Callable[..., Edge], carl: Person, activate: Activate, form: FormName
) -> None:
    activate(carl)
    with pytest.raises(ValueError, match="no file"):
        edge_of(carl.actor)(documents.download, form=form)


def test_address_form_is_the_stored_document(
    edge: Edge, edge_of: Callable[..., Edge], carl: Person, activate: Activate
) -> None:
    activate(carl)
    made = edge_of(carl.actor)(documents.download, form=FormName.HEADSCALE_JSON)
    version = edge.read(service.offered, user_id=carl.id)
    assert made.body == version.document.encode() == to_json(json.loads(made.body))
    assert made.etag == f'"{version.digest}"'
