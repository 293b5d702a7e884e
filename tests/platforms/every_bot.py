"""A bot of each kind, as a platform knows it and as somebody subscribes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.platforms.apps import DingTalkApps, WeLink
from tests.platforms.bots import Bot, Platform
from tests.platforms.dingtalk import DingTalk
from tests.platforms.lark import Lark
from tests.platforms.wecom import WeCom

_TOKEN: Final = "0a1b2c3d"
_APP: Final = {"app_key": "key-1", "app_secret": "hush-hush", "robot_code": "robot-1"}
_CLIENT: Final = {"client_id": "client-1", "client_secret": "hush-hush"}


@dataclass(frozen=True)
class Listed:
    """A platform that knows one bot; ``most`` is what a message of its may have, in bytes.

    ``path`` is that of a webhook; bots without one are told by their name.
    """

    protocol: str
    adapter: str
    setting: str
    platform: Platform
    name: str
    most: int
    path: str = ""
    extension: Mapping[str, object] = field(default_factory=dict)

    @property
    def bot(self) -> Bot:
        """What it has shown."""
        return self.platform.bots[self.name]

    def table(self, base: str) -> dict[str, Any]:
        """The adapter's settings, if the platform is there."""
        return {self.setting: [base] if self.setting == "base_urls" else base}

    def endpoint(self, base: str) -> str:
        """What is subscribed."""
        return f"{base}{self.path}{self.name}" if self.path else self.name


def every_bot(now_ms: Callable[[], int]) -> list[Listed]:
    """Of all protocols; their platforms are served by `bots.served`."""
    hooks: tuple[tuple[str, str, type[Platform], str, int], ...] = (
        ("dingding", "dingtalk", DingTalk, "/robot/send?access_token=", 20_000),
        ("feishu", "lark", Lark, "/open-apis/bot/v2/hook/", 20_000),
        ("wechat", "wecom", WeCom, "/cgi-bin/webhook/send?key=", 2_048),
    )
    found = [
        Listed(protocol, adapter, "base_urls", kind(now_ms), _TOKEN, most, path)
        for protocol, adapter, kind, path, most in hooks
    ]
    robots, groups = DingTalkApps(now_ms), WeLink(now_ms)
    robots.apps[_APP["app_key"]], robots.robots = _APP["app_secret"], {_APP["robot_code"]}
    groups.apps[_CLIENT["client_id"]] = _CLIENT["client_secret"]
    found += [
        Listed("dingTalkBot", "dingtalkbot", "api_url", robots, "user-1", 15_000, extension=_APP),
        Listed("welink", "welink", "url", groups, "123456", 10_000, extension=_CLIENT),
    ]
    for one in found:
        one.platform.add(one.name)
    return found
