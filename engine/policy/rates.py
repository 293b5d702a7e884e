"""What the rates of a protocol mean for its attempts. Plain functions: no await, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from engine.models import Rate


class Pace(NamedTuple):
    """Whose attempts a subscription's are counted with, and the rates that bound them.

    ``leeway_ms`` is how much later than reserved one may start.
    """

    whom: str
    rates: tuple[Rate, ...]
    leeway_ms: int


UNBOUND: Final = Pace("", (), 0)
"""Of a protocol without rates."""


def pace(rates: Sequence[Rate], peer: str, extension: Mapping[str, object]) -> Pace:
    """The pace of a subscription: of the member that a rate names if it has that, else its own.

    ``peer`` is who is reached (`engine.ports.Adapter.peer`).
    """
    if not rates:
        return UNBOUND
    of = next((rate.of for rate in rates if rate.of and rate.of in extension), "")
    own = tuple(rate for rate in rates if rate.of == of)
    return Pace(f"{of}={extension[of]}" if of else peer, own, leeway_ms(own))


def spacing(rates: Sequence[Rate]) -> list[tuple[int, int]]:
    """For each rate its count and the milliseconds that so many reservations have to cover."""
    return [(rate.count, round((rate.period_s + rate.margin_s) * 1000)) for rate in rates]


def leeway_ms(rates: Sequence[Rate]) -> int:
    """How much later than reserved an attempt may start: half of what is kept as a margin.

    The other half is for the time that one takes longer than another to arrive. 0: no rates.
    """
    return max(round(min(rate.margin_s for rate in rates) * 500), 1) if rates else 0
