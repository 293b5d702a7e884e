"""What sits in a seat of the roster: ``status first created_ms JSON``.

The JSON is ``[id, endpoint, remark, extension]``, and ``[[name, values…], …]`` after it where
there are filter policies. Scripts change the first two numbers and never look into the JSON;
this module is the only one that knows it. An extension, and an endpoint that its adapter calls
a secret, are encrypted under the master key (`engine.vault`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.models import NOTHING, FilterPolicy, Status, Subscription, SubscriptionCard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.vault import Vault

# What `json.loads` does to a text, without the searches for blanks around it.
_parse: Final = json.JSONDecoder().raw_decode
_STATUSES: Final = {b"%d" % status: status for status in Status}


@dataclass(frozen=True, slots=True)
class Wish:
    """A subscription to be made."""

    endpoint: str
    remark: str = ""
    extension: Mapping[str, object] | None = None


class Seats:
    """Reads and writes the values of seats."""

    def __init__(self, vault: Vault, secret_endpoints: frozenset[str]) -> None:
        self._vault = vault
        self._secret_endpoints = secret_endpoints

    def decode(
        self, topic_id: str, topic_urn: str, protocol: str, page: int, seat: int, value: bytes
    ) -> Subscription:
        """Read a seat's value."""
        status, first, created, body = value.split(b" ", 3)
        identifier, endpoint, remark, extension, *more = _parse(body.decode())[0]
        if protocol in self._secret_endpoints:
            endpoint = self._opened(identifier, endpoint)
        opened = NOTHING
        if extension is not None:
            opened = json.loads(self._vault.decrypt(extension, f"extension:{identifier}"))
        return Subscription(
            id=identifier,
            topic_id=topic_id,
            topic_urn=topic_urn,
            protocol=protocol,
            endpoint=endpoint,
            status=_STATUSES[status],
            page=page,
            seat=seat,
            first=int(first),
            remark=remark,
            extension=opened,
            created_ms=int(created),
            filters=tuple(FilterPolicy(name, tuple(values)) for name, *values in more[0])
            if more
            else (),
        )

    def cards(
        self, topic_id: str, protocol: str, page: int, seats: Mapping[bytes, bytes]
    ) -> list[SubscriptionCard]:
        """What lists search of some of one page, in the same order."""
        parts = [value.split(b" ", 3) for value in seats.values()]
        # All at once: as documents of their own they take several times as long.
        bodies = json.loads(b"[%b]" % b",".join(part[3] for part in parts))
        secret = protocol in self._secret_endpoints
        return [
            SubscriptionCard(
                f"{created.decode()}{topic_id}{body[0]}",
                topic_id,
                body[0],
                protocol,
                page,
                int(seat),
                _STATUSES[status],
                self._opened(*body[:2]) if secret else body[1],
                body[2].lower(),
            )
            for seat, (status, _, created, _), body in zip(seats, parts, bodies, strict=True)
        ]

    def encode(self, protocol: str, identifier: str, wish: Wish) -> tuple[str, str, str]:
        """A new one as the script takes it: id, digest of its endpoint, JSON."""
        endpoint = wish.endpoint
        if protocol in self._secret_endpoints:
            endpoint = self._vault.encrypt(endpoint, f"endpoint:{identifier}")
        extension = None
        if wish.extension:
            plain = json.dumps(wish.extension, separators=(",", ":"), ensure_ascii=False)
            extension = self._vault.encrypt(plain, f"extension:{identifier}")
        body = dump([identifier, endpoint, wish.remark, extension])
        return identifier, self.digest(protocol, wish.endpoint), body

    def digest(self, protocol: str, endpoint: str) -> str:
        """By which a subscription is found without its endpoint being readable."""
        return self._vault.keyed_hash(f"{protocol}\n{endpoint}", "endpoint")

    def _opened(self, identifier: str, endpoint: str) -> str:
        return self._vault.decrypt(endpoint, f"endpoint:{identifier}")


def dump(body: Sequence[Any]) -> str:
    """The JSON of a seat."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
