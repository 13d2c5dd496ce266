"""Lines that a node should not take: of its protocol with something wrong, or none at all."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

HOSTILE: list[Any] = [
    *("; touch /tmp/owned", "$(touch /tmp/owned)", "`touch /tmp/owned`", "| sh", "\n/bin/sh\n"),
    *("../../../etc/cron.d/owned", "/etc/passwd", "/var/run/docker.sock", "..", ".", "/", ""),
    *("--privileged", "-v=/:/host", "--network=none", "host", "\x00", "\x00/etc/passwd", "%n%s%x"),
    *("derper --debug", "203.0.113.9 --pid=host", "203.0.113.9\n--privileged", "[::1]", "0.0.0.0"),
    *("\u202eevil", "\ud800", "A" * 70_000, "relay-1-g1", "ubuntu:latest", "sha256:" + "0" * 64),
    *(-1, 0, 1, 22, 65536, 2**31, 2**53, 2**63, 2**64, -(2**63), 1e308, 0.5, True, False, None),
    *([], {}, [[]], [None], {"": ""}, [{"id": 1}], {"privileged": True}),
]
EXTRA = {
    "privileged": True,
    "binds": ["/:/host"],
    "mounts": [{"source": "/", "target": "/host"}],
    "image": "evil:latest",
    "command": ["/bin/sh"],
    "entrypoint": ["/bin/sh"],
    "env": {"LD_PRELOAD": "/tmp/owned.so"},
    "network_mode": "bridge",
    "cap_add": ["SYS_ADMIN"],
    "user": "0:0",
    "__proto__": {},
    "Relays": [],
}


class Attack:
    """Messages that a node should not take, from a seed."""

    def __init__(self, random: Random, wish: dict[str, Any]) -> None:
        self._random = random
        self._number = 100
        pin = "0" * 64
        chunk = {"size": 10, "sha256": pin, "signature": "AAAA", "offset": 0, "data": "AAAA"}
        target = {"address": "169.254.169.254", "port": 80, "pin": pin}
        self._bodies: list[tuple[str, dict[str, Any]]] = [
            ("hello", {}),
            *[("apply", wish)] * 4,
            ("snapshot", {"cursor": None}),
            ("watch", {"cursor": None}),
            ("image", {"label": "derper-9.9.9-0123456789ab", **chunk}),
            ("use_image", {"label": "derper-9.9.9-0123456789ab"}),
            ("remake", {"relay": 1, "label": "derper-9.9.9-0123456789ab"}),
            ("upgrade", {"version": "9.9.9", **chunk}),
            ("probe", {"targets": [target], "timeout_ms": 1}),
            ("listen", {"ports": [20990], "token": "token-of-a-drill", "seconds": 1}),
            ("retire", {"generation": 0}),
        ]

    def message(self) -> bytes:
        """Return one line: of the protocol with something wrong in it, or no line at all."""
        self._number += 1
        if self._random.random() < 0.15:
            return self._noise()
        verb, body = self._random.choice(self._bodies)
        told: dict[str, Any] = {"id": self._number, "verb": verb, "body": copy.deepcopy(body)}
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            self._spoil(told)
        if verb == "retire" and told.get("verb") == "retire":
            told["body"] = {"generation": 0, "x": self._random.choice(HOSTILE)}  # it would work
        return json.dumps(told).encode("utf-8", "surrogatepass")

    def _spoil(self, told: dict[str, Any]) -> None:
        places = list(_places(told))
        holder, name = self._random.choice(places)
        kind = self._random.random()
        if kind < 0.7:
            fitting = [one for one in HOSTILE if type(one) is type(holder[name])]
            wild = not fitting or self._random.random() < 0.3
            holder[name] = copy.deepcopy(self._random.choice(HOSTILE if wild else fitting))
        elif kind < 0.8 and isinstance(holder, dict):
            del holder[name]
        elif isinstance(holder, dict):
            extra = self._random.choice(list(EXTRA))
            holder[extra] = EXTRA[extra]

    def _noise(self) -> bytes:
        choose = self._random.choice
        whole = json.dumps({"id": self._number, "verb": "hello", "body": {}}).encode()
        return choose(
            [
                b"",
                b"\x00" * choose([1, 100, 5000]),
                self._random.randbytes(choose([1, 50, 4000])).replace(b"\n", b" "),
                whole[: self._random.randrange(len(whole))],
                whole + whole,
                b"[" * choose([10, 1000, 100_000]),
                b'{"a":' * choose([10, 1000, 50_000]),
                whole.replace(b'"hello"', b'"hello","verb":"retire"'),
                whole.replace(b"hello", b"HELLO"),
                whole.replace(b"hello", b"hel\xfflo"),
                b"GET /containers/json HTTP/1.1\r\nHost: docker\r\n\r",
                b"SSH-2.0-OpenSSH_9.2\r",
                b"#!/bin/sh\x00touch /tmp/owned",
                b"\xef\xbb\xbf" + whole,
                b'{"id":1,"verb":"' + b"x" * choose([100, 100_000]) + b'"}',
                b"1" * choose([10, 10_000]),
            ]
        )


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what can be replaced, as the dict or list that holds it and its name there."""
    items: list[Any] = []
    if isinstance(value, dict):
        items = list(value.items())  # pyright: ignore[reportUnknownArgumentType] # of JSON
    elif isinstance(value, list):
        items = list(enumerate(value))  # pyright: ignore[reportUnknownArgumentType] # of JSON
    for name, inner in items:
        yield value, name
        yield from _places(inner)
