"""Short messages are counted by the hour."""

from __future__ import annotations

from typing import Any

from engine.times import iso
from tests.watching import deliver, get
from tests.worlds import World

STATISTICS = "{base}/topics/{topic}/statistics"
HOUR_MS = 3_600_000


def _hour(world: World, back: int = 0) -> str:
    return iso(world.engine.clock.now_ms() // HOUR_MS * HOUR_MS - back * HOUR_MS)


def _asked(world: World, begin: int, end: int) -> dict[str, Any]:
    return {"start_time": _hour(world, begin), "end_time": _hour(world, end)}


async def test_short_messages_are_counted(world: World, topic: str) -> None:
    """Every hour of the time is there, the last one not; other protocols do not count."""
    assert (await world.engine.create_topic("other")).urn != topic
    phones = [("sms", f"1360000000{number}") for number in range(3)]
    await deliver(world, topic, *phones, ("http", world.receiver.url("good")))
    found = await get(world, STATISTICS, **_asked(world, 3, -1))
    assert found.pop("request_id")
    assert found["total"] == {"sms": 3}
    assert [one["start_time"] for one in found["statistics"]] == [
        _hour(world, back) for back in (3, 2, 1, 0)
    ]
    assert sum(one["count"]["sms"] for one in found["statistics"]) == 3
    assert (await get(world, STATISTICS, **_asked(world, 5, 1)))["total"] == {"sms": 0}


async def test_a_month_is_counted(world: World, topic: str) -> None:
    """The longest time that can be asked for has an entry an hour."""
    found = await get(world, STATISTICS, **_asked(world, 31 * 24, -1))
    assert len(found["statistics"]) == 31 * 24 + 1


async def test_a_bad_time_is_refused(world: World, topic: str) -> None:
    """Each has the contract's code, and the topic is looked for last."""
    good, old, late = _hour(world, 2), _hour(world, 31 * 24 + 1), _hour(world, -2)
    bad = [
        *("", "x", "2026-01-02", "2026-01-02T03:04:00Z", "2026-01-02T03:00:00", "1767322800000"),
        *("2026-13-02T03:00:00Z", "0000-01-02T03:00:00Z", "9999-12-31T25:00:00Z"),
    ]
    table = [
        *(({"start_time": one, "end_time": good}, "SMN.0103") for one in (*bad, old)),
        *(({"start_time": good, "end_time": one}, "SMN.0104") for one in (*bad, late)),
        ({"end_time": good}, "SMN.0103"),
        ({"start_time": good}, "SMN.0104"),
        ({"start_time": good, "end_time": good}, "SMN.0114"),
        ({"start_time": good, "end_time": _hour(world, 3)}, "SMN.0114"),
    ]
    for query, code in table:
        for target in (STATISTICS, STATISTICS.replace("{topic}", f"{topic}-gone")):
            asked = "&".join(f"{name}={value}" for name, value in query.items())
            await world.refuses("GET", f"{target}?{asked}", status=400, code=code)
    good_query = f"start_time={_hour(world, 3)}&end_time={good}"
    gone = f"{STATISTICS.replace('{topic}', f'{topic}-gone')}?{good_query}"
    await world.refuses("GET", gone, status=404, code="SMN.0006")
    await world.refuses(
        "GET", f"{{base}}/topics/x/statistics?{good_query}", status=400, code="SMN.0005"
    )
