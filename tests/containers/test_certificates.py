from __future__ import annotations

import hashlib
import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from derpman.containers import certificates

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7"])
def test_certificate_is_one_that_derper_and_clients_take(address: str):
    made = certificates.make(address, NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate.encode())
    key = serialization.load_pem_private_key(made.private_key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert certificate.public_key() == key.public_key()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(address)]
    # A common name that begins with `derpkey` would be skipped by clients.
    assert certificate.subject.rfc4514_string() == f"CN={address}"
    assert certificate.not_valid_before_utc == NOW - timedelta(days=2)
    assert certificate.not_valid_after_utc > NOW + timedelta(days=3650)
    assert (
        made.pin == hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    )
    certificate.verify_directly_issued_by(certificate)


def test_no_two_are_alike():
    assert certificates.make("203.0.113.7", NOW).pin != certificates.make("203.0.113.7", NOW).pin
