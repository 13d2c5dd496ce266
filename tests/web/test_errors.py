"""Every refusal has a Chinese sentence in the web pages; English is what the server says."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import derpman
from derpman.kit.errors import DomainError

CATALOGUE = Path(__file__).parents[2] / "web/src/shared/i18n/zh-CN/errors.ts"
NOT_FOR_PAGES = {
    "DomainError",  # the family itself
    "LeaseLost",  # between workers
}


def _kinds(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _kinds(one)


def _codes() -> dict[str, str]:
    for module in pkgutil.walk_packages(derpman.__path__, "derpman."):
        if module.name.endswith(".errors") or module.name == "derpman.kit.guards":
            importlib.import_module(module.name)
    return {
        kind.code: kind.text
        for kind in _kinds(DomainError)
        if kind.__module__.startswith("derpman.") and kind.__name__ not in NOT_FOR_PAGES
    }


def _chinese() -> dict[str, str]:
    text = CATALOGUE.read_text(encoding="utf-8")
    return dict(re.findall(r'^  (\w+):\s+"((?:[^"\\]|\\.)*)",', text, re.MULTILINE))


def test_every_code_has_a_chinese_sentence() -> None:
    missing = sorted(code for code in _codes() if code.replace(".", "_") not in _chinese())
    assert not missing, f"add to {CATALOGUE.name}: {missing}"


def test_chinese_sentences_fill_in_only_what_the_server_gives() -> None:
    chinese = _chinese()
    for code, text in _codes().items():
        if code == "request.invalid":
            continue  # the fields come with it
        given = set(re.findall(r"\{(\w+)\}", text))
        shown = set(re.findall(r"\{\{(\w+)\}\}", chinese.get(code.replace(".", "_"), "")))
        assert shown <= given, f"{code} shows {shown - given}"
