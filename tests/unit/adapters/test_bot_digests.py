"""A digest says all that its messages say, if the engine keeps it within the declared size."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters._bot_fitting import CUT_MARK
from adapters.dingtalk import DingTalkAdapter, DingTalkSettings
from adapters.lark import LarkAdapter, LarkSettings
from adapters.wecom import WecomAdapter, WecomSettings
from engine.models import Delivered
from tests.platforms.bots import Bot
from tests.platforms.dingtalk import DingTalk
from tests.platforms.lark import Lark
from tests.platforms.sending import World, message
from tests.platforms.wecom import WeCom
from tests.sending import subscription

KEYWORD = "报" * 1024
CASES: dict[str, tuple[Any, ...]] = {
    "dingding": (
        *(DingTalkAdapter, DingTalk, DingTalkSettings),
        "https://oapi.dingtalk.com/robot/send?access_token=token",
    ),
    "feishu": (
        *(LarkAdapter, Lark, LarkSettings),
        "https://open.feishu.cn/open-apis/bot/v2/hook/token",
    ),
    "wechat": (
        *(WecomAdapter, WeCom, WecomSettings),
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=token",
    ),
}
names = st.lists(st.text("abc", min_size=1, max_size=30), max_size=9)
posts = st.fixed_dictionaries(
    {
        "msgType": st.sampled_from(["text", "markdown"]),
        "content": st.builds(str.__mul__, st.text(min_size=1, max_size=30), st.integers(1, 99)),
    },
    optional={
        "title": st.text(max_size=600),
        "at": st.fixed_dictionaries(
            {"isAtAll": st.booleans(), "atMobiles": names, "atUserIds": names}
        ),
    },
)


@pytest.mark.parametrize("protocol", CASES)
@given(rich=st.lists(posts, min_size=2, max_size=12))
async def test_a_digest_is_not_cut(protocol: str, rich: list[dict[str, Any]]) -> None:
    """Every text arrives whole, below its heading; with a keyword as long as one may be."""
    kind, platform, settings, url = CASES[protocol]
    here = World(kind, platform, settings.model_validate({"digest": True}))
    given_keyword = {} if protocol == "wechat" else {"keyword": KEYWORD}
    bot = here.platform.add("token", Bot(keywords=tuple(given_keyword.values())))
    to = subscription(protocol, url, **given_keyword)
    adapter: Any = here.adapter
    contents = [adapter.render(message(rich=one), protocol) for one in rich]
    merged = adapter.merge(contents)
    if adapter.size(merged) > adapter.limits.max_bytes:
        return
    assert await adapter.send(merged, adapter.prepare(to)) == Delivered(200)
    (shown,) = bot.shown
    assert shown.text.startswith("\n\n".join(one.headed for one in contents))
    assert CUT_MARK not in shown.text.removeprefix(merged.text)
