"""What people type in never leads into our own network."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from derpman.containers import certificates
from derpman.kit.outgoing import AddressRefused, NotAnswered, Outgoing


class Site(BaseHTTPRequestHandler):
    """Tells what it was asked."""

    asked: list[tuple[str, str, dict[str, str], bytes]] = []

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked.append((self.command, self.path, headers, self.rfile.read(length)))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/secret")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * (2_000_000 if self.path == "/long" else 2))

    def do_GET(self):
        self.do_POST()

    def log_message(self, format, *args):  # noqa: A002 # the base class names it
        pass


@contextmanager
def serving(wrap: Callable[[socket.socket], socket.socket] | None = None):
    Site.asked = []
    server = HTTPServer(("127.0.0.1", 0), Site)
    if wrap:
        server.socket = wrap(server.socket)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",  # decimal
        "0177.0.0.1",  # octal
        "0x7f.1",
        "127.1",
        "0",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # metadata of most clouds
        "100.100.100.200",  # Aliyun's
        "100.64.0.1",
        "168.63.129.16",  # Azure's
        "192.0.0.192",  # Oracle's
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::10.0.0.1]",
        "[2002:7f00:1::]",  # 6to4 around 127.0.0.1
        "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",  # Teredo
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[::127.0.0.1]",
    ],
)
def test_no_way_to_write_it_leads_inside(host: str):
    with pytest.raises((AddressRefused, NotAnswered)) as refused:
        Outgoing(timeout=1).request("GET", f"http://{host}:9/")
    # a resolver that does not know old spellings finds no such host, which is as good
    assert refused.type is AddressRefused or "not known" in str(refused.value)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "47.96.0.1"])
def test_public_addresses_may_be_asked(address: str):
    assert Outgoing().may_ask(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_our_own_networks_are_never_asked(address: str):
    own = (ipaddress.IPv4Network("1.1.1.0/24"),)
    assert not Outgoing(allow_private=True, forbidden=own).may_ask(address)


def test_a_name_that_also_leads_inside_is_refused():
    outgoing = Outgoing(resolve=lambda host, port: ["1.1.1.1", "10.0.0.1"])
    with pytest.raises(AddressRefused):
        outgoing.request("GET", "https://hook.example/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "file:///etc/passwd",
        "gopher://a.example/",
        "//a.example/",
        "a.example",
        "",
        "http://",
        "http://user:pass@a.example/",
        "http://good.example\\@127.0.0.1/",
        "http://a.example:99999/",
        "http://a.example:0/",
        "http://a.example/\r\nX: y",
        "http://a.example/ b",
        "http://a\x00b.example/",
        "http://[::1%25eth0]/",
        "http://[::1/",
        "http://例子.example/",
        f"http://a.example/{'x' * 3000}",
    ],
)
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(AddressRefused):
        Outgoing(allow_private=True).request("GET", url)


def test_the_name_is_looked_up_once_and_the_judged_address_is_asked():
    """The second look-up of a rebinding name would lead elsewhere; there is none."""
    answers = iter([["127.0.0.1"]])
    with serving() as port:
        outgoing = Outgoing(allow_private=True, resolve=lambda host, port: next(answers))
        url = f"http://hook.example:{port}/in?key=1"
        answer = outgoing.request("POST", url, headers={"X-A": "b"}, body=b"{}")
    assert (answer.status, answer.body) == (200, b"xx")
    ((method, path, headers, body),) = Site.asked
    assert (method, path, body) == ("POST", "/in?key=1", b"{}")
    assert headers["host"] == f"hook.example:{port}"
    assert headers["x-a"] == "b"


def test_the_connection_itself_looks_nothing_up(monkeypatch: pytest.MonkeyPatch):
    """What is connected to is a number that was judged, never the name again."""
    asked: list[object] = []

    def connect(address, timeout):
        asked.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", connect)
    outgoing = Outgoing(resolve=lambda host, port: ["1.1.1.1", "2606:4700:4700::1111"])
    with pytest.raises(NotAnswered, match="Connection refused"):
        outgoing.request("GET", "https://hook.example/")
    assert asked == [("1.1.1.1", 443), ("2606:4700:4700::1111", 443)]


def test_a_redirect_is_an_answer():
    with serving() as port:
        answer = Outgoing(allow_private=True).request("GET", f"http://127.0.0.1:{port}/moved")
    assert answer.status == 302
    assert answer.headers["location"] == "http://127.0.0.1:1/secret"
    assert len(Site.asked) == 1


def test_a_long_answer_is_not_read_to_its_end():
    with serving() as port, pytest.raises(NotAnswered, match="longer than"):
        Outgoing(allow_private=True).request("GET", f"http://127.0.0.1:{port}/long")


def test_the_certificate_must_be_the_hosts(tmp_path: Path):
    made = certificates.make("127.0.0.1", certificates_now())
    pem = tmp_path / "pem"
    pem.write_text(made.certificate + made.private_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    trust = ssl.create_default_context(cadata=made.certificate)

    with serving(lambda plain: context.wrap_socket(plain, server_side=True)) as port:
        url = f"https://127.0.0.1:{port}/"
        assert Outgoing(allow_private=True, trust=trust).request("GET", url).status == 200
        with pytest.raises(NotAnswered, match="certificate"):
            Outgoing(allow_private=True).request("GET", url)
        elsewhere = Outgoing(
            allow_private=True, trust=trust, resolve=lambda host, port: ["127.0.0.1"]
        )
        with pytest.raises(NotAnswered, match="certificate"):
            elsewhere.request("GET", f"https://hook.example:{port}/")


def certificates_now():
    from derpman.kit.clock import utc_now

    return utc_now()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_one_that_trickles_is_cut_off(said: bytes):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def trickle() -> None:
            client, _ = listener.accept()
            with client:
                try:
                    client.sendall(said)
                    while not done.wait(0.05):
                        client.sendall(b"H")
                except OSError:
                    pass  # cut off

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        began = time.monotonic()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(NotAnswered, match="in time"):
            Outgoing(allow_private=True, timeout=0.5).request("GET", url)
        took = time.monotonic() - began
        done.set()
        thread.join(5)
    assert took < 5


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"])
def test_what_is_no_answer_is_none(said: bytes):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.sendall(said)

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/?key=secret"
        with pytest.raises(NotAnswered) as refused:
            Outgoing(allow_private=True, timeout=2).request("GET", url)
        thread.join(5)
    assert "secret" not in str(refused.value)
