"""The forms in which a customer gets his derpMap, and its way into and out of a policy of his."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from derpman.acl.derpmap import (
    Finding,
    Severity,
    Slot,
    Unfit,
    free_region_bases,
    free_region_ids,
    parse_address,
    to_json,
    validated,
)
from derpman.acl.hujson import Edits, Kind, Member, Text, Value, place, read

_SHOWN_ZONE = ZoneInfo("Asia/Shanghai")


class FormName(StrEnum):
    """The ways in which an ACL reaches its customer, as logs of downloads name them."""

    SNIPPET = "snippet"
    POLICY = "policy"
    HEADSCALE_YAML = "headscale_yaml"
    HEADSCALE_JSON = "headscale_json"
    HEADSCALE_ADDRESS = "headscale_address"


@dataclass(frozen=True, slots=True)
class Form:
    """A document as it is downloaded."""

    file_name: str
    media_type: str
    body: bytes

    @property
    def etag(self) -> str:
        """Return the strong entity tag, quoted: equal bytes, equal tag."""
        return f'"{hashlib.sha256(self.body).hexdigest()}"'


@dataclass(frozen=True, slots=True)
class Merged:
    """A policy with our regions in it; `created` when there was none, so it holds nothing else."""

    text: str
    created: bool
    notes: tuple[Finding, ...] = ()


def snippet(
    slots: Iterable[Slot], *, version: str, ends_at: datetime, omit_default_regions: bool = False
) -> Form:
    """Return the `derpMap` member to paste into Tailscale's policy editor.

    The comments stand inside the regions: a later merge replaces them with the regions. It ends
    in a comma, which HuJSON allows everywhere, so that it can stand before other members.
    """
    made = validated(slots, omit_default_regions=omit_default_regions)
    remark = f"// {_remark(version, ends_at)}"
    lines: list[str] = []
    for line in json.dumps({"derpMap": made}, ensure_ascii=False, indent="\t").splitlines()[1:-1]:
        lines.append(line.removeprefix("\t"))
        if line.startswith('\t\t\t"') and line.endswith("{"):  # a region opens
            lines.append(f"\t\t\t{remark}")
    text = "\n".join(lines) + ",\n"
    return Form("derpmap.hujson", "application/hujson", text.encode())


def policy(merged: Merged) -> Form:
    """Return a merged policy as a file."""
    return Form("policy.hujson", "application/hujson", merged.text.encode())


def headscale_json(slots: Iterable[Slot], *, omit_default_regions: bool = False) -> Form:
    """Return the bare DERPMap that headscale fetches from an address in `derp.urls`."""
    made = validated(slots, omit_default_regions=omit_default_regions)
    return Form("derp.json", "application/json", to_json(made))


def headscale_yaml(slots: Iterable[Slot], *, version: str, ends_at: datetime) -> Form:
    """Return the file for headscale's `derp.paths`.

    Its reader knows lower-case keys only and ignores any other without a word; it takes nothing
    but the regions from this file.
    """
    regions = validated(slots)["Regions"]
    made = {"regions": {int(key): _lower_keys(value) for key, value in regions.items()}}
    text = yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=10_000)
    head = f"# {_remark(version, ends_at)}\n"
    return Form("derp.yaml", "application/yaml", (head + text).encode())


def merge(
    source: str,
    slots: Iterable[Slot],
    *,
    known: Iterable[Slot] = (),
    omit_default_regions: bool = False,
) -> Merged:
    """Return a customer's policy with the regions of these slots in it, all else as it was.

    `known` are slots of his earlier versions: a region made of them is ours and gives way, also
    under a region id no longer used. `omit_default_regions` counts only where the policy has no
    derpMap. Raises Unfit when the policy cannot be read or something of his is in the way.
    """
    slots = tuple(slots)
    made = validated(slots, omit_default_regions=omit_default_regions)
    ours = Ours([*slots, *known])
    text = read(source)
    if text.root is None:
        head = source if not source.strip() or source.endswith("\n") else source + "\n"
        body = json.dumps({"derpMap": made}, ensure_ascii=False, indent="\t")
        return Merged(f"{head.lstrip()}{body}\n", created=True)
    current = {slot.region_id for slot in slots}
    text = _without(text, ours, keep=current)
    derp_map, regions = _find(text)
    notes: list[Finding] = []
    edits = Edits(text)
    if derp_map is None or regions is None or regions.value.kind is not Kind.OBJECT:
        _put_whole(edits, text, derp_map, regions, made)
    else:
        _refuse_clashes(text, regions.value, slots, ours)
        present = dict(_numbered(regions.value))
        wanted: dict[str, Any] = dict(made["Regions"])
        for number in current & present.keys():
            edits.replace(present[number], wanted.pop(str(number)))
        edits.append(regions.value, wanted)
    if derp_map is not None and derp_map.value.kind is Kind.OBJECT:
        notes += _omission_kept(derp_map.value, omit_default_regions)
    return Merged(_closed(edits.result()), created=False, notes=tuple(notes))


def remove(source: str, known: Iterable[Slot]) -> str:
    """Return a customer's policy without the regions that are ours.

    A derpMap that is left with nothing in it goes too, unless a comment of his stands in it.
    """
    text = read(source)
    if text.root is None:
        return source
    text = _without(text, Ours(known), keep=())
    derp_map, regions = _find(text)
    if text.source == source or derp_map is None or regions is None or regions.value.members:
        return _closed(text.source)
    expected = {"regions", "omitdefaultregions"}
    if any(member.key.casefold() not in expected for member in derp_map.value.members):
        return _closed(text.source)
    if text.has_comment(derp_map.value.start, derp_map.value.end):
        return _closed(text.source)
    edits = Edits(text)
    edits.take_out(_root(text), [derp_map])
    return _closed(edits.result())


class Ours:
    """Knows our relays by what a customer cannot have from elsewhere: pin, or address and port."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        slots = tuple(slots)
        self._pins = {slot.pin for slot in slots}
        self._endpoints = {(parse_address(slot.address), slot.port) for slot in slots}

    def made(self, region: Value) -> bool:
        """Say whether a region has nodes, and all of them are ours."""
        nodes = region.get("Nodes") if region.kind is Kind.OBJECT else None
        elements = nodes.elements if nodes else ()
        return bool(elements) and all(self._is_node(node) for node in elements)

    def _is_node(self, node: Value) -> bool:
        pin = _string(node, "CertName")
        if pin is not None and pin.lower() in self._pins:
            return True
        port = node.get("DERPPort")
        addresses = {_string(node, name) for name in ("HostName", "IPv4", "IPv6")}
        return port is not None and any(
            (parse_address(address), port.scalar) in self._endpoints
            for address in addresses
            if address and parse_address(address)
        )


