"""Emulators of what operators are told through: a webhook's receiver, robots of WeCom, DingTalk.

They do what their makers publish: a receiver checks signatures as standardwebhooks.com says;
robots answer 200 with an `errcode`, refuse wrong keys and signatures, texts that are too long, and
more than 20 messages a minute.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
WECOM_KEY = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"
DINGTALK_TOKEN = "566cc69da782ec33e1aa"
DINGTALK_SECRET = "SECd7b1c0ffee"


@dataclass(frozen=True)
class Told:
    """One request that was taken."""

    kind: str
    key: str
    content: dict[str, Any]

    @property
    def text(self) -> str:
        """What a reader sees."""
        return self.content["text"] if self.kind == "webhook" else self.content["text"]["content"]


@dataclass
class Receivers:
    """All three on one port of loopback; `status` and `delay` may be changed at any time."""

    status: int = 200
    """What the webhook's receiver answers to a request that is in order."""
    delay: float = 0.0
    clock: Callable[[], datetime] | None = None
    """What the emulators take for the time; that of requests must be near. None: any."""
    told: list[Told] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    robot_answer: dict[str, Any] | None = None
    """What robots say instead of their own answer."""
    _times: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        receivers = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                time.sleep(receivers.delay)
                status, answer = receivers.take(self.path, headers, body)
                with contextlib.suppress(OSError):  # the other side gave up waiting
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, format, *args):  # noqa: A002 # the base class names it
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def webhook_url(self) -> str:
        return f"http://{HOST}:{self.port}/hook?for=derpman"

    @property
    def wecom_url(self) -> str:
        return f"http://{HOST}:{self.port}/cgi-bin/webhook/send?key={WECOM_KEY}"

    @property
    def dingtalk_url(self) -> str:
        return f"http://{HOST}:{self.port}/robot/send?access_token={DINGTALK_TOKEN}"

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Judge one request; return status and body of the answer."""
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/hook":
            return self._webhook(headers, body)
        if parts.path == "/cgi-bin/webhook/send":
            code, words = self._wecom(query, body)
        elif parts.path == "/robot/send":
            code, words = self._dingtalk(query, body)
        else:
            return 404, b""
        answer = {"errcode": code, "errmsg": words}
        if self.robot_answer is not None:
            answer = self.robot_answer
        elif code == 0:
            kind = "wecom" if parts.path.startswith("/cgi") else "dingtalk"
            self.told.append(Told(kind, "", json.loads(body)))
        if answer["errcode"] != 0:
            self.refused.append(f"{answer['errcode']}")
        return 200, json.dumps(answer).encode()

    def _webhook(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        key, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        secret = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
        signed = hmac.new(secret, f"{key}.{stamp}.".encode() + body, hashlib.sha256).digest()
        wanted = f"v1,{base64.b64encode(signed).decode()}"
        known = headers.get("webhook-signature", "").split(" ")
        if not any(hmac.compare_digest(wanted, one) for one in known):
            self.refused.append("signature")
            return 401, b""
        if not self._is_near(float(stamp)):
            self.refused.append("timestamp")
            return 401, b""
        if self.status == 200:
            self.told.append(Told("webhook", key, json.loads(body)))
        return self.status, b""

    def _wecom(self, query: dict[str, str], body: bytes) -> tuple[int, str]:
        if query.get("key") != WECOM_KEY:
            return 93000, "invalid webhook url"
        if self._is_too_often():
            return 45009, "api freq out of limit"
        if len(json.loads(body)["text"]["content"].encode()) > 2048:
            return 40058, "text.content exceed max length 2048"
        return 0, "ok"

    def _dingtalk(self, query: dict[str, str], body: bytes) -> tuple[int, str]:
        if query.get("access_token") != DINGTALK_TOKEN:
            return 300005, "token is not exist"
        stamp = query.get("timestamp", "")
        signed = hmac.new(
            DINGTALK_SECRET.encode(), f"{stamp}\n{DINGTALK_SECRET}".encode(), hashlib.sha256
        )
        if query.get("sign") != base64.b64encode(signed.digest()).decode():
            return 310000, "sign not match"
        if not self._is_near(float(stamp) / 1000):
            return 310000, "invalid timestamp"
        if self._is_too_often():
            return 130101, "send too fast, exceed 20 times per minute"
        if len(body) > 20_000:
            return 460101, "message too long, exceed 20000 bytes"
        return 0, "ok"

    def _is_near(self, timestamp: float) -> bool:
        return self.clock is None or abs(self.clock().timestamp() - timestamp) < 300

    def _is_too_often(self) -> bool:
        now = time.monotonic() if self.clock is None else self.clock().timestamp()
        self._times = [at for at in self._times if at > now - 60]
        self._times.append(now)
        return len(self._times) > 20
