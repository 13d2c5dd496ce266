"""Our tables say what the library says whose data they are made of."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import geoip2fast
import pytest

from derpman.kit.countries import FILE, Countries

V4 = "1.0.0.0 1.1.1.1 8.8.8.8 114.114.114.114 198.51.100.1 223.5.5.5 223.255.255.255 239.0.0.1"
V6 = "2001:4860:4860::8888 2400:3200::1 2a02:6b8::1 2c0f:f000::1 3fff:: ::1 ff02::1"


@pytest.fixture(scope="module")
def countries() -> Countries:
    return Countries()


def test_every_address_has_the_country_that_the_library_gives(countries: Countries) -> None:
    data = Path(geoip2fast.__file__).with_name(FILE)
    library = geoip2fast.GeoIP2Fast(geoip2fast_data_file=str(data))
    chosen = random.Random(4)
    some: list[IPv4Address | IPv6Address] = [ip_address(text) for text in f"{V4} {V6}".split()]
    some += [IPv4Address(chosen.randrange(1 << 32)) for _ in range(3000)]
    some += [IPv6Address(chosen.randrange(0x2000 << 112, 0x2E00 << 112)) for _ in range(3000)]
    for address in (one for one in some if one.is_global):
        expected = library.lookup(str(address)).country_code
        assert countries.code_of(address) == expected.replace("--", ""), address


def test_what_no_registry_gave_out_is_nowhere(countries: Countries) -> None:
    for text in ("255.255.255.255", "::1", "ffff::"):
        assert countries.code_of(ip_address(text)) == ""