def _remark(version: str, ends_at: datetime) -> str:
    if not version.isprintable():
        raise ValueError("a version is one line")
    until = ends_at.astimezone(_SHOWN_ZONE)
    return f"DERP Management, ACL version {version}, works until {until:%Y-%m-%d %H:%M} (UTC+8)"


def _lower_keys(region: Mapping[str, Any]) -> dict[str, Any]:
    nodes: list[Mapping[str, Any]] = region["Nodes"]
    lowered = {key.lower(): value for key, value in region.items()}
    return lowered | {"nodes": [{key.lower(): node[key] for key in node} for node in nodes]}


def _root(text: Text) -> Value:
    root = text.root
    if root is None or root.kind is not Kind.OBJECT:
        raise Unfit([Finding("policy.not_object")])
    return root


def _find(text: Text) -> tuple[Member | None, Member | None]:
    """Return the members `derpMap` and, in it, `Regions`; null counts as a value of theirs."""
    derp_map = _only(text, _root(text), "derpMap", "")
    if derp_map is None or not _is_object(derp_map.value, "/derpMap"):
        return derp_map, None
    regions = _only(text, derp_map.value, "Regions", "/derpMap")
    if regions is not None:
        _is_object(regions.value, "/derpMap/Regions")
    return derp_map, regions


