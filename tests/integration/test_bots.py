"""Bursts to group bots: each platform's rate is kept, so that none ever objects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.models import End
from tests.engines import all_ended, open_engine, working
from tests.platforms.apps import DingTalkApps, WeLink
from tests.platforms.bots import Bot, Platform, Refusal, served
from tests.platforms.dingtalk import DingTalk
from tests.platforms.lark import Lark
from tests.platforms.wecom import WeCom
from tests.virtual_time import virtually

APP = {"app_key": "key", "app_secret": "hush-hush", "robot_code": "robot"}
CLIENT = {"client_id": "key", "client_secret": "hush-hush"}


@dataclass(frozen=True)
class Case:
    """A protocol, its platform, and how its engine finds it on loopback."""

    protocol: str
    kind: Callable[[Callable[[], int]], Platform]
    setting: str
    endpoint: str
    best_s: float
    """How long 100 messages take at the documented rate."""
    extension: Mapping[str, object] = field(default_factory=dict)
    bot: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "dingding": Case(
        *("dingding", DingTalk, "TOCSIN_DINGTALK_BASE_URLS"),
        *("{base}/robot/send?access_token=token", 240),
        extension={"sign_secret": "SECx", "keyword": "alarm"},
        bot={"secret": "SECx", "keywords": ("alarm",)},
    ),
    "feishu": Case(
        *("feishu", Lark, "TOCSIN_LARK_BASE_URLS", "{base}/open-apis/bot/v2/hook/token", 19),
        extension={"sign_secret": "s3cret"},
        bot={"secret": "s3cret"},
    ),
    "wechat": Case(
        *("wechat", WeCom, "TOCSIN_WECOM_BASE_URLS", "{base}/cgi-bin/webhook/send?key=token", 240),
    ),
    "dingTalkBot": Case(
        *("dingTalkBot", DingTalkApps, "TOCSIN_DINGTALKBOT_API_URL", "token", 4), extension=APP
    ),
    "welink": Case(*("welink", WeLink, "TOCSIN_WELINK_URL", "123", 0), extension=CLIENT),
}


@dataclass
class Ground:
    """An engine with a topic that one bot is subscribed to."""

    engine: Engine
    urn: str
    platform: Platform
    bot: Bot

    async def burst(self, count: int, text: str = "disk full", ttl: int | None = None) -> None:
        """Publish so many messages and wait for the end of all."""
        for number in range(count):
            await self.engine.publish(self.urn, f"{number} {text}", ttl=ttl)
        async with working(self.engine):
            await all_ended(self.engine, pause=1.0)

    @property
    def took_s(self) -> float:
        """Seconds from the first message to the last."""
        return (self.bot.shown[-1].at_ms - self.bot.shown[0].at_ms) / 1000


@asynccontextmanager
async def ground(
    case: Case, url: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Ground]:
    """The case's platform behind a port, with the engine's own time."""
    engines: list[Engine] = []

    def now_ms() -> int:
        return engines[0].clock.now_ms()

    platform = case.kind(now_ms)
    name = "123" if case.protocol == "welink" else "token"
    bot = platform.add(name, Bot(**case.bot))
    if isinstance(platform, DingTalkApps | WeLink):
        platform.apps["key"] = "hush-hush"
    if isinstance(platform, DingTalkApps):
        platform.robots.add("robot")
    async with served(platform) as base:
        listed = case.setting.endswith("_URLS")
        monkeypatch.setenv(case.setting, json.dumps([base]) if listed else base)
        options: dict[str, Any] = {"allow_endpoints": "127.0.0.0/8", "shards": 1}
        async with open_engine(url, data, **options) as engine:
            engines.append(engine)
            topic = await engine.create_topic("alarms")
            await engine.subscriptions.add(
                topic.urn,
                case.protocol,
                case.endpoint.format(base=base),
                extension=case.extension,
                confirmed=True,
            )
            yield Ground(engine, topic.urn, platform, bot)


@pytest.mark.parametrize("protocol", CASES)
def test_a_burst_provokes_no_limit(
    protocol: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred messages arrive at the first try, hardly later than the rate allows."""
    case = CASES[protocol]

    async def scene() -> None:
        async with ground(case, redis_url, tmp_path, monkeypatch) as here:
            await here.burst(100)
            assert here.platform.refusals == []
            assert len({one.text for one in here.bot.shown}) == len(here.bot.shown) == 100
            lines = await here.engine.delivery_log(here.urn, limit=1000)
            assert {line.status for line in lines} == {"DELIVERED"}
            assert all(len(line.attempts) <= 1 for line in lines)
            assert here.took_s <= max(1.25 * case.best_s, 5)

    virtually(scene)


MEMBERS = CASES["dingTalkBot"]
GROUPS = replace(MEMBERS, protocol="dingding", setting="TOCSIN_DINGTALK_API_URL")


async def meet(here: Ground, case: Case, prefix: str, count: int) -> list[Bot]:
    """Subscribe so many more whom the case's application speaks to."""
    found = {f"{prefix}{number}": Bot() for number in range(count)}
    for name, bot in found.items():
        here.platform.add(name, bot)
        await here.engine.subscribe(
            here.urn, case.protocol, name, extension=case.extension, confirmed=True
        )
    return list(found.values())


