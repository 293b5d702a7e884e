"""Apple's push service: one request to one device, with the application's certificate.

Source: Apple "Establishing a certificate-based connection to APNs", "Sending notification
requests to APNs" and "Handling notification responses from APNs".
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from adapters._answers import throttle
from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.ports import CertificateRefused, ClientCertificate, TransportError, Unsent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.ports import Answer, Clock, Http2, MobileDevice

MAX_BYTES: Final = 4096
"""Of a payload, which is the message as it was published."""

_AGAIN: Final = "authenticate the application again"
_TOKEN: Final = re.compile("[0-9A-Fa-f]{1,512}", re.ASCII)
_REASON: Final = re.compile("[A-Za-z]{1,64}", re.ASCII)
_TOPIC: Final = re.compile("[A-Za-z0-9.-]{1,255}", re.ASCII)
# A device that got too many: Apple says to wait, not how long.
_PAUSE_MS: Final = 30_000
# A server that goes away: the next connection leads to another.
_MOMENT_MS: Final = 1_000
_APPLICATIONS: Final = 1024
# A certificate for one of these says so in its bundle id, and its pushes have this type.
_TYPES: Final[Mapping[str, str]] = {".voip": "voip", ".complication": "complication"}


class _Application(NamedTuple):
    """What a certificate says of the application that it is for."""

    topic: str
    expires_ms: int
    certificate: ClientCertificate


class Apns:
    """Sends to devices of any application."""

    def __init__(
        self, http2: Http2, clock: Clock, urls: Mapping[str, str], ca_file: Path | None
    ) -> None:
        self._http2 = http2
        self._clock = clock
        self._urls = urls
        self._ca_file = ca_file
        self._applications: OrderedDict[str, _Application] = OrderedDict()

    async def send(self, device: MobileDevice, text: str, apns_id: str, until_ms: int) -> Outcome:
        """One attempt; ``apns_id`` is the same for each of them."""
        payload = _payload(text)
        if payload is None:
            return Rejected("a message of APNS is a JSON object with aps")
        application = self._application(device)
        if isinstance(application, str):
            return Rejected(application)
        url = f"{self._urls[device.platform]}/3/device/{device.token}"
        headers = _headers(payload, application.topic, apns_id, until_ms)
        try:
            answer = await self._http2.request(
                "POST", url, headers, text.encode(), certificate=application.certificate
            )
        except TransportError as error:
            return self._failed(error)
        return _judge(answer, self._clock.now_ms())

    def _failed(self, error: TransportError) -> Outcome:
        match error:
            case CertificateRefused():
                return Rejected(f"APNS: {error}: {_AGAIN}")
            case Unsent():
                # The service is not there, which is no fault of the device's: no try is spent.
                until_ms = self._clock.now_ms() + int(error.wait_s * 1000) + 1
                return Throttled(until_ms, f"APNS: {error}")
            case _:
                return Retry(f"APNS: {error}")

    def _application(self, device: MobileDevice) -> _Application | str:
        """Whose the device is, or why nothing can be sent to it."""
        if not _TOKEN.fullmatch(device.token):
            return "the device token is none of APNS"
        try:
            found = self._read(device)
        except (ValueError, x509.InvalidVersion):
            return f"the certificate of APNS cannot be read: {_AGAIN}"
        if self._clock.now_ms() >= found.expires_ms:
            return f"the certificate of APNS has expired: {_AGAIN}"
        return found

    def _read(self, device: MobileDevice) -> _Application:
        """By credentials, so that new ones count at once; ValueError if they cannot be read."""
        secrets = f"{device.principal}\n{device.credential}".encode()
        key = hashlib.sha256(secrets).hexdigest()
        found = self._applications.get(key)
        if found is None:
            chain, secret = _decoded(device.principal), _decoded(device.credential)
            leaf = _first(chain)
            found = self._applications[key] = _Application(
                _topic(leaf),
                int(leaf.not_valid_after_utc.timestamp() * 1000),
                ClientCertificate(chain, secret, self._ca_file),
            )
            if len(self._applications) > _APPLICATIONS:
                self._applications.popitem(last=False)
        self._applications.move_to_end(key)
        return found


def check_authorities(file: Path) -> None:
    """Raise `OSError` for a file that holds no certificates."""
    ssl.create_default_context(cafile=file)


def _first(chain: bytes) -> x509.Certificate:
    """The application's own certificate, of PEM or DER."""
    if b"-----BEGIN" in chain:
        return x509.load_pem_x509_certificate(chain)
    return x509.load_der_x509_certificate(chain)


def _decoded(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)


def _topic(certificate: x509.Certificate) -> str:
    """The bundle id: the subject's UID, or what follows the colon in its common name."""
    for oid in (NameOID.USER_ID, NameOID.COMMON_NAME):
        for attribute in certificate.subject.get_attributes_for_oid(oid):
            found = str(attribute.value).rpartition(": ")[2]
            if _TOPIC.fullmatch(found):
                return found
    return ""


def _payload(text: str) -> dict[str, Any] | None:
    """The message as Apple reads it; None if it is none. It is sent as it was written."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) and isinstance(given.get("aps"), dict) else None


def _headers(payload: Mapping[str, Any], topic: str, apns_id: str, until_ms: int) -> dict[str, str]:
    kind, priority = _kind(payload["aps"], topic)
    headers = {
        "content-type": "application/json",
        "apns-push-type": kind,
        "apns-priority": priority,
        "apns-expiration": str(-(-until_ms // 1000)),
        "apns-id": apns_id,
        # Should an attempt whose answer was lost be repeated the device shows it once.
        "apns-collapse-id": apns_id,
    }
    if topic:
        headers["apns-topic"] = topic
    return headers


def _kind(aps: Mapping[str, Any], topic: str) -> tuple[str, str]:
    """Type and priority: what only wakes the application up is in the background, at 5."""
    for ending, kind in _TYPES.items():
        if topic.endswith(ending):
            return kind, "10"
    shown = any(aps.get(name) is not None for name in ("alert", "badge", "sound"))
    return ("background", "5") if aps.get("content-available") and not shown else ("alert", "10")


def _judge(answer: Answer, now_ms: int) -> Outcome:
    """What an answer means; of its body only the reason counts."""
    status, reason = answer.status, _reason(answer.body)
    if status == 200:
        return Delivered(200)
    if throttled := throttle(answer, now_ms):
        return throttled
    said = f"APNS: {reason or f'HTTP {status}'}"
    pause_ms = _MOMENT_MS if reason == "Shutdown" else _PAUSE_MS if status == 429 else 0
    if pause_ms:
        return Throttled(now_ms + pause_ms, said, status)
    if status >= 500 or reason == "IdleTimeout":
        return Retry(said, status)
    return Rejected(f"{said}: {_AGAIN}" if status == 403 else said, status)


def _reason(body: bytes) -> str:
    """What Apple calls it, '' if it says nothing that is a name."""
    try:
        reason = json.loads(body)["reason"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return reason if isinstance(reason, str) and _REASON.fullmatch(reason) else ""
