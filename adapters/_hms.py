"""Huawei's Push Kit: OAuth for the application, then one message to one device.

Source: HMS Core "Sending Downlink Messages" (``/v1/{appid}/messages:send``), "Common Response
Codes" and "Client Credentials". Messages are written in the older form that the SMN contract
shows (``{"hps": …}``), whose own interface is no longer offered; `translate` says them anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from adapters._answers import judge, snippet
from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.ports import Answer, TransportError

if TYPE_CHECKING:
    from engine.ports import Clock, Gateway, MobileDevice

MAX_BYTES: Final = 2048
"""Of a message (SMN "Application Message Format")."""

_LONGEST_TTL_S: Final = 1_296_000
# A token is not used in its last minute: the request that carries it takes time.
_MARGIN_MS: Final = 60_000
# Asking again with credentials that were just refused would not help them.
_REFUSED_MS: Final = 30_000
_APPLICATIONS: Final = 1024
_AGAIN: Final = "HMS refuses the application's credentials: authenticate it again"

_CODE: Final = re.compile("[0-9]{1,16}", re.ASCII)
_SUCCESS: Final = "80000000"
# The token is not, or no longer, one of the application's.
_UNAUTHORISED: Final = frozenset({"80200001", "80200003"})
# An error of theirs: inside, and while they asked their own OAuth service.
_THEIRS: Final = frozenset({"81000001", "80600003"})
_CODES: Final[Mapping[str, str]] = {
    "80100000": "the device token is not valid",
    "80100003": "the message is malformed",
    "80100016": "the message holds sensitive information",
    "80300002": "the application may not send",
    "80300007": "the device token is not valid",
    "80300008": "the message is too long",
}


class _Application:
    """What is known of one application: its token, or that it gets none."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.token = ""
        self.refusal: Outcome | None = None
        self.until_ms = 0


