"""What operators may set of bots."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from enum import StrEnum

from pydantic import Field, field_validator

from engine.adapter_settings import AdapterSettings
from engine.models import Rate


class Overflow(StrEnum):
    """What becomes of a message that is longer than the platform takes."""

    CUT = "cut"
    SPLIT = "split"


class BotSettings(AdapterSettings):
    """What every bot's operator may set."""

    overflow: Overflow = Field(
        Overflow.CUT, description="what is too long is `cut` with a mark, or `split` and counted"
    )
    parts: int = Field(
        3, ge=2, le=9, description="parts of a `split` message at most; the last is cut"
    )

    @property
    def pieces(self) -> int:
        """Messages that one delivery may take."""
        return self.parts if self.overflow is Overflow.SPLIT else 1

    @property
    def calls(self) -> int:
        """Requests that one attempt may take: a part that failed behind others has a second."""
        return self.pieces + 1 if self.pieces > 1 else 1

    def rates(self, *rates: Rate) -> tuple[Rate, ...]:
        """The platform's rates as those of attempts, each of which may take several requests.

        The parts of a message come one after another, which the larger margin is for.
        """
        if self.calls == 1:
            return rates
        return tuple(
            replace(rate, count=max(rate.count // self.calls, 1), margin_s=rate.period_s / 4)
            for rate in rates
        )


class DigestSettings(BotSettings):
    """Of bots that have rates, for which messages may have to wait."""

    digest: bool = Field(
        default=False, description="what has to wait for the bot's rate goes out as one message"
    )


class WebhookSettings(DigestSettings):
    """Of bots behind webhooks: where there are such bots beside the platform's own."""

    base_urls: list[str] = Field(
        default_factory=list,
        description="private deployments whose webhooks are taken too: what stands before"
        " the path; `https`, or a loopback address",
    )

    @field_validator("base_urls")
    @classmethod
    def _safe(cls, value: list[str]) -> list[str]:
        return [base_url(one) for one in value]


def base_url(text: str) -> str:
    """A base URL without the slash at its end; ValueError for one that secrets must not go to.

    In clear text they travel to this machine only.
    """
    found = re.fullmatch(
        r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?",
        text,
    )
    if found is None:
        raise ValueError("a base URL is like https://example.com/path, without query")
    scheme, host = found.groups()
    if scheme == "http" and not _is_loopback(host.strip("[]")):
        raise ValueError("a base URL without TLS must be a loopback address")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
