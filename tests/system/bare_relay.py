"""Stock derper in Docker on a server, without the product: what its figures are compared with."""

import contextlib
import datetime as dt
import hashlib
import http.client
import io
import ipaddress
import json
import ssl
import tarfile
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.system.binaries import build
from tests.system.fleet import Server
from tests.system.processes import wait_until
from tests.system.tailnet import region

IMAGE = "bare-derper"


@dataclass(frozen=True)
class BareRelay:
    """A running derper that admits everyone."""

    server: Server
    name: str
    port: int
    stun_port: int
    pin: str

    def region(self, region_id: int, code: str) -> dict[str, Any]:
        address = self.server.address
        return region(region_id, code, address, self.port, self.stun_port, self.pin)

    def variables(self) -> dict[str, Any]:
        """Its counters, /debug/vars."""
        return json.loads(self.server.call(_get, "127.0.0.1", self.port, "/debug/vars"))

    def remove(self) -> None:
        self.server.docker("rm", "--force", self.name)


def load_image(server: Server) -> None:
    """Put an image from scratch with nothing but derper on the server."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(build().derper, "derper", filter=_rooted)
    server.write("/tmp/derper.tar", archive.getvalue())
    server.docker("import", "--change", 'ENTRYPOINT ["/derper"]', "/tmp/derper.tar", IMAGE)
    server.run(["rm", "/tmp/derper.tar"])


def command(server: Server, name: str, port: int, stun_port: int) -> list[str]:
    """The `docker run` of one bare relay; its certificate must be in /srv/NAME."""
    return [
        *("docker", "run", "--detach", "--name", name, "--network", "host"),
        *("--volume", f"/srv/{name}:/data", IMAGE),
        *("-a", f":{port}", "-stun-port", str(stun_port), "-http-port", "-1"),
        *("-hostname", server.address, "-certmode", "manual", "-certdir", "/data"),
        *("-c", "/data/derper.key"),
    ]


def lay_certificate(server: Server, name: str) -> str:
    """Put a certificate for the server's address into /srv/NAME; returns its pin."""
    certificate, key, pin = make_certificate(server.address)
    server.write(f"/srv/{name}/{server.address}.crt", certificate)
    server.write(f"/srv/{name}/{server.address}.key", key, mode=0o600)
    return pin


def start(server: Server, *, port: int = 20443, stun_port: int = 23478) -> BareRelay:
    """Image, certificate and container; returns when it listens."""
    if not server.docker("image", "ls", "--quiet", IMAGE).stdout.strip():
        load_image(server)
    name = f"bare-{port}"
    pin = lay_certificate(server, name)
    server.run(command(server, name, port, stun_port))
    wait_until(lambda: _listens(server.address, port), 10, f"{name} listens")
    return BareRelay(server, name, port, stun_port, pin)


def make_certificate(address: str, *names: str) -> tuple[bytes, bytes, str]:
    """Certificate and key in PEM for an IP address and names of it, and the pin.

    The pin is the SHA-256 of the DER in hex.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=3650))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address(address)), *map(x509.DNSName, names)]
            ),
            False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pin = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    return certificate.public_bytes(pem), secret, pin


def _get(address: str, port: int, path: str) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    conn = http.client.HTTPSConnection(address, port, timeout=5, context=context)
    with contextlib.closing(conn):
        conn.request("GET", path)
        return conn.getresponse().read()


def _listens(address: str, port: int) -> bool:
    try:
        _get(address, port, "/derp/probe")
    except OSError:
        return False
    return True


def _rooted(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.mode = 0o755
    return info
