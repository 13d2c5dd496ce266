"""Every template, in every language, with exactly what it declares."""

import re
from itertools import product

import pytest
from jinja2 import UndefinedError

from derpman.notifications import rendering
from derpman.notifications.rendering import FOLDER, LOCALES, TEMPLATES, conceal, render, reveal
from derpman.notifications.samples import SAMPLES


def params_of(name: str) -> dict:
    return {param: SAMPLES[param] for param in TEMPLATES[name].params}


@pytest.mark.parametrize(("name", "locale"), list(product(TEMPLATES, LOCALES)))
def test_every_template_renders_with_what_it_declares(name: str, locale: str):
    mail = render(name, locale, params_of(name))
    assert mail.locale == locale
    assert mail.subject
    assert "\n" not in mail.subject
    assert len(mail.text) > 40
    assert f'lang="{locale}"' in mail.html
    assert "<style" not in mail.html, "mail readers drop style sheets"
    for body in (mail.text, mail.html):
        assert "{{" not in body
        assert "None" not in body
        for secret in TEMPLATES[name].secrets:
            assert f"\ue000{secret}\ue001" in body


@pytest.mark.parametrize(("name", "locale"), list(product(TEMPLATES, LOCALES)))
def test_every_declared_name_is_used(name: str, locale: str):
    marks = dict.fromkeys((*TEMPLATES[name].secrets, "site_url"), "x")
    for missing in TEMPLATES[name].params - {"username"}:  # the layout greets only whom it knows
        context = {**params_of(name), **marks, "when": str, "locale": locale}
        del context[missing]
        with pytest.raises(UndefinedError):
            write_all(name, locale, context)


def write_all(name: str, locale: str, context: dict) -> None:
    for part in ("subject", "txt", "html"):
        template = rendering._environment().get_template(f"{name}.{locale}.{part}.j2")
        template.render(context)


def test_no_template_file_is_without_an_entry():
    kinds = {"subject", "txt", "html"}
    wanted = {f"{n}.{lo}.{k}.j2" for n, lo, k in product(TEMPLATES, LOCALES, kinds)}
    shared = {"layout.html.j2", "layout.txt.j2"}
    shared |= {f"relays.{lo}.{k}.j2" for lo, k in product(LOCALES, ("txt", "html"))}
    assert {path.name for path in FOLDER.iterdir()} == wanted | shared


@pytest.mark.parametrize("name", TEMPLATES)
def test_languages_say_the_same_things(name: str):
    """Both tell the same links, codes, times and facts, so that none was forgotten."""
    told = {
        locale: [
            sorted(re.findall(r"\{\{ ?([^}]*?) ?\}\}", path.read_text()))
            for path in sorted(FOLDER.glob(f"{name}.{locale}.*.j2"))
        ]
        for locale in LOCALES
    }
    if name != "alert_raised":  # Chinese translates the severity
        assert told["zh-CN"] == told["en"]


@pytest.mark.parametrize(
    ("asked", "got"), [("zh-CN", "zh-CN"), ("zh-Hans", "zh-CN"), ("en-GB", "en"), ("fr", "en")]
)
def test_nearest_locale(asked: str, got: str):
    assert render("user_reinstated", asked, {"username": "carl"}).locale == got


def test_wrong_params_are_refused():
    with pytest.raises(ValueError, match="username"):
        render("user_reinstated", "en", {})
    with pytest.raises(ValueError, match="other"):
        render("user_reinstated", "en", {"username": "carl", "other": 1})


def test_pages_are_escaped_and_texts_are_not():
    mail = render("plain", "en", params_of("plain"))
    assert mail.subject == "News & more"
    assert "<script>" in mail.text
    assert "<script>" not in mail.html
    assert "Hello carl&lt;b&gt;" in mail.html


def test_secrets_are_put_in_late_and_shown_as_dots():
    mail = render("verify_address", "en", {"minutes": 30})
    secrets = {"code": "123456", "token": 'a"<b', "site_url": "https://derp.example"}
    assert "    123456\n" in reveal(mail.text, secrets)
    assert 'https://derp.example/verify#token=a"<b' in reveal(mail.text, secrets)
    page = reveal(mail.html, secrets, escape=True)
    assert 'href="https://derp.example/verify#token=a&quot;&lt;b"' in page
    assert "••••" in conceal(mail.text)
    assert "\ue000" not in conceal(mail.text) + conceal(mail.html)


def test_what_only_looks_like_a_mark_stays():
    mail = render("plain", "en", {"username": "c", "subject": "s", "message": "\ue000code\ue001"})
    assert "\ue000code\ue001" in reveal(mail.text, {"site_url": "https://derp.example"})


def test_times_are_shown_in_beijing():
    mail = render("rental_ended", "zh-CN", params_of("rental_ended"))
    assert "2026-03-31 16:00（北京时间）" in mail.text
