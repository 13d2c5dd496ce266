"""Node keys as people paste them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derpman.devices.errors import NotANodeKey, NotAStatus
from derpman.devices.keys import clean_name, devices_of_status, node_key

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize("text", [f"nodekey:{HEX}", HEX, f"  nodekey:{HEX.upper()}\n"])
def test_node_keys_are_accepted_in_one_form(text: str) -> None:
    assert node_key(text) == f"nodekey:{HEX}"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"mkey:{HEX}", "mkey"),
        (f"discokey:{HEX}", "discokey"),
        (f"privkey:{HEX}", "privkey"),
        ("tskey-auth-abc", "tskey"),
        (f"nodekey-{HEX}", "unknown"),
        (f"nodekey:{HEX}0", "unknown"),
        (f"nodekey:{HEX[:-1]}", "unknown"),
        (f"nodekey:{HEX[:-1]}g", "unknown"),
        ("nodekey:" + "0" * 64, "zero"),
        ("nodekey:" + "０" * 64, "unknown"),
        ("", "unknown"),
        ("nodekey:", "unknown"),
    ],
)
def test_what_is_no_node_key_is_named(text: str, kind: str) -> None:
    with pytest.raises(NotANodeKey) as refused:
        node_key(text)
    assert refused.value.params == {"kind": kind}


@given(st.text(max_size=200))
def test_any_text_gives_a_key_or_a_clear_no(text: str) -> None:
    try:
        key = node_key(text)
    except NotANodeKey:
        return
    assert len(key) == 72


def status(**peers: dict[str, object]) -> str:
    return json.dumps(
        {
            "Version": "1.102.5",
            "Self": {"PublicKey": f"nodekey:{HEX}", "HostName": "laptop", "OS": "linux"},
            "Peer": peers,
        }
    )


def test_status_names_own_device_and_peers() -> None:
    other = "ab" * 32
    text = status(
        x={"PublicKey": f"nodekey:{other}", "DNSName": "phone.tail1.ts.net.", "OS": "iOS"},
        same={"PublicKey": f"nodekey:{HEX}", "HostName": "again"},
        odd={"PublicKey": 7},
        odder="nothing",  # type: ignore[arg-type]
    )
    found = devices_of_status(text)
    assert [(one.name, one.system) for one in found] == [("laptop", "linux"), ("phone", "iOS")]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"Self": {}}', '{"Self": 1, "Peer": []}', "[" * 100_000]
)
def test_what_is_no_status_is_refused(text: str) -> None:
    with pytest.raises(NotAStatus):
        devices_of_status(text)


def test_names_keep_what_can_be_printed() -> None:
    assert clean_name("\u202eevil\x00 北京\n") == "evil 北京"
    assert len(clean_name("x" * 500)) == 64
