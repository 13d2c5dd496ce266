"""Certificates of relays: made here, so that the pin is known before the container exists."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=3653)
BACKDATED = timedelta(days=2)
"""Clients check NotBefore by their own clock, which may be slow."""


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for one address, as PEM, and its pin."""

    certificate: str
    private_key: str
    pin: str
    """SHA-256 of the DER form, lower-case hex: what clients compare."""


def make(address: str, now: datetime) -> Certificate:
    """Return a new P-256 certificate that names one IP address; takes about a millisecond."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now - BACKDATED + LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    private_key = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Certificate(
        certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        private_key=private_key.decode(),
        pin=hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest(),
    )
