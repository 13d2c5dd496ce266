"""The derpMap of one customer: three slots in, one document out, always the same bytes.

Field names and meanings are those of Tailscale's `tailcfg/derpmap.go` (1.102.5).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, cast

from derpman.kit.errors import Invalid

DEFAULT_REGION_IDS = (931, 932, 933)
USER_REGION_IDS = range(900, 1000)  # reserved by Tailscale for relays that users run
AVOIDED_REGION_IDS = frozenset({900, 901, 999})  # examples on the web, headscale's own relay
MAX_SLOTS = 3
PIN_PREFIX = "sha256-raw:"
NO_ADDRESS = "none"  # keeps a client from asking DNS for this family

_PIN = re.compile(r"sha256-raw:[0-9a-f]{64}")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")


class Severity(StrEnum):
    """How bad a finding is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, by a stable code that clients translate; `path` is a JSON pointer to it."""

    code: str
    path: str = ""
    severity: Severity = Severity.ERROR
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Unfit(Invalid):
    """A document must not be used; `findings` says why, worst reasons only."""

    code = "acl.unfit"
    text = "The policy or the derpMap has faults."

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__(findings=[asdict(finding) for finding in self.findings])


@dataclass(frozen=True, slots=True)
class Slot:
    """One of a customer's relays as his tailnet sees it: where it is and what proves it."""

    region_id: int
    code: str
    name: str
    node_name: str
    address: str
    port: int
    stun_port: int
    pin: str


def document(slots: Iterable[Slot], *, omit_default_regions: bool = False) -> dict[str, Any]:
    """Return the DERPMap of these slots, regions by id; it is not validated yet."""
    by_id = sorted(slots, key=lambda slot: slot.region_id)
    return {
        "OmitDefaultRegions": omit_default_regions,
        "Regions": {str(slot.region_id): region(slot) for slot in by_id},
    }


def region(slot: Slot) -> dict[str, Any]:
    """Return the DERPRegion of one slot: one node, its address given so that DNS is not asked."""
    address = _canonical(slot.address)
    is_v6 = ":" in address
    node = {
        "Name": slot.node_name,
        "RegionID": slot.region_id,
        "HostName": address,
        "IPv4": NO_ADDRESS if is_v6 else address,
        "IPv6": address if is_v6 else NO_ADDRESS,
        "DERPPort": slot.port,
        "STUNPort": slot.stun_port,
        "CertName": slot.pin,
    }
    return {
        "RegionID": slot.region_id,
        "RegionCode": slot.code,
        "RegionName": slot.name,
        "Nodes": [node],
    }


def to_json(value: Mapping[str, Any]) -> bytes:
    """Return the compact JSON of a document, in UTF-8: equal documents give equal bytes.

    Clients drop a region whose definition differs in anything, so this must not vary.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def validated(slots: Iterable[Slot], *, omit_default_regions: bool = False) -> dict[str, Any]:
    """Return the DERPMap of these slots; raise Unfit with every fault it has."""
    slots = tuple(slots)
    made = document(slots, omit_default_regions=omit_default_regions)
    if len(made["Regions"]) != len(slots):
        ids = [slot.region_id for slot in slots]
        twice = next(n for n in ids if ids.count(n) > 1)
        raise Unfit([Finding("region.duplicate", "/Regions", params={"region_id": twice})])
    validate(made)
    return made


def validate(made: Mapping[str, Any]) -> None:
    """Raise Unfit unless this is a document exactly as `document` makes them, fit to leave."""
    findings: list[Finding] = []
    regions = made.get("Regions")
    if not isinstance(regions, dict) or not isinstance(made.get("OmitDefaultRegions"), bool):
        raise Unfit([Finding("document.shape")])
    regions = cast("dict[str, Any]", regions)
    if not 1 <= len(regions) <= MAX_SLOTS:
        findings.append(Finding("document.region_count", "/Regions", params={"max": MAX_SLOTS}))
    slots: list[Slot] = []
    for key, value in regions.items():
        path = f"/Regions/{key}"
        try:
            slot = _slot(value)
        except (KeyError, TypeError, ValueError):
            findings.append(Finding("document.shape", path))
            continue
        slots.append(slot)
        findings += _faults_of_ids(key, value, slot, path)
        findings += _faults_of_node(value["Nodes"][0], slot, f"{path}/Nodes/0")
    names = Counter(slot.node_name for slot in slots)
    endpoints = Counter((slot.address, slot.port) for slot in slots)
    findings += [
        Finding("node.name_duplicate", "/Regions", params={"name": name})
        for name, count in names.items()
        if count > 1
    ]
    findings += [
        Finding("node.endpoint_duplicate", "/Regions", params={"address": address, "port": port})
        for (address, port), count in endpoints.items()
        if count > 1
    ]
    if not findings:
        again = document(slots, omit_default_regions=made["OmitDefaultRegions"])
        if to_json(again) != to_json(made):  # a field more, another order
            findings.append(Finding("document.shape"))
    if findings:
        raise Unfit(findings)


def slots_of(made: Mapping[str, Any]) -> tuple[Slot, ...]:
    """Return the slots of a document that `validate` passes, by region id."""
    return tuple(_slot(value) for value in made["Regions"].values())


def free_region_ids(taken: Iterable[int], count: int = MAX_SLOTS) -> list[int]:
    """Return up to `count` region ids for a customer to whom the usual ones are not free."""
    used = {*taken, *AVOIDED_REGION_IDS}
    return [number for number in _preferred_order() if number not in used][:count]


def free_region_bases(taken: Iterable[int], count: int = MAX_SLOTS) -> list[int]:
    """Return up to `count` region ids that are free together with the next two of each."""
    used = set(taken)
    bases: list[int] = []
    for base in _preferred_order():
        ids = _ids_of_base(base)
        if is_own_region_base(base) and used.isdisjoint(ids):
            bases.append(base)
            used.update(ids)
    return bases[:count]


def is_own_region_base(base: int) -> bool:
    """Say whether we may give out this region id and the next two: a customer's three slots."""
    return all(is_own_region_id(number) for number in _ids_of_base(base))


