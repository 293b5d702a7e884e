"""What every adapter promises the engine, as tests that any author can run.

Give an endpoint or two that the adapter takes, and say how it is made::

    from engine.testing.conformance import AdapterConformance, Sample


    class TestPager(AdapterConformance):
        samples = (Sample("pager", "https://pager.example/hook/k3y", secrets=("k3y",)),)

        def make(self, ports):
            return PagerAdapter(ports)

and run pytest. `AdapterCase` has what may be said beyond that: the settings, what servers answer
when all is well, how a protocol shows texts, connections of the adapter's own. Needs hypothesis:
``pip install tocsin[testing]``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import hypothesis

from engine.errors import CATALOG
from engine.models import Delivered, Kind, Limits, Message, Rejected, Retry, Throttled
from engine.policy import extensions, protocols
from engine.ports import AddressRefused, Answer, TransportError
from engine.testing import hostile
from engine.testing.case import (
    AdapterCase,
    assert_no_secret,
    assert_sound,
    assert_that,
    assert_well_formed,
)
from engine.testing.outgoing import Outgoing
from engine.testing.stage import LINK, MESSAGE, Play, Sample, Stage, World, shown

__all__ = ["LINK", "MESSAGE", "AdapterConformance", "Outgoing", "Sample", "Stage"]

_TO_READERS: Final = frozenset({Kind.NOTIFICATION, Kind.DIRECT})
_WITH_LINK: Final = frozenset(
    {Kind.CONFIRMATION, Kind.CANCELLATION, Kind.USER_CONFIRMATION, Kind.USER_CANCELLATION}
)
_REFUSAL: Final = 400
# Whatever an adapter remembers of a failure is over by then.
_RECOVERY_MS: Final = 3 * 3_600_000
# What a send adds to the content that all recipients share, such as a link of its own.
_OWN_BYTES: Final = 2_048
_OVERHEAD: Final = 8_192


class AdapterConformance(AdapterCase):
    """The suite: derive a class named ``Test…`` from it."""

    # How it presents itself.

    def test_every_protocol_has_a_sample(self) -> None:
        """What it claims to speak is what it is tried with."""
        with self.play() as play:
            claimed = set(play.adapter.protocols)
        tried = {sample.protocol for sample in self.samples}
        assert_that(claimed == tried, f"it claims {claimed}, and the samples are of {tried}")

    def test_limits_make_sense(self) -> None:
        """The engine enforces what the adapter declares; the contract has its say too."""
        with self.play() as play:
            limits = play.adapter.limits
            merge = getattr(play.adapter, "merge", None)
        assert_that(isinstance(limits, Limits), f"limits is {limits!r}, not Limits")
        assert_that(0 < limits.max_bytes <= 262_144, f"max_bytes is {limits.max_bytes}")
        for rate in limits.rates:
            assert_that(rate.count >= 1, f"{rate} admits nothing")
            assert_that(
                0 < rate.margin_s <= rate.period_s / 4,
                f"the margin of {rate} is not within a quarter of its period",
            )
        if limits.digest:
            assert_that(callable(merge), "it declares digests and has no method merge")
            assert_that(bool(limits.rates), "it declares digests and no rates that call for them")
        for window in limits.confirmations:
            assert_that(min(window.count, window.period_s) > 0, f"{window} admits nothing")
            assert_that(window.penalty_s >= 0, f"{window} has a negative penalty")
        assert_that(
            limits.confirmations or not limits.confirm,
            "whoever must confirm is invited, and nothing bounds that: declare confirmations",
        )
        for protocol in {sample.protocol for sample in self.samples} & protocols.TABLE.keys():
            rule = protocols.TABLE[protocol]
            assert_that(
                (limits.confirm, limits.secret_endpoint) == (rule.confirm, rule.secret),
                f"the contract says confirm={rule.confirm}, secret_endpoint={rule.secret} of"
                f" {protocol}; the adapter {limits}",
            )

    def test_the_notice_is_one_sentence_or_nothing(self) -> None:
        """Operators see it at start, on one line, without secrets."""
        with self.play() as play:
            notice = play.adapter.notice
        assert_that(isinstance(notice, str), f"notice is {notice!r}, not a text")
        assert_that(notice.isprintable(), f"notice is not one line: {notice!r}")
        assert_that(not notice or notice.endswith("."), f"notice is no sentence: {notice!r}")
        for sample in self.samples:
            assert_no_secret(sample, notice, "notice")

    # What it accepts.

    def test_a_good_endpoint_is_accepted(self, sample: Sample) -> None:
        """With its extension."""
        with self.play() as play:
            for endpoint in (sample.endpoint, *sample.others):
                refused = play.check(replace(sample, endpoint=endpoint))
                assert_that(refused is None, f"{endpoint!r} is good, and refused: {refused}")

    def test_a_bad_endpoint_gets_its_code(self, sample: Sample) -> None:
        """The caller learns what was wrong."""
        with self.play() as play:
            for endpoint, code in sample.bad.items():
                refused = play.check(replace(sample, endpoint=endpoint))
                found = "accepted" if refused is None else refused.code
                assert_that(found == code, f"{endpoint!r} must be refused as {code}: {found}")

    def test_a_hostile_endpoint_is_refused(self, sample: Sample) -> None:
        """With a code and briefly; outside the contract it may also be taken, and do no harm."""
        endings = (sample.endpoint + ending for ending in hostile.ENDINGS)
        with self.play() as play:
            for endpoint in (*hostile.ENDPOINTS, *endings):
                refused = play.check(replace(sample, endpoint=endpoint))
                if refused is None:
                    assert_that(
                        sample.protocol not in protocols.TABLE,
                        f"the endpoint {endpoint[:100]!r} is accepted",
                    )
                else:
                    assert_that(refused.code in CATALOG, f"{refused.code} is no known code")
                    assert_that(len(str(refused)) < _REFUSAL, "a refusal repeats a long endpoint")

    def test_a_hostile_extension_is_refused_or_harmless(self, sample: Sample) -> None:
        """Whatever its members are: refused with a code, or a message can be sent with it."""
        with self.play() as play:
            for name in sample.extension:
                for value in hostile.EXTENSIONS:
                    changed = replace(sample, extension={**sample.extension, name: value})
                    if play.check(changed) is None:
                        outcome, sent = play.send(changed)
                        assert_sound(sample, outcome, sent, play.world.clock)
                        assert_well_formed(sent)

    # What it makes of a message.

    def test_who_is_reached_has_one_name(self, sample: Sample) -> None:
        """A text, the same each time, that another subscription of the same endpoint has too."""
        with self.play() as play:
            subscription = sample.subscription()
            peer = play.adapter.peer(subscription)
            assert_that(bool(peer), "peer names nobody")
            other = subscription._replace(id="another", seat=subscription.seat + 1)
            assert_that(play.adapter.peer(other) == peer, "peer is not of the receiver alone")

    def test_render_and_prepare_are_pure(self, sample: Sample) -> None:
        """The same comes out for the same; nothing is sent, and nobody waits for it."""
        with self.play() as play:
            adapter, subscription = play.adapter, sample.subscription()
            made = [
                (adapter.prepare(subscription), adapter.render(MESSAGE, sample.protocol))
                for _ in range(2)
            ]
            for first, again in zip(*made, strict=True):
                assert_that(not inspect.isawaitable(first), "render and prepare must not be async")
                assert_that(
                    first == again,
                    "render and prepare must return equal values for the same message or"
                    f" subscription, as frozen dataclasses are: {first!r} is not {again!r}",
                )
            assert_that(not play.take(), "render or prepare has sent something")

    def test_every_kind_is_sent_in_every_language(self, sample: Sample) -> None:
        """Whatever the engine addresses to a subscription, the adapter has a form for it."""
        with self.play() as play:
            for kind in Kind:
                for locale in ("", "en", "zh"):
                    message = MESSAGE._replace(kind=kind, locale=locale)
                    if kind in _WITH_LINK:  # as the engine writes it, for whoever has no own text
                        message = message._replace(content={"default": f"Open {LINK}"})
                    outcome, sent = play.send(sample, message)
                    assert_that(isinstance(outcome, Delivered), f"{shown(message)} gave {outcome}")
                    assert_that(sent, f"{shown(message)} is delivered, and nothing was sent")
                    assert_well_formed(sent)
                    if kind in _WITH_LINK and play.adapter.limits.confirm:
                        assert_that(
                            LINK in self._read(sent), f"{shown(message)} does not show its link"
                        )

    def test_a_code_is_sent_in_place_of_a_link(self, sample: Sample) -> None:
        """Where the contract offers codes an invitation without a link shows the code's digits."""
        rule = protocols.TABLE.get(sample.protocol)
        if rule is None or rule.extension is not extensions.coded:
            return
        with self.play() as play:
            for kind in (Kind.CONFIRMATION, Kind.USER_CONFIRMATION):
                for locale in ("", "en", "zh"):
                    text = {"default": "123456 is your code."}
                    message = MESSAGE._replace(kind=kind, link=None, code="123456", content=text)
                    outcome, sent = play.send(sample, message._replace(locale=locale))
                    assert_that(isinstance(outcome, Delivered), f"{shown(message)} gave {outcome}")
                    # Set apart they may be, to be read one by one.
                    digits = "".join(filter(str.isdigit, self._read(sent)))
                    assert_that("123456" in digits, f"the code is not in {self._read(sent)!r}")

    def test_any_text_arrives_intact_or_is_rejected(self, sample: Sample) -> None:
        """In message, subject, display name and topic's name: sent well formed, or not at all."""
        with self.play() as play:

            @hypothesis.settings(
                max_examples=self.examples,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            @hypothesis.given(hostile.any_fields(sample.protocol))
            def holds(fields: dict[str, Any]) -> None:
                self._arrives(play, sample, MESSAGE._replace(**fields))

            for text in hostile.TEXTS:
                everywhere = MESSAGE._replace(
                    content={"default": text},
                    subject=text,
                    display_name=text,
                    topic_name=text,
                )
                for kind in Kind:
                    self._arrives(play, sample, everywhere._replace(kind=kind))
            holds()

    def test_the_longest_text_arrives_or_is_rejected(self, sample: Sample) -> None:
        """As long as ``limits.max_bytes`` admits."""
        with self.play() as play:
            most = play.adapter.limits.max_bytes
            for piece in hostile.LONG:
                text = piece * (most // len(piece.encode()))
                message = MESSAGE._replace(content={"default": text}, subject=text[:512])
                self._arrives(play, sample, message)

    def test_size_is_what_a_send_holds(self, sample: Sample) -> None:
        """The engine bounds bytes in flight by it: not less than goes out, not far more."""
        with self.play() as play:
            for length in (1, 1_000, play.adapter.limits.max_bytes):
                message = MESSAGE._replace(content={"default": "x" * length})
                size = play.adapter.size(play.adapter.render(message, sample.protocol))
                outcome, sent = play.send(sample, message)
                if isinstance(outcome, Delivered):
                    # What an entry of the outbox has around the text is no part of the content.
                    out = max(length if one.kept else len(one.body) for one in sent)
                    assert_that(
                        max(min(length, self.most), out - _OWN_BYTES)
                        <= size
                        <= 2 * out + _OVERHEAD,
                        f"size() says {size} of a text of {length} bytes; {out} bytes went out",
                    )

    # What it makes of answers.

    def test_another_try_sends_the_same(self, sample: Sample) -> None:
        """By whichever worker: receivers find repeats by it."""
        tries: list[list[object]] = []
        for _ in range(2):
            with self.play() as play:
                play.send(sample)  # the first may ask for a token too
                tries += [[self.comparable(one) for one in play.send(sample)[1]] for _ in range(2)]
        for again in tries:
            assert_that(
                again == tries[0], f"another try differs (comparable()): {again}, {tries[0]}"
            )

    def test_a_server_out_of_order_is_tried_again(self, sample: Sample) -> None:
        """No complete answer, or a 5xx, to whichever request: another try is due."""
        troubles: list[Answer | TransportError] = [TransportError("timed out")]
        troubles += [Answer(status) for status in hostile.BROKEN]
        for step, _ in enumerate(self.answers(sample)):
            for trouble in (*troubles, Answer(503, "30")):
                with self.play(self.failing(step, trouble)) as play:
                    outcome, sent = play.send(sample)
                    assert_sound(sample, outcome, sent, play.world.clock)
                    assert_that(
                        isinstance(outcome, Retry | Throttled),
                        f"{trouble!r} to request {step + 1} must give Retry or Throttled, not"
                        f" {outcome}",
                    )

    def test_whatever_comes_back_is_an_outcome(self, sample: Sample) -> None:
        """An exception out of ``send`` means a bug, so no answer may cause one."""
        for step, good in enumerate(self.answers(sample)):
            for answer in _any_answer(good):
                with self.play(self.failing(step, answer)) as play:
                    outcome, sent = play.send(sample)
                    assert_sound(sample, outcome, sent, play.world.clock)

    def test_it_recovers(self, sample: Sample) -> None:
        """After a bad answer to whichever request, a good one is believed."""
        for step, _ in enumerate(self.answers(sample)):
            for answer in (Answer(500), Answer(401), Answer(200), Answer(200, None, b"{}")):
                with self.play(self.failing(step, answer)) as play:
                    play.send(sample)
                    play.world.network.answer = self.answer
                    play.world.clock.advance(_RECOVERY_MS)
                    outcome, _ = play.send(sample)
                    assert_that(
                        isinstance(outcome, Delivered),
                        f"hours after {answer!r} to request {step + 1} the server is well, and"
                        f" send() gives {outcome}",
                    )

    def test_secrets_are_shown_nowhere(self, sample: Sample) -> None:
        """Not in a reason, an answer or the outbox, though a server repeats what it was sent."""
        for step, _ in enumerate(self.answers(sample)):
            for status in (200, 400, 404, 500):
                for form in range(2):
                    with self.play(self.echoing(step, status, form)) as play:
                        outcome, sent = play.send(sample)
                        assert_sound(sample, outcome, sent, play.world.clock)

    # How it behaves among others.

    def test_sends_do_not_disturb_each_other(self, sample: Sample) -> None:
        """One content serves any number of sends at once."""
        with self.play() as play:
            outcomes = play.send_at_once(sample, 50)
        bad = {outcome for outcome in outcomes if not isinstance(outcome, Delivered)}
        assert_that(not bad, f"of 50 sends at once some gave {bad}")

    def test_a_send_can_be_cancelled(self, sample: Sample) -> None:
        """A worker that stops is not held up by an endpoint, nor told that it failed."""
        with self.play() as play:
            fault = play.send_and_cancel(sample)
        assert_that(not fault, f"a send is cancelled, and {fault}")

    def test_close_releases_everything(self) -> None:
        """With and without a send before it, and twice; no task is left behind."""
        for sample in (None, *self.samples):
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                left = runner.run(self._close_twice(sample))
            assert_that(not left, f"close() leaves tasks behind: {left}")

    async def _close_twice(self, sample: Sample | None) -> set[asyncio.Task[Any]]:
        async with self.stage(World(self.answer, self.settings).ports) as stage:
            if sample is not None:
                content = stage.adapter.render(MESSAGE, sample.protocol)
                await stage.adapter.send(content, stage.adapter.prepare(sample.subscription()))
            await stage.adapter.close()
            await stage.adapter.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:  # cancelled ones need a moment to end
            _, left = await asyncio.wait(left, timeout=1)
        return left

    def _read(self, sent: list[Outgoing]) -> str:
        return "\n".join(map(self.readable, sent))

    def _arrives(self, play: Play, sample: Sample, message: Message) -> None:
        outcome, sent = play.send(sample, message)
        assert_sound(sample, outcome, sent, play.world.clock)
        if isinstance(outcome, Rejected):
            assert_that(not sent, f"{shown(message)} is rejected, and yet sent: {sent}")
            return
        assert_that(isinstance(outcome, Delivered), f"{shown(message)} gave {outcome}")
        assert_well_formed(sent)
        if message.kind in _TO_READERS:
            text = self.shown(message.text(sample.protocol)[: self.most])
            read = self._read(sent)
            assert_that(
                text in read,
                f"{text[:200]!r} is not in what was sent (shown(), readable()): {read[:2_000]!r}",
            )


def _any_answer(good: bytes) -> Iterator[Answer | TransportError]:
    """Everything that may come back instead of the good answer."""
    yield AddressRefused("address refused")
    for status in hostile.STATUSES:
        yield Answer(status, None, b"no")
    for wait in hostile.WAITS:
        yield Answer(429, wait)
        yield Answer(503, wait)
    for body in hostile.damaged(good):
        yield Answer(200, None, body)
    for body in hostile.damaged(b""):
        yield Answer(400, None, body)
        yield Answer(500, None, body)
