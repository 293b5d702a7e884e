"""The signer and its certificate: whoever has the certificate can verify."""

import base64
import datetime as dt
import re

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from engine.errors import ConfigurationError
from engine.signing import CertificateSigner, make_certificate


@pytest.fixture(scope="module")
def made() -> tuple[bytes, bytes, str]:
    """Key, certificate and id, made once: it takes a while."""
    return make_certificate("region01")


@pytest.fixture
def signer(made: tuple[bytes, bytes, str]) -> CertificateSigner:
    """A signer with that key."""
    return CertificateSigner(*made, "https://smn.example.com/")


def test_certificate_alone_verifies(
    signer: CertificateSigner, made: tuple[bytes, bytes, str]
) -> None:
    """A receiver takes key and hash from the certificate, as the contract's samples do."""
    certificate = x509.load_pem_x509_certificate(made[1])
    key, algorithm = certificate.public_key(), certificate.signature_hash_algorithm
    assert isinstance(key, rsa.RSAPublicKey)
    assert isinstance(algorithm, SHA256)
    raw = base64.b64decode(signer.sign(b"text"), validate=True)
    key.verify(raw, b"text", padding.PKCS1v15(), algorithm)
    with pytest.raises(InvalidSignature):
        key.verify(raw, b"other text", padding.PKCS1v15(), algorithm)


def test_signature_is_344_characters(signer: CertificateSigner) -> None:
    """RSA-2048 in base64 with padding."""
    assert len(signer.sign(b"")) == 344


def test_same_text_has_one_signature(signer: CertificateSigner) -> None:
    """Retries and other workers send the same bytes."""
    assert signer.sign(b"text") == signer.sign(b"text")


def test_certificate_is_valid_for_ten_years(made: tuple[bytes, bytes, str]) -> None:
    """It is valid now, also for a receiver whose clock is some hours behind, and long."""
    certificate = x509.load_pem_x509_certificate(made[1])
    now = dt.datetime.now(dt.UTC)
    assert certificate.not_valid_before_utc < now - dt.timedelta(hours=12)
    assert certificate.not_valid_after_utc > now + dt.timedelta(days=3650)


def test_certificate_names_no_machine(made: tuple[bytes, bytes, str]) -> None:
    """It belongs to the data set, which moves between machines."""
    certificate = x509.load_pem_x509_certificate(made[1])
    assert certificate.subject.rfc4514_string() == "CN=Tocsin message signing,O=Tocsin"
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_certificate_url_has_the_contracts_form(signer: CertificateSigner) -> None:
    """``/smn/SMN_region_32hex.pem``, without query."""
    form = r"https://smn\.example\.com/smn/SMN_region01_[0-9a-f]{32}\.pem"
    assert re.fullmatch(form, signer.certificate_url)


def test_key_that_is_none_is_refused(made: tuple[bytes, bytes, str]) -> None:
    """A damaged or foreign key is named at start, not at the first message."""
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    for key in (b"", b"nonsense", other):
        with pytest.raises(ConfigurationError):
            CertificateSigner(key, made[1], made[2], "http://x")