def _ids_of_base(base: int) -> range:
    return range(base, base + MAX_SLOTS)


def _preferred_order() -> list[int]:
    first = DEFAULT_REGION_IDS[0]
    return [*range(first, USER_REGION_IDS.stop), *range(USER_REGION_IDS.start, first)]


def is_own_region_id(number: int) -> bool:
    """Say whether we may give out this region id."""
    return number in USER_REGION_IDS and number not in AVOIDED_REGION_IDS


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address a text spells, or None; a zone, as in `fe80::1%eth0`, is no address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if isinstance(address, IPv6Address) and address.scope_id else address


def _canonical(text: str) -> str:
    address = parse_address(text)
    return text if address is None else str(address)


def _slot(value: Any) -> Slot:
    (node,) = value["Nodes"]
    slot = Slot(
        region_id=value["RegionID"],
        code=value["RegionCode"],
        name=value["RegionName"],
        node_name=node["Name"],
        address=node["HostName"],
        port=node["DERPPort"],
        stun_port=node["STUNPort"],
        pin=node["CertName"],
    )
    for number in (slot.region_id, slot.port, slot.stun_port, node["RegionID"]):
        if type(number) is not int:  # a bool is an int to Python and not to Go
            raise TypeError
    for text in (slot.code, slot.name, slot.node_name, slot.address, slot.pin):
        if type(text) is not str:
            raise TypeError
    return slot


def _faults_of_ids(key: str, value: Any, slot: Slot, path: str) -> Sequence[Finding]:
    number = {"region_id": slot.region_id}
    faults: list[Finding] = []
    if not is_own_region_id(slot.region_id):
        faults.append(Finding("region.id_refused", path, params=number))
    if key != str(slot.region_id):
        faults.append(Finding("region.id_mismatch", f"{path}/RegionID", params=number))
    if value["Nodes"][0]["RegionID"] != slot.region_id:
        faults.append(Finding("node.region_id_mismatch", f"{path}/Nodes/0/RegionID", params=number))
    if not _CODE.fullmatch(slot.code):
        faults.append(Finding("region.code_malformed", f"{path}/RegionCode"))
    if not (0 < len(slot.name) <= 64 and slot.name.isprintable() and slot.name.strip()):
        faults.append(Finding("region.name_malformed", f"{path}/RegionName"))
    return faults


def _faults_of_node(node: Mapping[str, Any], slot: Slot, path: str) -> Sequence[Finding]:
    faults: list[Finding] = []
    if not _NODE_NAME.fullmatch(slot.node_name):
        faults.append(Finding("node.name_malformed", f"{path}/Name"))
    if not _PIN.fullmatch(slot.pin):
        faults.append(Finding("node.pin_malformed", f"{path}/CertName"))
    for name, port in (("DERPPort", slot.port), ("STUNPort", slot.stun_port)):
        if not 1 <= port <= 65535:
            faults.append(Finding("node.port_range", f"{path}/{name}", params={"port": port}))
    address = parse_address(slot.address)
    if address is None or str(address) != slot.address or _is_never_a_server(address):
        faults.append(Finding("node.host_not_an_address", f"{path}/HostName"))
        return faults
    is_v6 = isinstance(address, IPv6Address)
    expected = {
        "IPv4": NO_ADDRESS if is_v6 else slot.address,
        "IPv6": slot.address if is_v6 else NO_ADDRESS,
    }
    faults += [
        Finding("node.address_inconsistent", f"{path}/{name}")
        for name, wanted in expected.items()
        if node.get(name) != wanted
    ]
    if is_v6 and slot.port == 443:
        # Clients leave the default port out of the URL, where a bare IPv6 address does not parse.
        faults.append(Finding("node.ipv6_port_443", f"{path}/DERPPort"))
    return faults


def _is_never_a_server(address: IPv4Address | IPv6Address) -> bool:
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    return address.is_unspecified or address.is_multicast or mapped
