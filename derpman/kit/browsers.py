"""What a program that asks us calls itself, short enough for a table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ua_parser import Domain, Parser
from ua_parser.loaders import load_builtins
from ua_parser.regex import Resolver

_LONGEST_READ = 512
_LONGEST_SHOWN = 64
_PRODUCT = re.compile(r"([A-Za-z][A-Za-z0-9._-]{0,40})/([0-9]+)")


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser or other program and the system it runs on; empty where it does not say."""

    name: str
    system: str

    def __str__(self) -> str:
        return ", ".join(part for part in (self.name, self.system) if part)


def browser_of(user_agent: str | None) -> Browser:
    """Return what a User-Agent header says, as `Chrome 130` and `Android 14`. Never raises.

    It is what the sender wishes to say, and no proof of anything.
    """
    return _parsed((user_agent or "")[:_LONGEST_READ])


@lru_cache(1)
def _parser() -> Parser:
    """Return a parser without the table of devices: nobody asks, and it takes 15 MB."""
    programs, systems, _devices = load_builtins()
    return Parser(Resolver((programs, systems, [])))


@lru_cache(1024)
def _parsed(user_agent: str) -> Browser:
    found = _parser()(user_agent, Domain.USER_AGENT | Domain.OS)
    program, system = found.user_agent, found.os
    if program is not None:
        name = _joined(program.family, program.major)
    else:
        product = _PRODUCT.match(user_agent)  # "derpman/1.2" is a name as well
        name = _joined(product[1], product[2]) if product else ""
    return Browser(name, _system(system.family, system.major, system.minor) if system else "")


def _system(family: str, major: str | None, minor: str | None) -> str:
    if (family, major) == ("Windows", "10"):
        return "Windows 10/11"  # browsers say "NT 10.0" for both
    if family == "Mac OS X":
        # Browsers stopped at 10.15.7, whatever they run on.
        is_frozen = (major, minor) == ("10", "15")
        return "macOS" if is_frozen else _joined("macOS", major)
    return _joined(family, major)


def _joined(name: str, version: str | None) -> str:
    text = f"{name} {version}" if version else name
    return "".join(sign for sign in text if sign.isprintable())[:_LONGEST_SHOWN]