@pytest.mark.parametrize("case", [MEMBERS, GROUPS], ids=["members", "groups"])
def test_all_whom_an_application_speaks_to_share_its_rate(
    case: Case, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred get three messages each, hardly later than 20 a second allow, and none objects."""

    async def scene() -> None:
        async with ground(case, redis_url, tmp_path, monkeypatch) as here:
            everybody = [here.bot, *await meet(here, case, "one-", 99)]
            await here.burst(3)
            assert here.platform.refusals == []
            assert {len(bot.shown) for bot in everybody} == {3}
            lines = await here.engine.delivery_log(here.urn, limit=1000)
            assert {(line.status, len(line.attempts)) for line in lines} == {("DELIVERED", 1)}
            times = sorted(one.at_ms for bot in everybody for one in bot.shown)
            assert times[-1] - times[0] <= 1.25 * 300 / 20 * 1_000

    virtually(scene)


def test_applications_do_not_share_a_rate(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one has far too much to say another is heard at once."""
    other = replace(MEMBERS, extension=APP | {"app_key": "other"})

    async def scene() -> None:
        async with ground(MEMBERS, redis_url, tmp_path, monkeypatch) as here:
            assert isinstance(here.platform, DingTalkApps)
            here.platform.apps["other"] = "hush-hush"
            await meet(here, MEMBERS, "one-", 99)
            heard = await meet(here, other, "two-", 20)
            await here.burst(1)
            assert here.platform.refusals == []
            times = [one.at_ms for bot in heard for one in bot.shown]
            assert len(times) == 20
            assert max(times) - here.bot.shown[0].at_ms < 1_000

    virtually(scene)


@pytest.mark.parametrize(("protocol", "delivered"), [("dingding", 40), ("wechat", 40)])
def test_a_burst_that_outlasts_its_time_to_live_ends(
    protocol: str,
    delivered: int,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the rate left no time for is an expired dead letter, and nobody was bothered."""

    async def scene() -> None:
        async with ground(CASES[protocol], redis_url, tmp_path, monkeypatch) as here:
            await here.burst(100, ttl=100)
            assert here.platform.refusals == []
            assert len(here.bot.shown) == delivered
            dead = await here.engine.dead_letters(here.urn, limit=1000)
            assert [letter.end for letter in dead] == [End.EXPIRED] * (100 - delivered)

    virtually(scene)


@pytest.mark.parametrize(
    ("protocol", "code", "text"),
    [("dingding", 310000, "invalid timestamp"), ("feishu", 19021, "sign match fail")],
)
def test_a_stale_signature_is_made_once_more(
    protocol: str,
    code: int,
    text: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a turn of its own; where that does not help the delivery is dead after two attempts."""

    async def scene() -> None:
        async with ground(CASES[protocol], redis_url, tmp_path, monkeypatch) as here:
            here.bot.trouble = Refusal(code, text)
            await here.burst(30)
            assert here.platform.refusals == [code] * 60
            letters = await here.engine.dead_letters(here.urn, limit=1000)
            assert {(letter.end, letter.tries) for letter in letters} == {(End.REJECTED, 2)}

    virtually(scene)


@pytest.mark.parametrize("protocol", ["dingding", "feishu", "wechat"])
def test_parts_count(
    protocol: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message in three parts is three requests, which the rate leaves room for."""
    name = CASES[protocol].setting.split("_")[1]
    monkeypatch.setenv(f"TOCSIN_{name}_OVERFLOW", "split")

    async def scene() -> None:
        async with ground(CASES[protocol], redis_url, tmp_path, monkeypatch) as here:
            await here.burst(15, "x" * 60_000)
            assert here.platform.refusals == []
            # Two messages may go at once: only the parts of each are in order.
            parts = Counter(one.text[:5] for one in here.bot.shown)
            assert parts == {"(1/3)": 15, "(2/3)": 15, "(3/3)": 15}

    virtually(scene)


@pytest.mark.parametrize("protocol", ["dingding", "feishu", "wechat", "dingTalkBot"])
def test_a_digest_leaves_nothing_out(
    protocol: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred messages are a few, and each of them is in one, once and whole."""
    name = CASES[protocol].setting.split("_")[1]
    monkeypatch.setenv(f"TOCSIN_{name}_DIGEST", "true")

    async def scene() -> None:
        async with ground(CASES[protocol], redis_url, tmp_path, monkeypatch) as here:
            await here.burst(200)
            assert here.platform.refusals == []
            lines = [line for one in here.bot.shown for line in one.text.split("\n\n")]
            said = Counter(line.removesuffix("\nalarm") for line in lines)
            assert said == {f"{number} disk full": 1 for number in range(200)}
            assert len(here.bot.shown) < 50
            ended = await here.engine.delivery_log(here.urn, limit=1000)
            assert [line.status for line in ended] == ["DELIVERED"] * 200

    virtually(scene)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("protocol", ["dingding", "feishu", "wechat"])
async def test_a_burst_provokes_no_limit_in_real_time(
    protocol: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty messages over real sockets and by a real clock."""
    async with ground(CASES[protocol], redis_url, tmp_path, monkeypatch) as here:
        for number in range(30):
            await here.engine.publish(here.urn, f"{number}")
        async with working(here.engine):
            await all_ended(here.engine, 110)
        assert here.platform.refusals == []
        assert len(here.bot.shown) == 30
