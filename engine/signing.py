"""Signs what HTTP subscribers verify, and makes the certificate they verify it with.

Source: SMN "Message Signature Verification": RSA PKCS#1 v1.5 with SHA-256, base64. Verifiers
take the hash from the certificate's own signature algorithm, so it is SHA-256 too.
"""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from engine.errors import ConfigurationError

_KEY_BITS: Final = 2048
_VALID: Final = dt.timedelta(days=3653)
# Receivers whose clock is behind must not see a certificate from the future.
_BACKDATED: Final = dt.timedelta(days=1)
_PADDING: Final = padding.PKCS1v15()
_HASH: Final = SHA256()


def make_certificate(region: str) -> tuple[bytes, bytes, str]:
    """A new key and its self-signed certificate, valid for ten years.

    Returns (private key PEM, certificate PEM, certificate id); it names no machine, because
    it belongs to the data set. Takes a tenth of a second or so of computing.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tocsin"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Tocsin message signing"),
        ]
    )
    now = dt.datetime.now(dt.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, _HASH)
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
    return key_pem, certificate_pem, f"SMN_{region}_{uuid.uuid4().hex}.pem"


class CertificateSigner:
    """Signs with the data set's key; an implementation of the ``Signer`` port.

    ``base_url`` is the public origin.
    """

    def __init__(
        self, key_pem: bytes, certificate_pem: bytes, certificate_id: str, base_url: str
    ) -> None:
        try:
            key = serialization.load_pem_private_key(key_pem, password=None)
        except ValueError as error:
            raise ConfigurationError("The signing key of the data set is not a PEM key.") from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ConfigurationError("The signing key of the data set is not an RSA key.")
        self._key = key
        self.certificate_pem: Final = certificate_pem
        self.certificate_id: Final = certificate_id
        self.base_url = base_url.rstrip("/")

    @property
    def certificate_url(self) -> str:
        """Where receivers fetch the certificate, without authentication."""
        return f"{self.base_url}/smn/{self.certificate_id}"

    def sign(self, text: bytes) -> str:
        """Base64 of the signature: 344 characters."""
        return base64.b64encode(self._key.sign(text, _PADDING, _HASH)).decode()
