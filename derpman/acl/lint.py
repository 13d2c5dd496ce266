"""Finds the known faults of derpMaps in what a customer pastes: policy, derpMap or headscale YAML.

Each rule stands for a fault that people ran into (tailscale/tailscale#9526, #11776,
juanfont/headscale#2836 and others) or for something `tailcfg/derpmap.go` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from derpman.acl import hujson
from derpman.acl.derpmap import (
    AVOIDED_REGION_IDS,
    NO_ADDRESS,
    PIN_PREFIX,
    USER_REGION_IDS,
    Finding,
    Severity,
    Slot,
    Unfit,
    free_region_ids,
    parse_address,
)
from derpman.acl.forms import Ours
from derpman.acl.hujson import Kind, Member, Text, Value, shown

MAX_YAML_LENGTH = 64 * 1024  # PyYAML reads some 100 KB a second
MAX_FINDINGS = 200

_MAP_KEYS = {
    "Regions": Kind.OBJECT,
    "OmitDefaultRegions": Kind.LITERAL,
    "HomeParams": Kind.OBJECT,
}
_REGION_KEYS = {
    "RegionID": Kind.NUMBER,
    "RegionCode": Kind.STRING,
    "RegionName": Kind.STRING,
    "Latitude": Kind.NUMBER,
    "Longitude": Kind.NUMBER,
    "Avoid": Kind.LITERAL,
    "NoMeasureNoHome": Kind.LITERAL,
    "Nodes": Kind.ARRAY,
}
_NODE_KEYS = {
    "Name": Kind.STRING,
    "RegionID": Kind.NUMBER,
    "HostName": Kind.STRING,
    "CertName": Kind.STRING,
    "IPv4": Kind.STRING,
    "IPv6": Kind.STRING,
    "STUNPort": Kind.NUMBER,
    "STUNOnly": Kind.LITERAL,
    "DERPPort": Kind.NUMBER,
    "InsecureForTests": Kind.LITERAL,
    "STUNTestIP": Kind.STRING,
    "CanPort80": Kind.LITERAL,
}
_PIN = re.compile(r"[0-9a-fA-F]{64}")
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def lint(source: str, *, slots: Iterable[Slot] = (), known: Iterable[Slot] = ()) -> list[Finding]:
    """Return what is wrong with a pasted text, in the order of the text; [] when nothing is.

    Takes a policy, a bare derpMap or the member `"derpMap": {…}` in HuJSON, and headscale's YAML.
    A region of his under the id of one of `slots` is named a clash, unless it is made of these or
    of `known`, his earlier ones. Never raises.
    """
    slots = tuple(slots)
    taken, ours = frozenset(slot.region_id for slot in slots), Ours([*slots, *known])
    if not source.strip():
        return [Finding("policy.empty")]
    try:
        if _looks_like_hujson(source):
            text, derp_map, path = _derp_map_of_hujson(source)
            checks = _Checks(text.source, is_yaml=False, taken=taken, ours=ours)
        else:
            derp_map, path = _derp_map_of_yaml(source)
            checks = _Checks(source, is_yaml=True, taken=taken, ours=ours)
    except Unfit as fault:
        return list(fault.findings)
    checks.derp_map(derp_map, path)
    return sorted(checks.findings, key=lambda it: (it.params["line"], it.params["column"]))


def _looks_like_hujson(source: str) -> bool:
    return source.lstrip(" \t\r\n\ufeff").startswith(("{", '"', "[", "//", "/*"))


def _derp_map_of_hujson(source: str) -> tuple[Text, Value, str]:
    if source.lstrip().startswith('"'):  # the member alone, as our own snippet
        source = "{" + source + "\n}"
    text = hujson.read(source)
    if text.root is None or text.root.kind is not Kind.OBJECT:
        raise Unfit([Finding("policy.not_object")])
    found = text.root.named("derpMap")
    if len(found) > 1:
        where = hujson.place(source, found[-1].start)
        raise Unfit([Finding("policy.duplicate_key", "/derpMap", params=where)])
    if found:
        return text, found[0].value, "/derpMap"
    if text.root.named("Regions"):
        return text, text.root, ""
    raise Unfit([Finding("derp_map.missing", "/derpMap", Severity.INFO)])


def _derp_map_of_yaml(source: str) -> tuple[Value, str]:
    if len(source) > MAX_YAML_LENGTH:
        raise Unfit([Finding("policy.too_big", params={"max_bytes": MAX_YAML_LENGTH})])
    try:
        root = _YamlReader(source).read()
    except yaml.MarkedYAMLError as fault:
        raise _yaml_fault("value", fault.problem_mark) from None
    except yaml.YAMLError:  # a character that YAML does not allow
        raise _yaml_fault("character", None) from None
    if root.kind is not Kind.OBJECT:
        raise Unfit([Finding("policy.not_object")])
    wrapped = root.get("derpMap")
    if wrapped is not None and not root.named("Regions"):
        raise Unfit([Finding("yaml.derp_map_wrapper", "/derpMap")])
    return root, ""


@dataclass
class _Checks:
    source: str
    is_yaml: bool  # headscale's reader knows the lower-case keys alone
    taken: frozenset[int]
    ours: Ours
    findings: list[Finding] = field(default_factory=list[Finding])
    names: set[str] = field(default_factory=set[str])

    def derp_map(self, value: Value, path: str) -> None:
        if not self.is_kind(value, Kind.OBJECT, path):
            return
        self.keys(value, _MAP_KEYS, path)
        regions = value.get("Regions")
        if regions is None:
            return
        numbers = {int(m.key) for m in regions.members if _INTEGER.fullmatch(m.key)}
        seen: set[int] = set()
        for member in regions.members:
            at = f"{path}/Regions/{_pointer(member.key)}"
            if not _INTEGER.fullmatch(member.key):
                self.add("region.key_not_a_number", member.value, at, key=shown(member.key))
                continue
            number = int(member.key)
            if number in seen:
                self.add("policy.duplicate_key", member.value, at)
            seen.add(number)
            if _is_null(member.value):  # takes one of Tailscale's own regions away
                continue
            if number in self.taken and not self.ours.made(member.value):
                free = free_region_ids(numbers | self.taken)
                self.add("region.clash", member.value, at, region_id=number, free=free)
            self.region(number, member.value, at)

    def region(self, number: int, region: Value, path: str) -> None:
        if not self.is_kind(region, Kind.OBJECT, path):
            return
        self.keys(region, _REGION_KEYS, path)
        if number in AVOIDED_REGION_IDS:
            self.warn("region.id_unwise", region, path, region_id=number)
        elif number not in USER_REGION_IDS:
            self.warn("region.id_not_for_users", region, path, region_id=number)
        self.region_id("region", number, region, path)
        if _is_true(region.get("Avoid")):
            self.warn("region.avoid_deprecated", region, path, "Avoid")
        nodes = region.get("Nodes")
        if nodes is None or not nodes.elements:
            self.add("region.no_nodes", region, path)
            return
        for index, node in enumerate(nodes.elements):
            self.node(number, node, f"{path}/Nodes/{index}")

    def node(self, number: int, node: Value, path: str) -> None:
        if not self.is_kind(node, Kind.OBJECT, path):
            return
        self.keys(node, _NODE_KEYS, path)
        self.region_id("node", number, node, path)
        name = _text(node, "Name")
        if not name:
            self.add("node.name_missing", node, path)
        elif name in self.names:
            self.add("node.name_duplicate", node, path, "Name", name=shown(name))
        self.names.add(name)
        self.host(node, path)
        self.addresses(node, path)
        self.ports(node, path)
        self.pin(node, path)
        if _is_true(node.get("InsecureForTests")):
            self.warn("node.insecure", node, path, "InsecureForTests")
        if _text(node, "STUNTestIP"):
            self.warn("node.test_address", node, path, "STUNTestIP")

    def host(self, node: Value, path: str) -> None:
        host = _text(node, "HostName")
        if not host:
            self.add("node.host_missing", node, path)
        elif parse_address(host) is None and not _HOST_NAME.fullmatch(host):
            has_port = re.search(r"[^:]:[0-9]*$", host)
            fault = "scheme" if "://" in host else "port" if has_port else "malformed"
            self.add(f"node.host_{fault}", node, path, "HostName", host=shown(host))

    def addresses(self, node: Value, path: str) -> None:
        for name, version in (("IPv4", 4), ("IPv6", 6)):
            text = _text(node, name)
            address = parse_address(text)
            if text and text != NO_ADDRESS and (address is None or address.version != version):
                self.add("node.address_malformed", node, path, name, address=shown(text))
        if _text(node, "IPv4") == NO_ADDRESS == _text(node, "IPv6"):
            self.add("node.no_address", node, path)

    def ports(self, node: Value, path: str) -> None:
        for name, lowest in (("DERPPort", 0), ("STUNPort", -1)):  # 0: the usual one, -1: no STUN
            port = node.get(name)
            number = port.scalar if port is not None else None
            if isinstance(number, int) and not lowest <= number <= 65535:
                self.add("node.port_range", node, path, name)
            if name == "STUNPort" and number == -1:
                self.warn("node.stun_off", node, path, name)

    def pin(self, node: Value, path: str) -> None:
        name = _text(node, "CertName")
        prefix, pin = name[: len(PIN_PREFIX)], name[len(PIN_PREFIX) :]
        if prefix == PIN_PREFIX and _PIN.fullmatch(pin):
            if pin != pin.lower():  # clients compare the text
                self.add("node.pin_case", node, path, "CertName")
        elif prefix.lower() == PIN_PREFIX or _PIN.fullmatch(name.replace(":", "")):
            self.add("node.pin_malformed", node, path, "CertName")
        elif not (name or _is_true(node.get("InsecureForTests"))) and parse_address(
            _text(node, "HostName")
        ):
            self.warn("node.pin_missing", node, path)

    def region_id(self, what: str, number: int, owner: Value, path: str) -> None:
        own = owner.get("RegionID")
        if own is None:
            self.add(f"{what}.region_id_missing", owner, path, region_id=number)
        elif own.kind is Kind.NUMBER and own.scalar != number:
            self.add(f"{what}.region_id_mismatch", owner, path, "RegionID", region_id=number)

    def keys(self, owner: Value, known: Mapping[str, Kind], path: str) -> None:
        by_folded = {key.casefold(): key for key in known}
        seen: set[str] = set()
        for member in owner.members:
            at = f"{path}/{_pointer(member.key)}"
            folded = member.key.casefold()
            name = by_folded.get(folded)
            if name is None:
                self.warn("policy.unknown_key", member.value, at, key=shown(member.key))
                continue
            if folded in seen:
                self.add("policy.duplicate_key", member.value, at)
            seen.add(folded)
            if self.is_yaml and member.key != name.lower():
                params = {"key": shown(member.key), "wanted": name.lower()}
                self.add("yaml.key_case", member.value, at, **params)
            self.is_kind(member.value, known[name], at)

    def is_kind(self, value: Value, kind: Kind, path: str) -> bool:
        if value.kind is kind and not (kind is Kind.NUMBER and self.is_fraction(value, path)):
            return True
        is_number_as_text = self.is_yaml and (kind, value.kind) == (Kind.STRING, Kind.NUMBER)
        if not _is_null(value) and not is_number_as_text:
            self.add("policy.wrong_type", value, path, expected=kind.value)
        return False

    def is_fraction(self, value: Value, path: str) -> bool:
        is_degrees = path.casefold().endswith(("/latitude", "/longitude"))
        return isinstance(value.scalar, float) and not is_degrees

    def add(self, code: str, owner: Value, path: str, child: str = "", /, **params: object) -> None:
        self._note(Severity.ERROR, code, owner, path, child, params)

    def warn(
        self, code: str, owner: Value, path: str, child: str = "", /, **params: object
    ) -> None:
        self._note(Severity.WARNING, code, owner, path, child, params)

    def _note(
        self,
        severity: Severity,
        code: str,
        owner: Value,
        path: str,
        child: str,
        params: Mapping[str, object],
    ) -> None:
        if len(self.findings) == MAX_FINDINGS:
            return
        value = (owner.get(child) if child else None) or owner
        where = hujson.place(self.source, value.start)
        at = f"{path}/{child}" if child else path
        self.findings.append(Finding(code, at, severity, {**where, **params}))


class _YamlReader:
    """Reads the events of one YAML document into the values that the checks know."""

    def __init__(self, source: str) -> None:
        self.events = cast("Iterator[yaml.Event]", yaml.parse(source, Loader=yaml.SafeLoader))

    def read(self) -> Value:
        for event in self.events:
            if not isinstance(event, (yaml.StreamStartEvent, yaml.DocumentStartEvent)):
                break
        else:
            raise Unfit([Finding("policy.not_object")])
        return self.value(event, 0)

    def value(self, event: yaml.Event, depth: int) -> Value:
        start: int = event.start_mark.index
        if depth > hujson.MAX_DEPTH:  # stopped early, since PyYAML takes very long over depth
            raise _yaml_fault("depth", event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            kind, scalar = _yaml_scalar(event)
            return Value(kind, start, event.end_mark.index, scalar)
        if isinstance(event, yaml.SequenceStartEvent):
            elements = tuple(self.value(inner, depth + 1) for inner in self.until_end())
            return Value(Kind.ARRAY, start, start, elements=elements)
        if isinstance(event, yaml.MappingStartEvent):
            members = tuple(self.member(key, depth + 1) for key in self.until_end())
            return Value(Kind.OBJECT, start, start, members=members)
        raise _yaml_fault(
            "alias" if isinstance(event, yaml.AliasEvent) else "value", event.start_mark
        )

    def member(self, key: yaml.Event, depth: int) -> Member:
        if not isinstance(key, yaml.ScalarEvent):
            raise _yaml_fault("name", key.start_mark)
        return Member(key.value, key.start_mark.index, self.value(next(self.events), depth), None)

    def until_end(self) -> Iterator[yaml.Event]:
        for event in self.events:
            if isinstance(event, yaml.CollectionEndEvent):
                return
            yield event


def _yaml_scalar(event: yaml.ScalarEvent) -> tuple[Kind, str | float | None]:
    """Tell the kinds apart as YAML 1.2 does; `yes`, `on` and `1:30` are text in it."""
    text: str = event.value
    is_plain = event.implicit[0]
    if not is_plain:
        return Kind.STRING, text
    if text.lower() in {"", "~", "null"}:
        return Kind.LITERAL, None
    if text.lower() in {"true", "false"}:
        return Kind.LITERAL, text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return Kind.NUMBER, int(text)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text):
        return Kind.NUMBER, float(text)
    return Kind.STRING, text


def _yaml_fault(reason: str, mark: Any) -> Unfit:
    where = {} if mark is None else {"line": mark.line + 1, "column": mark.column + 1}
    return Unfit([Finding("yaml.syntax", params={**where, "reason": reason})])


def _pointer(key: str) -> str:
    return shown(key).replace("~", "~0").replace("/", "~1")


def _is_null(value: Value) -> bool:
    return value.kind is Kind.LITERAL and value.scalar is None


def _is_true(value: Value | None) -> bool:
    return value is not None and value.scalar is True


def _text(owner: Value, name: str) -> str:
    value = owner.get(name)
    return value.scalar if value is not None and isinstance(value.scalar, str) else ""
