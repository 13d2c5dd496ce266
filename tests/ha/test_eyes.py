"""What the panel sees of a relay: the STUN request, and what it takes for an answer."""

from __future__ import annotations

import asyncio
import struct
import zlib

from derpman.ha import eyes
from derpman.ha.probing import _seen_from
from derpman.servers.health import Patient
from derpman.servers.models import Transport
from derpman.servers.protocol import ProbeResult
from derpman.servers.states import ServerStatus

TRANSACTION = bytes(range(12))


def test_the_request_is_as_derper_demands() -> None:
    request = eyes.stun_request(TRANSACTION)
    kind, length, cookie = struct.unpack(">HHI", request[:8])
    assert (kind, length, cookie) == (1, len(request) - 20, 0x2112A442)
    assert request[8:20] == TRANSACTION
    assert request[20:32] == struct.pack(">HH", 0x8022, 8) + b"tailnode"
    body, fingerprint = request[:-8], request[-8:]
    attribute, size, value = struct.unpack(">HHI", fingerprint)
    assert (attribute, size, value) == (0x8028, 4, zlib.crc32(body) ^ 0x5354554E)


def test_only_the_answer_to_our_request_counts() -> None:
    answer = b"\x01\x01\x00\x00\x21\x12\xa4\x42" + TRANSACTION
    assert eyes.is_stun_answer(answer, TRANSACTION)
    assert not eyes.is_stun_answer(answer, bytes(12))
    assert not eyes.is_stun_answer(b"\x00\x01" + answer[2:], TRANSACTION)
    assert not eyes.is_stun_answer(answer[:19], TRANSACTION)


class Observer:
    """Says of each target what a test wants."""

    def __init__(self, *said: dict[str, object]) -> None:
        self.said = said

    async def probe(self, targets: object, *, timeout_ms: int) -> list[ProbeResult]:
        assert timeout_ms < 1000
        return [ProbeResult.model_validate({"address": "", "port": 1, **one}) for one in self.said]


def test_another_server_reaches_a_relay_by_tcp_tls_and_stun_together() -> None:
    patient = Patient(7, ServerStatus.SUSPECT, "", "", Transport.SSH, "", 22, None)
    relay: dict[str, object] = {"address": "192.0.2.1", "port": 1, "stun_port": 1}

    def reached(*said: dict[str, object], target: dict[str, object] = relay) -> bool | None:
        node = Observer(*said)
        targets = {patient: [target] * len(said)}
        return asyncio.run(_seen_from(node, targets))[7]  # type: ignore[arg-type]

    well: dict[str, object] = {"tcp_ms": 1.0, "tls": True, "stun_ms": 1.0}
    assert reached(well) is True
    for broken in ({"tcp_ms": None}, {"tls": False}, {"stun_ms": None}):
        assert reached({**well, **broken}) is False
        assert reached({**well, **broken}, well) is True, "one that is reached is enough"
    assert reached({"tcp_ms": 1.0, "tls": False}, target={"address": "", "port": 22}) is True
    assert reached() is None
