"""What holds after every step, and what holds at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from engine.models import End, Outcome, Status
from tests.integration.machine.worker import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.machine.model import Accepted
    from tests.integration.machine.snapshot import Snapshot
    from tests.integration.machine.world import World

_ROUNDS = 500
"""More than the longest backlog has quanta, with a few retries for each."""


def check_step(world: World) -> None:
    """The invariants between any two steps."""
    found = world.snapshot()
    assert not world.objections, world.objections
    assert not found.stranded, found.stranded
    _one_place_at_a_time(world, found)
    _nothing_of_the_ended(found)
    for message in world.model.messages.values():
        if not world.model.topics[message.topic_id].gone:
            _reachable(world, found, message)


def _one_place_at_a_time(world: World, found: Snapshot) -> None:
    """Each unfinished (message, page) is in one place; each finished one in none."""
    model = world.model
    expected = {p for m in model.messages.values() for p in m.pages} - model.done
    places = found.places()
    assert places == Counter(expected), (
        f"missing {sorted(expected - places.keys())},"
        f" not expected {sorted(places.keys() - expected)},"
        f" several times {[p for p, n in places.items() if n > 1]}"
    )
    unfinished = Counter(message for message, _, _ in expected)
    assert found.unfinished() == dict(unfinished), "pages left are miscounted"
    assert found.gauge() == len(unfinished), "the gauge of unfinished messages is wrong"
    rows = found.rows()
    assert rows.keys() <= expected, "a row of an ended page stayed"
    for page in expected:
        told = model.durable.get(page, 0)
        kept = rows[page].ended if page in rows else 0
        assert not told & ~kept, f"{page}: a worker was told that {told & ~kept:b} is written"


def _nothing_of_the_ended(found: Snapshot) -> None:
    """Content and ledger stay only for what is unfinished or has dead letters."""
    stored = found.named("msg").keys()
    kept = found.unfinished().keys() | {message for message, _ in found.dead()}
    assert stored == kept, f"left behind {stored - kept}, missing {kept - stored}"
    assert found.named("ledger").keys() <= stored, "a ledger without its message"


def _reachable(world: World, found: Snapshot, message: Accepted) -> None:
    """Whatever is owed and has not ended will be found by whoever runs its page."""
    rows = found.rows()
    for page in message.pages - world.model.done:
        seats = found.seats(message.topic_id, page[1], page[2])
        for identifier in world.model.open_pairs(page):
            seat = world.model.subscribers[identifier].seat
            pair = f"message {message.id} to {identifier}"
            assert seat in seats, f"{pair}: its seat is empty"
            status, first, there = seats[seat]
            assert there == identifier, f"{pair}: somebody else has its seat"
            assert message.addressed or (status == 1 and first <= message.sequence), (
                f"{pair}: its seat says status {status}, first {first} of {message.sequence}"
            )
            row = rows.get(page)
            if row is not None:
                assert not row.ended >> seat & 1, f"{pair}: ended without an end"
                wait = row.waiting.get(seat)
                assert wait is None or wait.subscription_id == identifier, f"{pair}: wrong wait"


async def finish(world: World, outcome: Callable[[str, str], Outcome]) -> None:
    """Everybody who was there is dead; one new worker brings everything to its end."""
    world.set_full(full=False)
    for worker in list(world.workers):
        await world.crash(worker)
    worker = world.workers[0]
    for _ in range(_ROUNDS):
        if not world.snapshot().places():
            return
        for protocol in PROTOCOLS:
            await world.retry(protocol, early=False)
            await world.plan(protocol)
            await worker.begin(await world.claim(worker, protocol, 100))
        await worker.begin(await worker.read(100))
        for batch in list(worker.batches):
            await worker.start(batch, 10_000)
        while worker.flights:
            flight = worker.flights[0]
            await world.answered(worker, flight, outcome(flight.message_id, flight.subscription_id))
        for batch in list(worker.batches):
            if batch.finished:
                worker.take(batch, "end")
                await worker.land(batch)
        world.pass_time(40.0)
    left = sorted(world.snapshot().places())
    raise AssertionError(f"this never ends: {len(left)} pages, such as {left[:3]}")


def check_end(world: World) -> None:
    """Nothing is under way any more: every pair has ended once, and is counted once."""
    found = world.snapshot()
    model = world.model
    finals: Counter[tuple[str, str]] = Counter()
    buried: Counter[tuple[str, str]] = Counter()
    delivered = attempts = 0
    for message_id, (identifier, _, end, code, *_) in found.lines():
        attempts += code != 0
        if not end:
            continue
        finals[message_id, identifier] += 1
        assert end != End.LOST, f"message {message_id} was lost for {identifier}"
        if end == End.DELIVERED:
            delivered += 1
            assert (message_id, identifier) in model.succeeded, "delivered, says the log, by nobody"
        else:
            buried[message_id, identifier] += 1
    assert found.counted("delivered") == delivered, "deliveries are miscounted"
    assert found.counted("attempted") == attempts, "attempts are miscounted"
    for message in model.messages.values():
        _ended_once(world, message, finals)
    gone = {m.id for m in model.messages.values() if model.topics[m.topic_id].gone}
    taken = Counter(model.redriven) + Counter(model.dropped)
    expected = {p: n for p, n in (buried - taken).items() if p[0] not in gone}
    assert {p: n for p, n in found.dead().items() if p[0] not in gone} == expected, (
        "dead letters and log differ"
    )


def _ended_once(world: World, message: Accepted, finals: Counter[tuple[str, str]]) -> None:
    """A pair that stayed owed has one line for its end, and one more for each redrive."""
    for identifier in message.owed:
        pair = message.id, identifier
        most = 1 + world.model.redriven.get(pair, 0)
        least = 0 if identifier in message.excused else most
        assert least <= finals[pair] <= most, (
            f"message {message.id} to {identifier} ended {finals[pair]} times, not {most}"
        )
    strangers = {p for p in finals if p[0] == message.id and p[1] not in message.owed}
    assert not strangers, f"ends of strangers: {strangers}"


async def check_clean(world: World) -> None:
    """When topics are purged and dead letters dropped, nothing of any message is left."""
    for topic in world.model.topics.values():
        if not topic.gone:
            await world.drop(topic.id)
    await world.purge()
    found = world.snapshot()
    for kind in ("msg", "ledger", "dead", "inbox", "backlog", "retry"):
        assert not found.named(kind), f"{kind} keys are left: {sorted(found.named(kind))}"
    assert "deads" not in found.keys, "topics with dead letters are left"
    assert "purge" not in found.keys, "deleted topics are left"
    assert all(not entries for entries in found.named("lane").values()), "lane entries are left"
    for topic in world.model.topics.values():
        if topic.gone:
            left = [k for k in found.keys if topic.id in k and not k.startswith(("counts", "idem"))]
            assert not left, f"of a purged topic there is still {left}"
    _listed(world, found)


def _listed(world: World, found: Snapshot) -> None:
    """The roster's indexes say the same as its pages."""
    for topic in world.model.topics.values():
        if topic.gone:
            continue
        seated = {s.id: f"{s.protocol}:{s.page}:{s.seat}" for s in world.model.seated(topic.id)}
        spots = found.keys.get(f"subs:{topic.id}", {})
        assert {k.decode(): v.decode() for k, v in spots.items()} == seated
        ordered = {member.decode() for member, _ in found.keys.get(f"order:{topic.id}", [])}
        assert ordered == seated.keys()
        for subscriber in world.model.seated(topic.id):
            status, _, there = found.seats(topic.id, subscriber.protocol, subscriber.page)[
                subscriber.seat
            ]
            assert there == subscriber.id
            assert (status == Status.CONFIRMED) == subscriber.confirmed
