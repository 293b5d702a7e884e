"""Whoever is called, in whatever order calls end: rounds are kept."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.policy.rounds import ANSWERED, ENDED, OPEN, Call, Rounds, decide, next_look_ms

POLICIES = st.lists(st.integers(1, 4), min_size=1, max_size=5).flatmap(
    lambda sizes: st.permutations(range(len(sizes))).map(
        lambda orders: {
            order: tuple(f"{order}{letter}" for letter in string.ascii_lowercase[:size])
            for order, size in zip(orders, sizes, strict=True)
        }
    )
)


class Escalation:
    """One message: who is being called, and what is written down of it, a piece at a time."""

    def __init__(self, rounds: Rounds, answering: frozenset[str]) -> None:
        self.rounds = rounds
        self.answering = answering
        self.written = OPEN * len(rounds.line)
        self.unwritten: list[str] = []
        self.ringing: set[str] = set()
        self.called: list[str] = []
        self.spared: set[str] = set()

    def look(self) -> None:
        """Everybody who still waits asks once."""
        for name in self.rounds.line:
            if name in self.called or name in self.spared:
                continue
            match decide(self.written[: self.rounds.before(name)]):
                case Call.NOW:
                    self.called.append(name)
                    self.ringing.add(name)
                case Call.NEVER:
                    self.spared.add(name)
                    self.unwritten.append(self._mark(name, ENDED))
                case Call.LATER:
                    pass

    def end(self, name: str) -> None:
        """A call ends."""
        self.ringing.remove(name)
        mark = ANSWERED if name in self.answering else ENDED
        self.unwritten.append(self._mark(name, mark))

    def write(self, which: int, *, again: bool) -> None:
        """A flush is written, possibly not for the last time."""
        marks = self.unwritten[which] if again else self.unwritten.pop(which)
        self.written = "".join(map(max, self.written, marks))

    def _mark(self, name: str, mark: str) -> str:
        place = self.rounds.place(name)
        assert place is not None
        return OPEN * place + mark + OPEN * (len(self.rounds.line) - place - 1)


@settings(deadline=None)
@given(st.data(), POLICIES)
def test_rounds_are_kept(data: st.DataObject, polling: dict[int, tuple[str, ...]]) -> None:
    """One after another until somebody answers; flushes may come late, twice, in any order."""
    names = [name for order in sorted(polling) for name in polling[order]]
    answering = data.draw(st.frozensets(st.sampled_from(names)))
    escalation = Escalation(Rounds(polling), answering)
    order_of = {name: order for order, ids in polling.items() for name in ids}
    over: set[str] = set()
    escalation.look()
    while escalation.ringing or escalation.unwritten:
        before = set(escalation.called)
        if escalation.ringing and (not escalation.unwritten or data.draw(st.booleans())):
            ended = data.draw(st.sampled_from(sorted(escalation.ringing)))
            escalation.end(ended)
            over.add(ended)
        else:
            which = data.draw(st.integers(0, len(escalation.unwritten) - 1))
            escalation.write(which, again=False)
        if bool(escalation.unwritten) and data.draw(st.booleans()):
            escalation.write(0, again=True)
        escalation.look()
        for name in set(escalation.called) - before:
            earlier = {one for one in names if order_of[one] < order_of[name]}
            assert earlier <= over, "called before its time"
            assert not earlier & answering, "called although somebody had answered"
    last = min((order_of[name] for name in answering), default=max(polling))
    assert set(escalation.called) == {name for name in names if order_of[name] <= last}
    assert set(escalation.spared) == {name for name in names if order_of[name] > last}


def test_who_is_in_no_round_waits_for_nobody() -> None:
    """It has no place, and no mark of others concerns it."""
    rounds = Rounds({1: ("a",), 2: ("b",)})
    assert rounds.place("x") is None
    assert decide("22"[: rounds.before("x")]) is Call.NOW


@pytest.mark.parametrize(
    ("age_ms", "soon", "wait_ms"),
    [(0, False, 1_000), (30_000, False, 3_000), (3_600_000, False, 10_000), (60_000, True, 1_000)],
)
def test_looks_become_rarer(age_ms: int, wait_ms: int, *, soon: bool) -> None:
    """A tenth of the message's age, between one second and ten; one where looking is cheap."""
    assert next_look_ms(1_000_000 + age_ms, 1_000_000, soon=soon) == 1_000_000 + age_ms + wait_ms
