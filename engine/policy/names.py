"""The protocols that the contract names (SMN API, "Subscriptions")."""

from __future__ import annotations

from typing import Final

PROTOCOLS: Final = frozenset(
    {
        "email",
        "sms",
        "http",
        "https",
        "functionstage",
        "functiongraph",
        "callnotify",
        "wechat",
        "dingding",
        "feishu",
        "welink",
        "dingTalkBot",
    }
)
"""What a topic can be subscribed to with, whether its adapter is enabled or not."""

RETIRED: Final = frozenset({"dms", "application"})
"""What clients still name in messages and templates."""
