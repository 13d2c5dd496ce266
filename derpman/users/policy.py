"""What may be a username, an address, a password."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from derpman.users.errors import EmailRefused, PasswordRefused, UsernameRefused

PASSWORD_MIN = 8
PASSWORD_MAX = 128
EMAIL_MAX = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets

HAN = "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"
STROKES = frozenset("丨丶丿乀乁亅亠冂凵匸卩厶")
"""Han characters that can pass for a Latin letter, a bracket or a bar."""
USERNAME = re.compile(rf"[A-Za-z0-9{HAN}][A-Za-z0-9._\-{HAN}]{{2,31}}")

RESERVED = """
abuse admin admins administrator all anonymous api billing customer deleted derp derper derpman
everybody everyone finance guest help hostmaster info mail me moderator nobody noreply null official
operator owner postmaster root security service staff superadmin support sysadmin system tailscale
undefined user users webmaster www 客服 官方 客服中心 管理员 超级管理员 系统 系统管理员 分销员 用户
"""
LOOKS_LIKE = str.maketrans({"0": "o", "1": "i", "l": "i", "3": "e", "4": "a", "5": "s", "7": "t"})
RESERVED_LOOKS = frozenset(word.translate(LOOKS_LIKE) for word in RESERVED.split())

COMMON = """
00000000 0123456789 0987654321 11111111 111111111 1111111111 11223344 112233445566 12121212
123123123 1234512345 12345678 123456789 1234567890 12345678910 123456abc 1234qwer 12341234
147258369 147852369 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qaz@wsx 5201314520 52013145201314 66666666
87654321 88888888 987654321 9876543210 99999999 a1234567 a12345678 a123456789 aa123456 aa12345678
aaaaaaaa abc12345 abc123456 abc123abc abcd1234 abcdefgh administrator admin123 admin1234
admin12345 admin123456 adminadmin asdf1234 asdfasdf asdfghjk asdfghjkl baseball changeme
changeme123 computer derpderp football iloveyou iloveyou1 iloveyou520 internet letmein123 michelle
p@ssw0rd p@ssword passw0rd password password! password1 password12 password123 password1234
princess q1w2e3r4 qazwsxedc qq123456 qq123456789 qwer1234 qwert12345 qwertyui qwertyuiop qwerty12
qwerty123 qwerty1234 qwerty12345 starwars sunshine superman tailscale test1234 testtest trustno1
welcome1 welcome123 whatever woaini1314 woaini520 woaini521 wodemima wang1234 zaq12wsx zaq1zaq1
zxcvbnm1 zxcvbnm123 zxcvbnm, zxcvbnm123456
"""
"""The commonest passwords that are long enough; people here and elsewhere."""
COMMON_WORDS = frozenset(COMMON.split())


@dataclass(frozen=True)
class Name:
    """A text as its owner wrote it, and the form under which it is unique."""

    text: str
    key: str


def username(text: str) -> Name:
    """Return an acceptable username; UsernameRefused says why another is not.

    Latin letters, digits, `. _ -` and Han only: a name in another script, or with an invisible or
    stroke-like character, could pass for somebody else's.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    if not 3 <= len(text) <= 32:
        raise UsernameRefused(reason="It must have 3 to 32 characters.")
    if not USERNAME.fullmatch(text) or not STROKES.isdisjoint(text):
        raise UsernameRefused(
            reason="Letters, digits, Chinese characters and . _ - only, no sign first."
        )
    return Name(text, text.casefold())


def is_reserved(name: Name) -> bool:
    """Tell whether a name, read carelessly, is the house's own: `Adm1n`, `root_`."""
    return re.sub(r"[._\-]", "", name.key).translate(LOOKS_LIKE) in RESERVED_LOOKS


def email(text: str) -> Name:
    """Return an acceptable address; EmailRefused says why another is not.

    The local part is ASCII, because not every mail server takes more; a domain in another script
    is kept in its ASCII form. Nothing is looked up.
    """
    try:
        found = validate_email(
            text.strip(), check_deliverability=False, allow_smtputf8=False, strict=True
        )
    except EmailNotValidError as error:
        raise EmailRefused(reason=str(error)[:200]) from None
    address = found.ascii_email or found.normalized
    if len(address) > EMAIL_MAX:
        raise EmailRefused(reason="It is too long.")
    return Name(address, address.lower())


def password(text: str, *, username: str, email: str) -> str:
    """Return the password when it is acceptable for this account, else raise PasswordRefused."""
    if not PASSWORD_MIN <= len(text) <= PASSWORD_MAX:
        raise PasswordRefused(reason=f"It must have {PASSWORD_MIN} to {PASSWORD_MAX} characters.")
    plain = unicodedata.normalize("NFKC", text).casefold().strip()
    if plain in {username.casefold(), email.casefold(), email.casefold().partition("@")[0]}:
        raise PasswordRefused(reason="It must differ from the username and the address.")
    if plain in COMMON_WORDS or len(set(plain)) <= 2:
        raise PasswordRefused(reason="It is one of the first that anybody would try.")
    return text
