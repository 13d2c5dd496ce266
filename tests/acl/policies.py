"""Policies as customers might have them, for property tests: any layout, comments anywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

_blank = st.sampled_from(["", " ", "\n", "\n  ", "\n\t", "\n\n    ", "\r\n"])
_comment = st.sampled_from(
    [
        "// c\n",
        "/* c */",
        '// "931": {\n',
        '/* } , "derpMap": [ */',
        "//\r\n",
        "/* a\n b */",
        "//,\n",
    ]
)
extras = st.lists(st.one_of(_blank, _comment), max_size=3).map("".join)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.text(max_size=6),
    st.sampled_from(["// no comment", "derpMap", "}", "*/"]),
)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
_other_keys = st.sampled_from(["acls", "groups", "tagOwners", "hosts", "ssh", "ü", "a\\b"])
_node = st.fixed_dictionaries(
    {
        "Name": st.sampled_from(["950a", "951a"]),
        "HostName": st.sampled_from(["h.example", "10.0.0.1"]),
    }
)
_regions = st.dictionaries(
    st.sampled_from(["950", "951", "1", "902"]),
    st.none()
    | st.fixed_dictionaries({"RegionID": st.just(950), "Nodes": st.lists(_node, max_size=2)}),
    max_size=3,
)
_derp_maps = st.fixed_dictionaries(
    {},
    optional={
        "Regions": st.none() | _regions,
        "OmitDefaultRegions": st.booleans(),
        "HomeParams": st.just({"RegionScore": {"950": 0.5}}),
    },
)


@dataclass(frozen=True)
class Policy:
    text: str
    plain: dict[str, Any]


@st.composite
def policies(draw: DrawFn) -> Policy:
    plain: dict[str, Any] = draw(st.dictionaries(_other_keys, _values, max_size=4))
    if draw(st.booleans()):
        plain["derpMap"] = draw(st.none() | _derp_maps)
        order = draw(st.permutations(list(plain)))
        plain = {key: plain[key] for key in order}
    text = draw(extras) + _written(draw, plain, ()) + draw(extras)
    return Policy(text + draw(st.sampled_from(["", "\n", "// end", "// end\n", " "])), plain)


def _written(draw: DrawFn, value: Any, path: tuple[str, ...]) -> str:
    if isinstance(value, dict):
        parts = [
            draw(extras)
            + json.dumps(_cased(draw, path, key), ensure_ascii=draw(st.booleans()))
            + draw(extras)
            + ":"
            + draw(extras)
            + _written(draw, inner, (*path, key))
            + draw(extras)
            for key, inner in value.items()  # type: ignore[reportUnknownVariableType]
        ]
        return "{" + _listed(draw, parts) + "}"
    if isinstance(value, list):
        parts = [
            draw(extras) + _written(draw, inner, (*path, "0")) + draw(extras) for inner in value
        ]  # type: ignore[reportUnknownVariableType]
        return "[" + _listed(draw, parts) + "]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


def _listed(draw: DrawFn, parts: list[str]) -> str:
    text = ",".join(parts)
    return text + ("," if parts and draw(st.booleans()) else "") + draw(extras)


def _cased(draw: DrawFn, path: tuple[str, ...], key: str) -> str:
    """Go ignores the case of these two names."""
    if (path, key) in {((), "derpMap"), (("derpMap",), "Regions")}:
        return draw(st.sampled_from([key, key.upper(), key.lower()]))
    return key