def _only(text: Text, owner: Value, name: str, path: str) -> Member | None:
    found = owner.named(name)
    if len(found) > 1:
        where = place(text.source, found[-1].start)
        raise Unfit([Finding("policy.duplicate_key", f"{path}/{name}", params=where)])
    return found[0] if found else None


def _is_object(value: Value, path: str) -> bool:
    if value.kind is Kind.OBJECT:
        return True
    if not _is_null(value):
        raise Unfit([Finding("policy.not_object", path)])
    return False


def _is_null(value: Value) -> bool:
    return value.kind is Kind.LITERAL and value.scalar is None


def _numbered(regions: Value) -> list[tuple[int, Member]]:
    numbers = ((_region_number(member.key), member) for member in regions.members)
    return [(number, member) for number, member in numbers if number is not None]


def _region_number(key: str) -> int | None:
    digits = key[1:] if key[:1] in {"+", "-"} else key
    short = digits.isascii() and digits.isdigit() and len(digits) < 20
    return int(key) if short else None  # as Go reads a key of map[int]


def _without(text: Text, ours: Ours, *, keep: Iterable[int]) -> Text:
    _, regions = _find(text)
    if regions is None:
        return text
    gone = [
        member
        for number, member in _numbered(regions.value)
        if number not in keep and ours.made(member.value)
    ]
    if not gone:
        return text
    edits = Edits(text)
    edits.take_out(regions.value, gone)
    return read(edits.result())


def _put_whole(
    edits: Edits,
    text: Text,
    derp_map: Member | None,
    regions: Member | None,
    made: dict[str, Any],
) -> None:
    if derp_map is None:
        edits.append(_root(text), {"derpMap": made})
    elif derp_map.value.kind is not Kind.OBJECT:
        edits.replace(derp_map, made)
    elif regions is None:
        edits.append(derp_map.value, {"Regions": made["Regions"]})
    else:
        edits.replace(regions, made["Regions"])


def _refuse_clashes(text: Text, regions: Value, slots: Iterable[Slot], ours: Ours) -> None:
    wanted = {slot.region_id: slot.node_name for slot in slots}
    numbered = _numbered(regions)
    counts = Counter(number for number, _ in numbered)
    findings: list[Finding] = []
    names: set[str] = set()
    for number, member in numbered:
        path = f"/derpMap/Regions/{number}"
        if number in wanted and counts[number] > 1:
            where = place(text.source, member.start)
            raise Unfit([Finding("policy.duplicate_key", path, params=where)])
        if number in wanted and (_is_null(member.value) or ours.made(member.value)):
            continue
        names |= _node_names(member.value)
        if number in wanted:
            where = place(text.source, member.start)
            taken = [*counts, *wanted]
            params = {
                **where,
                "region_id": number,
                "free": free_region_ids(taken),
                "free_bases": free_region_bases(taken),
            }
            findings.append(Finding("region.clash", path, params=params))
    findings += [
        Finding("node.name_taken", f"/derpMap/Regions/{number}", params={"name": name})
        for number, name in wanted.items()
        if name in names
    ]
    if findings:
        raise Unfit(findings)


def _node_names(region: Value) -> set[str]:
    nodes = region.get("Nodes")
    names = {_string(node, "Name") for node in nodes.elements} if nodes else set[str | None]()
    return {name for name in names if name}


def _string(owner: Value, name: str) -> str | None:
    value = owner.get(name)
    return value.scalar if value is not None and isinstance(value.scalar, str) else None


def _omission_kept(derp_map: Value, wanted: bool) -> list[Finding]:
    value = derp_map.get("OmitDefaultRegions")
    has = value is not None and value.scalar is True
    if has == wanted:
        return []
    params = {"has": has, "wanted": wanted}
    return [Finding("omit_default_regions.kept", "/derpMap", Severity.WARNING, params)]


def _closed(source: str) -> str:
    """Tailscale's parser wants a newline after a `//` comment that ends the text."""
    line = source[source.rfind("\n") + 1 :]
    if "//" not in line:
        return source
    ends_in_comment = any(end == len(source) for _, end in read(source).comments)
    return source + "\n" if ends_in_comment and not source.endswith("*/") else source
