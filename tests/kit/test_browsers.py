from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derpman.kit.browsers import Browser, browser_of

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name", "system"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME}", "Chrome 130", "Windows 10/11"),
        (f"Mozilla/5.0 (Windows NT 10.0) {CHROME} Edg/130.0.0.0", "Edge 130", "Windows 10/11"),
        (f"Mozilla/5.0 (Windows NT 6.1) {CHROME}", "Chrome 130", "Windows 7"),
        (f"Mozilla/5.0 (Linux; Android 14; SM-S9180) {CHROME}", "Chrome 130", "Android 14"),
        ("Mozilla/5.0 (X11; Ubuntu; rv:132.0) Gecko/2010 Firefox/132.0", "Firefox 132", "Ubuntu"),
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI} Version/17.4 Safari/605.1",
            "Safari 17",
            "macOS",
        ),
        (
            f"Mozilla/5.0 (iPhone; iPhone OS 17_5 like Mac OS X) {SAFARI} MicroMessenger/8.0.49",
            "WeChat Browser 8",
            "iOS 17",
        ),
        ("curl/8.5.0", "curl 8", ""),
        ("Go-http-client/1.1", "Go-http-client 1", ""),
        ("derpman/1.2 (Linux)", "derpman 1", "Linux"),
        ("nothing known", "", ""),
        ("", "", ""),
        (None, "", ""),
    ],
)
def test_browser_and_system_are_named_in_short(user_agent: str | None, name: str, system: str):
    assert browser_of(user_agent) == Browser(name, system)


def test_a_long_header_is_read_in_part():
    padded = "x" * 512 + "(Windows NT 6.1) Chrome/130.0.0.0"
    assert browser_of(padded) == Browser("", "")


@given(
    st.text(max_size=700) | st.text(alphabet="Mozila/5.0 (;)Chrome\n\x00").map("Chrome/1".__add__)
)
def test_any_header_gives_something_short_and_printable(user_agent: str):
    found = browser_of(user_agent)
    for text in (found.name, found.system):
        assert len(text) <= 64
        assert text.isprintable()
