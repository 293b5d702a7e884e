"""The links that messages carry: confirm (or subscribe again), and unsubscribe.

Paths and parameters are SMN's ("HTTP or HTTPS Message Format"). A token holds all that the
confirmation needs, so that nothing is stored for one: topic id, subscription id, expiry, MAC.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.errors import Refused

if TYPE_CHECKING:
    from engine.models import Subscription
    from engine.vault import Vault

CONFIRM_MS: Final = 48 * 3600 * 1000
"""How long a link to confirm or to subscribe again is valid (SMN "Adding a Subscription")."""

_ID_BYTES: Final = 16
_EXPIRY_BYTES: Final = 8
# 16 + 16 + 8 + 24 = 64 bytes: the 128 hex digits of SMN's own tokens.
_MAC_BYTES: Final = 24
_TOKEN_BYTES: Final = 2 * _ID_BYTES + _EXPIRY_BYTES + _MAC_BYTES
_SIG_DIGITS: Final = 32


class ConfirmToken(NamedTuple):
    """What a token says: the ids are 32 hex digits each."""

    topic_id: str
    subscription_id: str
    expires_ms: int

    def check(self, now_ms: int) -> None:
        """Raise `Refused` ``SMN.0022`` once it has expired."""
        if now_ms > self.expires_ms:
            raise Refused("SMN.0022", "The link has expired; ask for a new one.")


class LinkMaker:
    """Makes and checks links; an implementation of the ``Links`` port.

    URNs stand in a query as they are: they have no character that means anything there.
    ``base_url`` is the public origin.
    """

    def __init__(self, vault: Vault, base_url: str, region: str) -> None:
        self._vault = vault
        self._region = region
        self.base_url = base_url.rstrip("/")

    def unsubscribe(self, subscription: Subscription) -> str:
        """The link by which whoever receives the messages cancels the subscription."""
        urn = subscription.urn
        return (
            f"{self.base_url}/smn/subscription/unsubscribe?region={self._region}"
            f"&region_id={self._region}&subscription_urn={urn}"
            f"&sig={self.sig(urn)}"
        )

    def confirm(self, subscription: Subscription, expires_ms: int, topic_urn: str) -> str:
        """The link that confirms the subscription until ``expires_ms``."""
        token = self.token(subscription.topic_id, subscription.id, expires_ms)
        return (
            f"{self.base_url}/smn/subscription/confirm?token={token}"
            f"&topic_urn={topic_urn}"
            f"&region={self._region}&region_id={self._region}"
        )

    def token(self, topic_id: str, subscription_id: str, expires_ms: int) -> str:
        """128 lower-case hex digits that `read_token` understands."""
        claims = (
            bytes.fromhex(topic_id)
            + bytes.fromhex(subscription_id)
            + expires_ms.to_bytes(_EXPIRY_BYTES, "big")
        )
        return (claims + self._token_mac(claims)).hex()

    def read_token(self, token: str) -> ConfirmToken:
        """What it says, expired or not; raises `Refused` ``SMN.0022`` if malformed or forged."""
        try:
            raw = bytes.fromhex(token)
        except ValueError as error:
            raise Refused("SMN.0022") from error
        claims, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        # One text a token: fromhex() also takes upper case and spaces.
        if len(raw) != _TOKEN_BYTES or raw.hex() != token:
            raise Refused("SMN.0022")
        if not hmac.compare_digest(mac, self._token_mac(claims)):
            raise Refused("SMN.0022")
        expires_ms = int.from_bytes(claims[2 * _ID_BYTES :], "big")
        topic, subscription = claims[:_ID_BYTES], claims[_ID_BYTES : 2 * _ID_BYTES]
        return ConfirmToken(topic.hex(), subscription.hex(), expires_ms)

    def sig(self, subscription_urn: str) -> str:
        """The unguessable part of an unsubscribe link: 32 hex digits, valid for ever."""
        return self._vault.mac(subscription_urn.encode(), "unsubscribe").hex()[:_SIG_DIGITS]

    def check_sig(self, subscription_urn: str, sig: str) -> bool:
        """Whether ``sig`` belongs to the URN, in time that tells nothing about it."""
        # As bytes: compare_digest() refuses text that is not ASCII.
        return hmac.compare_digest(
            self.sig(subscription_urn).encode(), sig.encode(errors="replace")
        )

    def _token_mac(self, claims: bytes) -> bytes:
        return self._vault.mac(claims, "confirm")[:_MAC_BYTES]
