"""Which country an address is registered in, from the data file in geoip2fast's wheel.

The library itself keeps 790,000 networks as Python numbers, 47 MB in every process; here they are
arrays.
"""

from __future__ import annotations

import gzip
import pickle
from array import array
from bisect import bisect_left, bisect_right
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal

from derpman.kit.memory import give_back

FILE = "geoip2fast-ipv6.dat.gz"
VERSIONS = (120, 121)
"""Forms of the file that are known; geoip2fast names the same."""
V4_END = 1 << 32


class Countries:
    """Country codes of networks, in order of their addresses."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._v4, self._v6 = _Table("I", 32, 0), _Table("Q", 128, 64)
        self._read()
        give_back()  # reading took 20 MB

    def _read(self) -> None:
        packed = files("geoip2fast").joinpath(FILE).read_bytes()
        read: Any = pickle.loads(gzip.decompress(packed))  # noqa: S301 # trusted like the wheel's code
        version, _source, _total, (_index, names, *columns) = read
        if version not in VERSIONS:
            raise ValueError(f"{FILE} has form {version}, which is not known")
        codes: list[str] = [name.partition(":")[0] for name in names]
        self._names = [code if code.isalpha() else "" for code in codes]  # "14": private, reserved
        for firsts, ids, lengths in zip(*columns, strict=True):
            border = bisect_left(firsts, V4_END)
            self._v4.add(firsts[:border], ids[:border], lengths[:border])
            self._v6.add(firsts[border:], ids[border:], lengths[border:])

    def code_of(self, address: IPv4Address | IPv6Address) -> str:
        """Return the two letters of a country; empty when it is not known."""
        found = (self._v4 if address.version == 4 else self._v6).find(int(address))
        return "" if found is None else self._names[found]


class _Table:
    """Networks of one family, in order; of long addresses the upper bits that an array can hold.

    What is lost are networks that share those bits: of a /64 divided among countries the last.
    """

    def __init__(self, kind: Literal["I", "Q"], bits: int, dropped: int) -> None:
        self._firsts: array[int] = array(kind)
        self._ids: array[int] = array("H")
        self._lengths: array[int] = array("B")
        self._bits, self._dropped = bits, dropped

    def add(self, firsts: list[int], ids: list[int], lengths: list[int]) -> None:
        """Add networks whose addresses come after those that are there."""
        self._firsts.extend([first >> self._dropped for first in firsts])
        self._ids.extend(ids)
        self._lengths.extend(lengths)

    def find(self, address: int) -> int | None:
        """Return the code's number of the network that an address is in."""
        upper = address >> self._dropped
        at = bisect_right(self._firsts, upper) - 1
        if at < 0:
            return None
        host_bits = max(0, self._bits - self._lengths[at] - self._dropped)
        return self._ids[at] if upper - self._firsts[at] < 1 << host_bits else None
