"""What may be a username, an address, a password."""

from __future__ import annotations

import pytest

from derpman.users import policy
from derpman.users.errors import EmailRefused, PasswordRefused, UsernameRefused


@pytest.mark.parametrize(
    ("typed", "text", "key"),
    [
        ("Carl", "Carl", "carl"),
        (" carl.x_y-9 ", "carl.x_y-9", "carl.x_y-9"),
        ("王小明", "王小明", "王小明"),
        ("Ｃａｒｌ１", "Carl1", "carl1"),  # full-width forms are the same letters
        ("𠮷野家", "𠮷野家", "𠮷野家"),
    ],
)
def test_a_username_is_kept_as_written_and_unique_without_case(
    typed: str, text: str, key: str
) -> None:
    assert policy.username(typed) == policy.Name(text, key)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ab",
        "a" * 33,
        "a b c",
        "carl\u200b",  # zero width
        "c\u0430rl",  # Cyrillic а
        "\u202ecarl",  # right to left
        "ca\u0301rl",
        "carl\n",
        "carl@home",
        "_carl",
        "-carl",
        "carl丨",  # a bar that passes for l
        "<b>carl",
        "ⅽarl\u3164",  # Hangul filler
        "カール",
        "\ud800abc",
    ],
)
def test_a_username_that_could_pass_for_another_is_refused(typed: str) -> None:
    if typed == "carl\n":
        assert policy.username(typed).text == "carl"  # the edges are trimmed
        return
    with pytest.raises(UsernameRefused):
        policy.username(typed)


@pytest.mark.parametrize(
    "typed", ["admin", "Adm1n", "r00t", "root_", "s.y.s.t.e.m", "管理员", "ADMIN"]
)
def test_the_houses_own_names_are_reserved(typed: str) -> None:
    assert policy.is_reserved(policy.username(typed))


@pytest.mark.parametrize("typed", ["carl", "rooty", "王系统", "1234567"])
def test_other_names_are_not(typed: str) -> None:
    assert not policy.is_reserved(policy.username(typed))


def test_an_address_is_unique_without_case() -> None:
    assert policy.email(" Carl@Example.COM ") == policy.Name("Carl@example.com", "carl@example.com")
    assert policy.email("a@例え.com").key == "a@xn--r8jz45g.com"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "carl",
        "carl@",
        "@example.com",
        "carl@localhost",
        "carl@exa mple.com",
        "кarl@example.com",
        "carl@example.com\nBcc: eve@example.com",
        "Carl <carl@example.com>",
        '"a b"@example.com',
        "carl@[127.0.0.1]",
        "a" * 65 + "@example.com",
        "a@" + "b" * 250 + ".com",
        "a@example.com\x00",
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(EmailRefused):
        policy.email(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "short",
        "x" * 129,
        "12345678",
        "PASSWORD",
        "aaaaaaaaaa",
        "abababab",
        "carl_the_first",
        "CARL@example.com",
    ],
)
def test_a_password_that_anybody_would_try_is_refused(typed: str) -> None:
    with pytest.raises(PasswordRefused):
        policy.password(typed, username="Carl_the_first", email="carl@example.com")


@pytest.mark.parametrize(
    "typed", ["correct horse", "x1y2z3a4", "密码密码正确的马", "p" * 64 + "ass"]
)
def test_another_is_taken_as_it_is(typed: str) -> None:
    assert policy.password(typed, username="carl", email="carl@example.com") == typed
