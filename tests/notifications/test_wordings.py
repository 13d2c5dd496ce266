"""Templates that operators write: judged before they are kept, and never in a mail's way."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from sqlalchemy import select

from derpman.kit.work import Edge
from derpman.notifications import rendering, service, wordings
from derpman.notifications.errors import (
    TemplateBuiltIn,
    TemplateChanged,
    TemplateNotFound,
    TemplateWrong,
)
from derpman.notifications.models import Mail, MailTemplate
from derpman.notifications.rendering import LOCALES, TEMPLATES, Wording
from derpman.notifications.samples import SAMPLES
from tests.notifications.queueing import at_once, queue

NAME, LOCALE = "user_suspended", "en"
BOTH = "{{ code }} {{ token }}"
OURS = Wording("Stopped, {{ username }}", "You were stopped: {{ reason }}", "<p>{{ reason }}</p>")


def edit(edge: Edge, wording: Wording = OURS, *, name: str = NAME, version: int = 0):
    return edge(wordings.edit, name=name, locale=LOCALE, wording=wording, version=version)


def suspend(edge: Edge, reason: str = "unpaid <1>") -> Mail:
    mail = edge(
        service.queue_mail,
        template=NAME,
        address="carl@example.com",
        locale=LOCALE,
        params={"username": "carl", "reason": reason},
    )
    assert mail is not None
    return mail


@pytest.mark.parametrize(("name", "locale"), list(product(TEMPLATES, LOCALES)))
def test_every_built_in_wording_may_be_taken_and_edited(name: str, locale: str):
    assert TEMPLATES[name].params <= SAMPLES.keys()
    built_in = rendering.built_in(name, locale)
    assert wordings.preview(name=name, locale=locale, wording=built_in).subject


def test_mails_have_the_operators_words_from_then_on(edge: Edge):
    before = suspend(edge)
    edition = edit(edge)
    assert edition.version == 1
    after = suspend(edge)
    assert before.subject != after.subject == "Stopped, carl"
    assert after.text == "You were stopped: unpaid <1>\n"
    assert "<p>unpaid &lt;1&gt;</p>" in after.html
    zh = edge.read(wordings.render, NAME, "zh-CN", {"username": "carl", "reason": "r"})
    assert "Stopped" not in zh.subject


def test_reset_brings_the_built_in_wording_back(edge: Edge):
    built_in = suspend(edge).text
    edit(edge)
    edge(wordings.reset, name=NAME, locale=LOCALE, version=1)
    assert suspend(edge).text == built_in
    with pytest.raises(TemplateBuiltIn):
        edge(wordings.reset, name=NAME, locale=LOCALE, version=2)
    history = edge.read(wordings.history, name=NAME, locale=LOCALE)
    assert [(row.version, row.subject) for row in history] == [(2, None), (1, OURS.subject)]


def test_of_two_editors_one_is_told(edge: Edge):
    edit(edge)
    with pytest.raises(TemplateChanged) as told:
        edit(edge)
    assert told.value.params == {"version": 1}


def test_of_two_editors_at_once_one_is_told(edge: Edge):
    told = []

    def act() -> None:
        try:
            edit(edge)
        except TemplateChanged:
            told.append(1)

    at_once(4, act)
    assert len(told) == 3
    with edge.sessions.reading() as session:
        assert session.scalars(select(MailTemplate.version)).all() == [1]


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("{{ nobody }}", "text"),
        ("{{ username", "text"),
        ("{% if reason %}{{ nobody }}{% endif %}", "text"),
        ("{{ username.__class__ }}", "text"),
        ("{{ username['__class__'] }}", "text"),
        ("{{ username.format() }}", "text"),
        ("{{ ''.join(username) }}", "text"),
        ("{{ range(99999999) }}", "text"),
        ("{{ lipsum() }}", "text"),
        ("{{ cycler('a') }}", "text"),
        ("{{ self }}", "text"),
        ("{{ config }}", "text"),
        ("{{ 'a' * 999999999 }}", "text"),
        ("{{ 9 ** 99999999 }}", "text"),
        ("{{ '%999999999d' % 1 }}", "text"),
        ("{{ username|center(999999999) }}", "text"),
        ("{{ username|attr('__class__') }}", "text"),
        ("{{ username[0:1] }}", "text"),
        ("{{ username|safe }}", "html"),
        ("{% autoescape false %}{{ username }}{% endautoescape %}", "html"),
        ("{% for a in username %}{% for b in username %}x{% endfor %}{% endfor %}", "text"),
        ("{% for a in [1, 2] %}x{% endfor %}", "text"),
        ("{% for a in username recursive %}{{ loop(a) }}{% endfor %}", "text"),
        ("{% set a = 1 %}", "text"),
        ("{% macro a() %}{% endmacro %}", "text"),
        ("{% import 'layout.txt.j2' as a %}", "text"),
        ("{% include '/etc/passwd' %}", "text"),
        ("{% include username %}", "text"),
        ("{% include 'relays.en.txt.j2' %}", "html"),
        ("{% extends 'user_suspended.en.txt.j2' %}", "text"),
        ("{% block body %}{% endblock %}{% block body %}{% endblock %}", "text"),
        ("{% include 'relays.en.txt.j2' %}", "text"),  # this mail knows no relays
        ("{{ when(username) }}", "text"),
        ("{{ when() }}", "text"),
        ("{% if reason > 3 %}x{% endif %}", "text"),
        ("\ue000code\ue001", "text"),
    ],
)  # fmt: skip
def test_what_templates_may_not_do_is_told(edge: Edge, source: str, part: str):
    with pytest.raises(TemplateWrong) as told:
        edit(edge, replace(OURS, **{part: source}))
    assert told.value.params["part"] == part
    assert told.value.params["reason"]
    assert edge.read(wordings.current, name=NAME, locale=LOCALE).version == 0


@pytest.mark.parametrize(
    "source",
    [
        "{{ reason|upper|default('-') }}",
        "{% if reason is none %}-{% else %}{{ reason }}{% endif %}",
        "{{ reason or 'no reason' }}",
        "{{ {'because': '原因'}['because'] }}",
        "{% extends 'layout.txt.j2' %}{% block body %}{{ reason }}{% endblock %}",
        "{{ site_url }} {{ locale }}",
    ],
)
def test_what_templates_may_do(edge: Edge, source: str):
    assert edit(edge, replace(OURS, text=source)).version == 1


def test_loops_go_over_what_the_mail_knows():
    line = "{{ loop.index }} {{ relay.address }} {{ relay['port'] }}\n"
    source = f"{{% for relay in relays %}}{line}{{% endfor %}}"
    wording = Wording("s", source, f"<p>{source}</p>")
    shown = wordings.preview(name="acl_changed", locale="en", wording=wording)
    assert shown.text == "1 203.0.113.1 20001\n2 203.0.113.1 20002\n3 203.0.113.1 20003\n"


@pytest.mark.parametrize(
    ("wording", "part"),
    [
        (Wording("{{ code }}", BOTH, BOTH), "subject"),
        (Wording("s", "{{ code }}", BOTH), "text"),
        (Wording("s", BOTH, "{{ token }}"), "html"),
        (Wording("{% if minutes == 1 %}s{% endif %}", BOTH, BOTH), "subject"),
    ],
)  # fmt: skip
def test_codes_stand_in_the_bodies_and_only_there(wording: Wording, part: str):
    with pytest.raises(TemplateWrong) as told:
        wordings.preview(name="verify_address", locale="en", wording=wording)
    assert told.value.params["part"] == part


def test_codes_stay_sealed_in_the_operators_words(edge: Edge):
    wording = Wording("s", "enter {{ code }} or {{ token }}", "<b>{{ code }}</b>{{ token }}")
    edit(edge, wording, name="verify_address")
    mail = queue(edge)
    assert mail.text == "enter \ue000code\ue001 or \ue000token\ue001\n"


def test_unknown_ones_are_not_found(edge: Edge):
    with pytest.raises(TemplateNotFound):
        edit(edge, name="nothing")
    with pytest.raises(TemplateNotFound):
        edge.read(wordings.current, name=NAME, locale="fr")


def test_a_wording_that_a_release_broke_gives_way(edge: Edge):
    """As after an upgrade in which the mail no longer knows a fact."""
    edit(edge)
    with edge.sessions.writing() as session, session.begin():
        row = session.scalars(select(MailTemplate)).one()
        row.text = "{{ gone }}"
    assert "{{" not in suspend(edge).text
    edition = edge.read(wordings.current, name=NAME, locale=LOCALE)
    assert "gone" in (wordings.problem_of(edition) or "")


def test_only_super_admins_edit(client, root, person, eve):
    from derpman.kit.work import Role

    admin = person("anna", Role.ADMIN)
    path = f"/api/notifications/templates/{NAME}/{LOCALE}"
    body = {"subject": OURS.subject, "text": OURS.text, "html": OURS.html}
    for method, where in (
        ("GET", "/api/notifications/templates"),
        ("GET", path),
        ("GET", f"{path}/versions/1"),
        ("POST", path),
        ("POST", f"{path}/preview"),
        ("POST", f"{path}/reset"),
    ):
        for somebody in (admin, eve):
            refused = client.request(method, where, json=body, headers=somebody.headers)
            assert refused.status_code == 403


def test_over_http(client, root):
    path = f"/api/notifications/templates/{NAME}/{LOCALE}"
    body = {"subject": OURS.subject, "text": OURS.text, "html": OURS.html}
    listed = client.get("/api/notifications/templates", headers=root.headers).json()["templates"]
    assert len(listed) == len(TEMPLATES) * 2
    shown = client.post(f"{path}/preview", json=body, headers=root.headers).json()["preview"]
    assert shown["subject"] == "Stopped, carl<b>"
    edited = client.post(path, json={**body, "version": 0}, headers=root.headers).json()["template"]
    assert (edited["version"], edited["is_edited"], edited["editor"]) == (1, True, "root_")
    assert edited["wording"] == body
    assert edited["params"] == ["locale", "reason", "site_url", "username"]
    assert edited["allowed_actions"] == ["edit", "reset"]
    stale = client.post(path, json={**body, "version": 0}, headers=root.headers)
    assert stale.status_code == 409
    wrong = client.post(path, json={**body, "text": "{{ x }}", "version": 1}, headers=root.headers)
    assert wrong.status_code == 422
    assert wrong.json()["error"]["code"] == "notifications.template_wrong"
    reset = client.post(f"{path}/reset", json={"version": 1}, headers=root.headers).json()
    assert reset["template"]["wording"] == reset["template"]["built_in"]
    assert [line["version"] for line in reset["template"]["history"]] == [2, 1]
    old = client.get(f"{path}/versions/1", headers=root.headers).json()
    assert old["wording"] == body
    assert client.get(f"{path}/versions/9", headers=root.headers).status_code == 404
    assert client.get("/api/notifications/templates/x/en", headers=root.headers).status_code == 404


def test_a_preview_hides_the_places_of_codes(client, root):
    body = {"subject": "s", "text": "{{ code }}{{ token }}", "html": "<p>{{ code }}{{ token }}</p>"}
    path = "/api/notifications/templates/verify_address/en/preview"
    shown = client.post(path, json=body, headers=root.headers).json()["preview"]
    assert shown["text"] == "••••••••\n"
