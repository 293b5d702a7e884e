"""The parts of a message go one after another."""

from collections.abc import Iterator

from adapters._bot_requests import in_order
from engine.models import Delivered, Outcome, Rejected, Retry, Throttled

OUTCOMES: dict[str, Outcome] = {
    "d": Delivered(200),
    "r": Retry("busy"),
    "x": Rejected("no"),
    "t": Throttled(1),
}


async def test_parts_go_in_order_and_end_with_the_first_that_fails() -> None:
    """A part that fails behind others is tried once more, because a retry repeats them all."""
    for script, sent, last in (
        ("ddd", "ddd", Delivered),
        ("drdd", "drdd", Delivered),
        ("drr", "drr", Retry),
        ("drdr", "drdr", Retry),
        ("rdd", "r", Retry),
        ("dx", "dx", Rejected),
        ("dt", "dt", Throttled),
    ):
        answers, calls = iter(script), list[str]()

        async def call(answers: Iterator[str] = answers, calls: list[str] = calls) -> Outcome:
            calls.append(next(answers))
            return OUTCOMES[calls[-1]]

        assert isinstance(await in_order([call] * 3), last)
        assert "".join(calls) == sent