class Hms:
    """Sends to devices of any application."""

    def __init__(self, gateway: Gateway, clock: Clock, token_url: str, url: str) -> None:
        self._gateway = gateway
        self._clock = clock
        self._token_url = token_url
        self._url = url
        self._applications: OrderedDict[str, _Application] = OrderedDict()

    async def send(self, device: MobileDevice, text: str, until_ms: int) -> Outcome:
        """One attempt; a token that is refused is replaced once."""
        message = translate(text)
        if isinstance(message, str):
            return Rejected(message)
        application = self._application(device)
        ttl_s = -(-(until_ms - self._clock.now_ms()) // 1000)
        body = _body(message, device.token, min(max(ttl_s, 1), _LONGEST_TTL_S))
        outcome, refused = await self._attempt(application, device, body)
        if refused:
            outcome, _ = await self._attempt(application, device, body)
        return outcome

    async def _attempt(
        self, application: _Application, device: MobileDevice, body: bytes
    ) -> tuple[Outcome, bool]:
        """The outcome, and whether it is only for the token that was kept."""
        token = await self._token(application, device)
        if not isinstance(token, str):
            return token, False
        url = f"{self._url}/v1/{quote(device.principal, safe='')}/messages:send"
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Authorization": f"Bearer {token}",
        }
        answer = await self._post(url, headers, body)
        if not isinstance(answer, Answer):
            return answer, False
        code = _code(answer)
        refused = code in _UNAUTHORISED or (not code and answer.status == 401)
        if refused and application.token == token:
            application.until_ms = 0
        secrets = (token, device.token, device.credential)
        return self._judge(answer, code, secrets), refused

    def _judge(self, answer: Answer, code: str, secrets: Sequence[str]) -> Outcome:
        """The code in the body decides; without one it is the status, which 2xx alone is not."""
        status = answer.status
        if code == _SUCCESS and status < 300:
            return Delivered(status)
        said = snippet(answer.body, secrets)
        if code in _UNAUTHORISED or status == 401:
            return Rejected(f"{_AGAIN} (HMS {code or status})", status)
        busy = code in _THEIRS or status == 429 or status >= 500
        if code and not busy:
            reason = f"{_CODES[code]} (HMS {code})" if code in _CODES else f"HMS {code}"
            return Rejected(reason, status, said)
        outcome = judge(answer, self._clock.now_ms(), secrets)
        if busy and not isinstance(outcome, Throttled):
            return Retry(f"HMS {code}" if code else f"HTTP {status}", status, 0, said)
        if isinstance(outcome, Delivered):
            return Retry("the answer is none of HMS", status, 0, said)
        return outcome

    # Tokens

    def _application(self, device: MobileDevice) -> _Application:
        """By credentials, so that new ones get a new token."""
        secrets = f"{device.principal}\n{device.credential}".encode()
        key = hashlib.sha256(secrets).hexdigest()
        found = self._applications.get(key)
        if found is None:
            found = self._applications[key] = _Application()
            if len(self._applications) > _APPLICATIONS:
                self._applications.popitem(last=False)
        self._applications.move_to_end(key)
        return found

    async def _token(self, application: _Application, device: MobileDevice) -> str | Outcome:
        """The application's token, or why there is none; asked for by one at a time."""
        async with application.lock:
            if self._clock.now_ms() < application.until_ms:
                return application.refusal or application.token
            form = {
                "grant_type": "client_credentials",
                "client_id": device.principal,
                "client_secret": device.credential,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await self._post(self._token_url, headers, urlencode(form).encode())
            if not isinstance(answer, Answer):
                return answer
            now_ms = self._clock.now_ms()
            found = _token_of(answer)
            if found is not None:
                application.token, seconds = found
                application.refusal = None
                application.until_ms = now_ms + max(seconds * 1000 - _MARGIN_MS, 1_000)
                return application.token
            refusal = _refused(answer, now_ms)
            if isinstance(refusal, Rejected):
                application.refusal, application.until_ms = refusal, now_ms + _REFUSED_MS
            return refusal

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer | Outcome:
        try:
            return await self._gateway.request("POST", url, headers, body)
        except TransportError as error:
            return error.outcome


def translate(text: str) -> dict[str, Any] | str:
    """A message of the contract as Push Kit's v1 interface takes it, or what is wrong with it.

    ``{"hps": {"msg": {"type": 1, "body": …}}}`` is data for the application, which is also what
    any other text is; type 3 is a notification with ``content``, ``title`` and an action. Of
    ``ext`` count ``biTag``, ``icon`` (a URL: it is shown as the notification's image) and, in a
    notification, ``customize``.
    """
    given = _read(text)
    if not isinstance(given, dict) or "hps" not in given:
        return {"data": text}
    try:
        _json(given).encode()
    except UnicodeEncodeError:  # an escape made it (RFC 8259 §8.2), and UTF-8 has no form of it
        return "an HMS message holds half a surrogate pair"
    hps = given["hps"]
    message = hps.get("msg") if isinstance(hps, dict) else None
    if not isinstance(message, dict):
        return "an HMS message has hps.msg"
    extension = hps.get("ext")
    extension = extension if isinstance(extension, dict) else {}
    kind, body = message.get("type"), message.get("body")
    android: dict[str, Any] = {}
    if isinstance(extension.get("biTag"), str):
        android["bi_tag"] = extension["biTag"]
    if kind == 1 and body is not None:
        return {"data": body if isinstance(body, str) else _json(body), "android": android}
    if kind == 3 and isinstance(body, dict):
        return _notification(body, message.get("action"), extension, android)
    return "hps.msg of HMS has type 1 or 3 and a body"


def _notification(
    body: Mapping[str, Any], action: object, extension: Mapping[str, Any], android: dict[str, Any]
) -> dict[str, Any] | str:
    title, content = body.get("title"), body.get("content")
    if not isinstance(title, str) or not isinstance(content, str):
        return "a notification of HMS has a title and content"
    shown = {"title": title, "body": content}
    if isinstance(extension.get("icon"), str):
        shown["image"] = extension["icon"]
    android["notification"] = {"click_action": _click(action)}
    message: dict[str, Any] = {"notification": shown, "android": android}
    if extension.get("customize") is not None:
        message["data"] = _json(extension["customize"])
    return message


def _click(action: object) -> dict[str, Any]:
    """What a tap does: an intent (1), a URL (2), or the application opens (3)."""
    given = action if isinstance(action, dict) else {}
    parameters = given.get("param")
    parameters = parameters if isinstance(parameters, dict) else {}
    kind = given.get("type")
    for number, name in ((1, "intent"), (2, "url")):
        if kind == number and isinstance(parameters.get(name), str):
            return {"type": number, name: parameters[name]}
    return {"type": 3}


def _body(message: Mapping[str, Any], token: str, ttl_s: int) -> bytes:
    android = {**message.get("android", {}), "ttl": f"{ttl_s}s"}
    whole = {"validate_only": False, "message": {**message, "android": android, "token": [token]}}
    return _json(whole).encode()


def _code(answer: Answer) -> str:
    """The code in the answer's body, '' if there is none."""
    given = _read(answer.body.decode(errors="replace"))
    code = given.get("code") if isinstance(given, dict) else None
    return str(code) if _CODE.fullmatch(str(code)) else ""


def _token_of(answer: Answer) -> tuple[str, int] | None:
    """The token and its seconds; None if the answer is none."""
    given = _read(answer.body.decode(errors="replace"))
    if answer.status != 200 or not isinstance(given, dict):
        return None
    token, seconds = given.get("access_token"), given.get("expires_in")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        return None
    if not token or not isinstance(seconds, int) or not 0 < seconds < 10**9:
        return None
    return token, seconds


def _refused(answer: Answer, now_ms: int) -> Outcome:
    """Why there is no token. Of what is said nothing is kept: it may repeat the secret."""
    status = answer.status
    if status < 300:
        return Retry("HMS answers without a token", status)
    if status == 429 and answer.retry_after is None:
        return Retry("HTTP 429", 429)
    outcome = judge(Answer(status, answer.retry_after), now_ms)
    return (
        Rejected(f"{_AGAIN} (HTTP {status})", status) if isinstance(outcome, Rejected) else outcome
    )


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
