"""Where an IP address is, as well as we can tell; never more than a hint.

The country comes from the data in geoip2fast's wheel, the city from an ip2region file (.xdb) if
the operator has one. Unknown is a valid answer.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import structlog
from babel import Locale
from ip2region import searcher, util

from derpman.kit.countries import Countries

log = structlog.get_logger(__name__)

_CACHED_ADDRESSES = 4096
_LONGEST_ADDRESS = 64  # with a zone; anything longer is no address
_LONGEST_PART = 40
_SMALLEST_CITY_FILE = util.HeaderInfoLength + util.VectorIndexLength


@dataclass(frozen=True, slots=True)
class Place:
    """A place and what to call it; what is not known is empty. A label has at most 128 signs."""

    country_code: str
    region: str
    city: str
    label_zh: str
    label_en: str


UNKNOWN = Place("", "", "", "未知", "unknown")
PRIVATE = Place("", "", "", "内网", "private")


def place_of(ip: str | None) -> Place:
    """Return the place of an address; UNKNOWN for what is none. Never raises."""
    return _shared.place_of(ip)


def use_city_files(paths: Iterable[Path]) -> None:
    """Take cities from these files from now on; one that cannot be used is logged and left out."""
    _shared.use_city_files(paths)


class Places:
    """Looks addresses up, and remembers the last few thousand answers."""

    def __init__(self, city_files: Iterable[Path] = ()) -> None:
        self._loading = threading.Lock()
        self._countries: Countries | None = None
        self._cities: list[_CityFile] = []
        self._remembered = lru_cache(_CACHED_ADDRESSES)(self._look_up)
        self.use_city_files(city_files)

    def use_city_files(self, paths: Iterable[Path]) -> None:
        """Take cities from these files from now on."""
        self._cities = [found for path in paths if (found := _CityFile.usable(path))]
        self._remembered.cache_clear()

    def place_of(self, ip: str | None) -> Place:
        """Return the place of an address; UNKNOWN for what is none. Never raises."""
        if not isinstance(ip, str) or len(ip) > _LONGEST_ADDRESS:
            return UNKNOWN
        try:
            address = ip_address(ip.strip())
        except ValueError:
            return UNKNOWN
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return self._remembered(address)

    def _look_up(self, address: IPv4Address | IPv6Address) -> Place:
        if not address.is_global:  # loopback, RFC 1918, carrier NAT, link-local, documentation
            return PRIVATE
        for cities in self._cities:
            country, region, city, code = cities.find(address)
            if country:
                return _place(code or self._country_of(address), country, region, city)
        code = self._country_of(address)
        return _place(code, "", "", "") if code else UNKNOWN

    def _country_of(self, address: IPv4Address | IPv6Address) -> str:
        code = self._loaded().code_of(address)
        return code if code in _EN else ""  # "--" and the like

    def _loaded(self) -> Countries:
        with self._loading:
            if self._countries is None:
                self._countries = Countries()
            return self._countries


@dataclass(frozen=True)
class _CityFile:
    """Opens its file for each search: quick enough, safe in threads, and a new file is seen."""

    path: Path
    version: util.Version

    @classmethod
    def usable(cls, path: Path) -> _CityFile | None:
        try:
            with path.open("rb") as file:
                util.verify(file)
                version = util.version_from_header(util.load_header(file))
                is_whole = file.seek(0, os.SEEK_END) >= _SMALLEST_CITY_FILE
        except Exception as fault:  # noqa: BLE001 - the library raises bare Exception too
            log.warning("places.city_file_unusable", path=str(path), reason=str(fault))
            return None
        if version is None or not is_whole:
            log.warning("places.city_file_unusable", path=str(path), reason="not an xdb file")
            return None
        return cls(path, version)

    def find(self, address: IPv4Address | IPv6Address) -> tuple[str, str, str, str]:
        """Return country, region, city and country code, each empty when it is not known."""
        if len(address.packed) != self.version.byte_num:
            return "", "", "", ""
        try:
            found = searcher.new_with_file_only(self.version, str(self.path))
            try:
                return _parts(found.search(address.packed))
            finally:
                found.close()
        except (OSError, IndexError, ValueError):  # gone, cut short, or no text where it points
            return "", "", "", ""


def _parts(text: str) -> tuple[str, str, str, str]:
    """Read `country|region|city|operator|code`, or the older `country|area|region|city|operator`.

    Both are in use (ip2region's README, 2025 and before); the code tells them apart.
    """
    fields = [_cleaned(field) for field in text.split("|")]
    if len(fields) < 5:
        return "", "", "", ""
    code = fields[4] if re.fullmatch(r"[A-Z]{2}", fields[4]) else ""
    region, city = fields[1:3] if code or fields[1] else fields[2:4]
    return fields[0], region, city, code


def _cleaned(field: str) -> str:
    field = "".join(sign for sign in field if sign.isprintable()).strip()[:_LONGEST_PART]
    return "" if field in {"0", "Reserved"} else field


def _place(code: str, country: str, region: str, city: str) -> Place:
    parts = [city] if city.startswith(region) else [region, city]  # 北京 and 北京市 are one
    known = [part for part in parts if part]
    zh = " ".join([_ZH.get(code, country), *known])
    en = ", ".join([_EN.get(code, country), *known])
    return Place(code, region, city, zh, en)


_ZH: Mapping[str, str] = Locale("zh").territories
_EN: Mapping[str, str] = Locale("en").territories
_shared = Places()
