"""Push certificates as Apple gives them to applications, by an authority of our own."""

from __future__ import annotations

import base64
import datetime as dt
from functools import cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from engine.ports import ClientCertificate

BUNDLE: Final = "com.example.shop"
SERVICES: Final = "Apple Push Services"
"""What a certificate for production, and for the sandbox too, is called."""
DEVELOPMENT: Final = "Apple Development IOS Push Services"
"""What one for the sandbox alone is called."""


class Authority:
    """Signs certificates; ``pem`` is its own."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        builder = self._builder(self._name, self._key, now + dt.timedelta(days=3650))
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        self.pem = builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)

    def sign(
        self, subject: x509.Name, expires: dt.datetime
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A certificate for a year, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._builder(subject, key, expires).sign(self._key, SHA256()), key

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, expires: dt.datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(expires - dt.timedelta(days=3650))
            .not_valid_after(expires)
        )


@cache
def apple() -> Authority:
    """The authority that the service believes."""
    return Authority("Apple Worldwide Developer Relations")


def push_certificate(
    expires: dt.datetime | None = None,
    encoding: Encoding = Encoding.PEM,
    bundle: str = BUNDLE,
    *,
    name: str = SERVICES,
    authority: Authority | None = None,
) -> tuple[str, str]:
    """Certificate and key as an application is created with them; valid for a day if not said."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.USER_ID, bundle),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{name}: {bundle}"),
        ]
    )
    expires = expires or dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    certificate, key = (authority or apple()).sign(subject, expires)
    secret = key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())
    return _base64(certificate.public_bytes(encoding)), _base64(secret)


def client_certificate(
    ca_file: Path | None = None, given: tuple[str, str] | None = None
) -> ClientCertificate:
    """As a client shows it: a new one, or that of an application."""
    chain, key = map(base64.b64decode, given or push_certificate())
    return ClientCertificate(chain, key, ca_file)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
