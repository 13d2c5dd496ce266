"""Links: made, tested, replaced and removed; how they fare; and that no secret comes out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from derpman.kit.outgoing import Outgoing
from derpman.kit.work import Edge
from derpman.tailnets import service
from derpman.tailnets.control import ControlFailure, Trouble
from derpman.tailnets.errors import LinkExists, LinkNotFound, LinkWrong, PushNeedsTailscale
from derpman.tailnets.service import LinkFacts
from derpman.tailnets.states import LinkKind, LinkStatus
from derpman.tailnets.texts import TEXTS, text_of
from tests.conftest import MovableClock, Person
from tests.system.emulators.api_server import Fault, Reply
from tests.system.emulators.headscale import Headscale
from tests.system.emulators.tailscale import Tailscale
from tests.tailnets.conftest import ANY, sealed_secret

Link = Callable[..., int]
LinkNow = Callable[[], service.TailnetLink]


def facts_of(scale: Headscale, **more) -> LinkFacts:
    return LinkFacts(kind=LinkKind.HEADSCALE, address=scale.url, secret=scale.key, **more)


def test_a_new_link_is_tested_at_once(link: Link, follow, link_now: LinkNow, clock) -> None:
    link()
    assert link_now().status is LinkStatus.TESTING
    follow("tailnets.")
    assert link_now().status is LinkStatus.WORKING
    assert link_now().succeeded_at == clock.now


def test_testing_reads_and_never_writes(
    link: Link, follow, there: Tailscale, link_now: LinkNow
) -> None:
    link()
    follow("tailnets.")
    assert there.written == []
    assert {path.partition(" ")[0] for path in there.paths()[1:]} == {"GET"}


@pytest.mark.parametrize(
    ("scopes", "wants", "missing"),
    [
        ("policy_file", {"wants_push": True, "wants_devices": False}, None),
        ("devices:core:read", {"wants_push": False, "wants_devices": True}, None),
        ("devices:core:read", {"wants_push": True, "wants_devices": True}, "policy_file"),
        ("policy_file:read devices:core:read", {"wants_push": True}, "policy_file"),
        ("policy_file", {"wants_push": True, "wants_devices": True}, "devices:core:read"),
        ("all", {"wants_push": True, "wants_devices": True}, None),
    ],
)
def test_a_scope_that_is_missing_is_named(
    link: Link, follow, there: Tailscale, link_now: LinkNow, scopes: str, wants: dict, missing
) -> None:
    there.scopes = scopes
    link(**wants)
    follow("tailnets.")
    now = link_now()
    if missing is None:
        assert now.status is LinkStatus.WORKING
    else:
        assert (now.status, now.error) == (LinkStatus.REFUSED, Trouble.SCOPE_MISSING.value)
        assert json.loads(now.error_params or "") == {"scope": missing}


def test_a_refused_link_is_mailed_once(
    link: Link, do: Edge, follow, there: Tailscale, link_now: LinkNow, mails, carl: Person
) -> None:
    link(secret="tskey-client-wrong")
    follow("tailnets.")
    assert link_now().status is LinkStatus.REFUSED
    do(service.retest)
    follow("tailnets.")
    [mail] = mails(carl.email)
    assert mail.template == "link_refused"
    assert "Trust credentials" in mail.text
    facts = LinkFacts(
        kind=LinkKind.TAILSCALE, client_id=there.client_id, secret=there.client_secret
    )
    do(service.change, facts=facts, outgoing=ANY)
    follow("tailnets.")
    assert link_now().status is LinkStatus.WORKING
    assert link_now().error is None


def test_one_scope_that_works_does_not_hide_another_that_is_missing(
    link: Link, edge: Edge, link_now: LinkNow
) -> None:
    link_id = link()
    failure = ControlFailure(Trouble.SCOPE_MISSING, scope="policy_file")
    edge(service.record_failure, link_id=link_id, generation=1, failure=failure)
    edge(service.record_success, link_id=link_id, generation=1, scope="devices:core:read")
    assert link_now().error == "link.scope_missing"
    edge(service.record_success, link_id=link_id, generation=1, scope="policy_file")
    assert link_now().error is None


def test_pauses_grow_and_end_with_a_success(link: Link, edge: Edge, link_now: LinkNow) -> None:
    link_id = link()
    failure = ControlFailure(Trouble.SERVER_ERROR, status=502)
    pauses = [
        edge(service.record_failure, link_id=link_id, generation=1, failure=failure)
        for _ in range(12)
    ]
    assert pauses[:3] == [timedelta(seconds=30 * 2**n) for n in range(3)]
    assert pauses[-1] == timedelta(hours=1)
    assert link_now().status is LinkStatus.TROUBLED
    edge(service.record_success, link_id=link_id, generation=1)
    assert edge(
        service.record_failure, link_id=link_id, generation=1, failure=failure
    ) == timedelta(seconds=30)


def test_what_was_learnt_with_another_credential_is_not_written_down(
    link: Link, do: Edge, edge: Edge, there: Tailscale, link_now: LinkNow
) -> None:
    link_id = link()
    facts = LinkFacts(
        kind=LinkKind.TAILSCALE, client_id=there.client_id, secret=there.client_secret
    )
    do(service.change, facts=facts, outgoing=ANY)
    failure = ControlFailure(Trouble.CREDENTIAL_REFUSED)
    edge(service.record_failure, link_id=link_id, generation=1, failure=failure)
    assert link_now().status is LinkStatus.TESTING


def test_a_test_that_is_delivered_twice_asks_once(
    link: Link, follow, system, there: Tailscale, link_now: LinkNow
) -> None:
    link()
    follow("tailnets.")
    asked = len(there.asked)
    from derpman.worker import celery_app

    celery_app(system).tasks["tailnets.test_link"](1)
    assert len(there.asked) == asked


def test_there_is_one_link(link: Link, do: Edge) -> None:
    link()
    with pytest.raises(LinkExists):
        link()
    do(service.remove)
    with pytest.raises(LinkNotFound):
        do(service.remove)
    link()


def test_headscale_is_linked_by_its_key(
    do: Edge, follow, scale: Headscale, link_now: LinkNow
) -> None:
    do(service.create, facts=facts_of(scale), outgoing=ANY)
    follow("tailnets.")
    assert link_now().status is LinkStatus.WORKING
    scale.key = "hskey.rotated"
    do(service.retest)
    follow("tailnets.")
    assert (link_now().status, link_now().error) == (LinkStatus.REFUSED, "link.key_refused")


def test_nothing_is_pushed_into_headscale(do: Edge, scale: Headscale) -> None:
    with pytest.raises(PushNeedsTailscale):
        do(service.create, facts=facts_of(scale, wants_push=True), outgoing=ANY)


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"client_id": "k", "secret": None}, "secret"),
        ({"client_id": "", "secret": "s"}, "client_id"),
        ({"client_id": "a b", "secret": "s"}, "client_id"),
        ({"client_id": "k", "secret": "s\r\nX: y"}, "secret"),
        ({"client_id": "k", "secret": "秘密"}, "secret"),
        ({"client_id": "k", "secret": "s", "tailnet": "../-"}, "tailnet"),
        ({"client_id": "k", "secret": "s", "address": "https://x.example"}, "address"),
    ],
)
def test_what_cannot_be_right_is_refused(do: Edge, facts: dict, field: str) -> None:
    with pytest.raises(LinkWrong) as refused:
        do(service.create, facts=LinkFacts(kind=LinkKind.TAILSCALE, **facts), outgoing=ANY)
    assert refused.value.params["field"] == field


@pytest.mark.parametrize(
    "address",
    [
        "",
        "headscale.example",
        "ftp://headscale.example",
        "https://user:word@headscale.example",
        "https://headscale.example?x=1",
        "https://headscale.example/#x",
        "http://headscale.example",  # the key would go in clear
        "https://" + "x" * 600 + ".example",
    ],
)
def test_addresses_of_headscale_are_looked_at(do: Edge, address: str) -> None:
    facts = LinkFacts(kind=LinkKind.HEADSCALE, address=address, secret="hskey.x")
    with pytest.raises(LinkWrong):
        do(service.create, facts=facts, outgoing=Outgoing())


def test_addresses_inside_are_refused_when_they_are_asked(
    do: Edge, edge: Edge, scale: Headscale, add_server: Callable[..., int]
) -> None:
    add_server(ip="127.0.0.1", public_ip="127.0.0.1", present_ip="127.0.0.1")
    link = do(service.create, facts=facts_of(scale), outgoing=ANY)
    access = edge.read(service.access, link_id=link.id)
    assert access is not None
    with pytest.raises(ControlFailure) as refused:  # the operator's own server, allowed or not
        service.test(access.connect(ANY, ""), access)
    assert refused.value.trouble is Trouble.ADDRESS_REFUSED
    with pytest.raises(ControlFailure) as refused:
        service.test(access.connect(Outgoing(), ""), access)
    assert refused.value.trouble is Trouble.ADDRESS_REFUSED
    assert scale.asked == []


def test_a_secret_is_not_sent_where_it_was_not_meant_to_go(
    do: Edge, scale: Headscale, link_now: LinkNow
) -> None:
    do(service.create, facts=facts_of(scale), outgoing=ANY)
    elsewhere = LinkFacts(kind=LinkKind.HEADSCALE, address="https://evil.example")
    with pytest.raises(LinkWrong):
        do(service.change, facts=elsewhere, outgoing=ANY)
    same = LinkFacts(kind=LinkKind.HEADSCALE, address=scale.url + "/", tailnet="carl")
    do(service.change, facts=same, outgoing=ANY)
    assert (link_now().address, link_now().tailnet) == (scale.url, "carl")


def test_secrets_stay_inside(
    link: Link,
    do: Edge,
    edge: Edge,
    follow,
    there: Tailscale,
    system,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    message = f"refused {there.client_secret}"
    there.faults.append(Fault(reply=Reply(500, {"message": message})))
    link_id = link()
    follow("tailnets.")
    do(service.retest)
    follow("tailnets.")
    secrets = [there.client_secret, *there.tokens]
    with system.engine.connect() as connection:
        from derpman.kit.db import Base

        stored = "".join(
            str(tuple(row))
            for table in Base.metadata.sorted_tables
            for row in connection.execute(text(f"SELECT * FROM {table.name}"))  # noqa: S608 # ours
        )
    heard = stored + caplog.text + "".join(capsys.readouterr())
    assert len(secrets) > 1
    assert not [secret for secret in secrets if secret in heard]
    assert edge.vault.open(sealed_secret(edge, link_id)) == there.client_secret
    access = edge.read(service.access, link_id=link_id)
    assert access is not None
    assert there.client_secret not in repr(access) + repr(access.connect(ANY, there.url))


def test_a_key_that_was_lost_is_told_of(link: Link, edge: Edge, follow, link_now: LinkNow) -> None:
    link_id = link()

    def spoil(work) -> None:
        work.session.get_one(service.TailnetLink, link_id).secret = "gAAAA-of-another-vault"

    edge(spoil)
    follow("tailnets.")
    assert link_now().error == "link.secret_lost"


@pytest.mark.parametrize("code", list(Trouble))
def test_every_trouble_has_words_in_both_languages(code: Trouble) -> None:
    assert set(TEXTS) == set(Trouble)
    for locale in ("zh-CN", "en"):
        shown = text_of(code, None, locale)
        assert shown
        assert "{" not in shown
    assert not any("\u4e00" <= letter <= "\u9fff" for letter in text_of(code, None, "en"))


def test_who_is_gone_leaves_no_credential(
    link: Link, edge: Edge, carl: Person, clock: MovableClock
) -> None:
    link()
    edge(service.forget, user_id=carl.id)
    assert edge.read(service.find, user_id=carl.id) is None
    edge(service.forget, user_id=carl.id)
