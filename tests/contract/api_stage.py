"""The things that requests of the contract table name, each made when a request needs it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from tests.api_client import Answer
from tests.apple import push_certificate
from tests.contract.api_cases import Case
from tests.engines import eventually, working
from tests.smn_contract import OPERATIONS
from tests.worlds import World

_NAME: Final = re.compile(r"\{(\w+)\}")
_NUMBERS: Final = itertools.count(1)
_LINK_MS: Final = 3_600_000
_CERTIFICATE, _KEY = push_certificate(datetime(2027, 10, 16, 7, 45, 16, tzinfo=UTC))


class Stage:
    """One request's own topic and whatever else it names; all stages share a world."""

    def __init__(self, world: World, served: Collection[str]) -> None:
        self.world = world
        self.shown: set[str] = set()
        self.served = served
        self.number = next(_NUMBERS)
        self.known: dict[str, str] = {
            "project_id": world.project,
            "domain_id": world.account.domain_id,
            "topic_name": f"topic-{self.number}",
            "number": str(self.number),
            "resource_type": "smn_topic",
            "certificate_id": world.engine.dataset.certificate_id,
            "missing": "0" * 32,
            "hour": _hour(0),
            "hour_ago": _hour(1),
        }

    async def prepare(self, case: Case) -> tuple[str, str, Any]:
        """Make what the case names; returns method, target and body."""
        operation = OPERATIONS[case.operation]
        for name in case.given:
            await self.value(name)
        template = operation.path
        for name, value in case.path.items():
            template = template.replace(f"{{{name}}}", await self.filled(value, encode=True))
        target = await self.filled(template, encode=True)
        if case.query:
            target += f"?{await self.filled(case.query)}"
        return operation.method, target, await self.body(case.body)

    async def send(self, case: Case) -> Answer:
        """Prepare and send."""
        method, target, body = await self.prepare(case)
        return await self.sent(case, method, target, body)

    async def sent(self, case: Case, method: str, target: str, body: Any) -> Answer:
        """Send what was prepared."""
        return await self.world.client.call(
            method, target, body, headers=case.headers, sign=case.sign
        )

    async def made(self, operation: str, body: Any, member: str) -> str:
        """Make something over the API; returns the member of the answer that names it."""
        if operation not in self.served:
            return self.known["missing"]
        answer = await self.send(Case(operation, 0, body=body))
        assert answer.status in OPERATIONS[operation].statuses, f"{operation}: {answer.raw!r}"
        return str(answer.json[member])

    async def done(self, case: Case) -> None:
        """Send something that must succeed, if it is served."""
        if case.operation in self.served:
            answer = await self.send(case)
            assert answer.status == case.status, f"{case}: {answer.raw!r}"

    async def value(self, name: str) -> str:
        """What a name stands for."""
        if name not in self.known:
            self.known[name] = await _MAKERS[name](self)
        return self.known[name]

    async def filled(self, text: str, *, encode: bool = False) -> str:
        """The text with its names replaced; braces around other words stay."""
        for name in _NAME.findall(text):
            if name in self.known or name in _MAKERS:
                value = await self.value(name)
                text = text.replace(f"{{{name}}}", quote(value, safe="") if encode else value)
        return text

    async def body(self, value: Any) -> Any:
        """The same within JSON."""
        if isinstance(value, str):
            return await self.filled(value)
        if isinstance(value, list):
            return [await self.body(item) for item in value]
        if isinstance(value, Mapping):
            return {key: await self.body(item) for key, item in value.items()}
        return value


def _hour(ago: int) -> str:
    moment = datetime.now(UTC) - timedelta(hours=ago)
    return f"{moment:%Y-%m-%dT%H:00:00Z}"


async def _topic(stage: Stage) -> str:
    return await stage.made("CreateTopic", {"name": "{topic_name}"}, "topic_urn")


async def _topic_id(stage: Stage) -> str:
    await stage.value("topic_urn")
    answer = await stage.send(Case("ListTopicDetails", 200))
    return str(answer.json["topic_id"])


def _endpoint(protocol: str, endpoint: str) -> Callable[[Stage], Awaitable[str]]:
    async def make(stage: Stage) -> str:
        body = {"protocol": protocol, "endpoint": endpoint}
        return await stage.made("AddSubscription", body, "subscription_urn")

    return make


def _confirmed(protocol: str, endpoint: str) -> Callable[[Stage], Awaitable[str]]:
    async def make(stage: Stage) -> str:
        found = await stage.world.engine.subscribe(
            await stage.value("topic_urn"), protocol, endpoint, confirmed=True
        )
        return found.urn

    return make


async def _token(stage: Stage) -> str:
    """The token of a confirmation link, as the invitation carries it."""
    urn = await stage.value("subscription_urn")
    engine = stage.world.engine
    found = await engine.subscriptions.list_by_topic(await stage.value("topic_urn"))
    one = next(item for item in found.items if item.urn == urn)
    link = engine.links.confirm(one, engine.clock.now_ms() + _LINK_MS, one.topic_urn)
    return dict(parse_qsl(urlsplit(link).query))["token"]


async def _key(stage: Stage) -> str:
    """A key of the local ring."""
    ring: Any = getattr(stage.world.engine, "keyring", None)
    return str(ring.create(f"key-{stage.number}").id) if ring else stage.known["missing"]


def _maker(operation: str, body: Any, member: str) -> Callable[[Stage], Awaitable[str]]:
    async def make(stage: Stage) -> str:
        return await stage.made(operation, body, member)

    return make


async def _filtered(stage: Stage) -> str:
    urn = await stage.value("subscription_urn")
    policies = [{"name": "alarm", "string_equals": ["os"]}]
    body = {"polices": [{"subscription_urn": urn, "filter_polices": policies}]}
    await stage.done(Case("BatchCreateSubscriptionsFilterPolices", 200, body=body))
    return urn


async def _tagged(stage: Stage) -> str:
    body = {"tag": {"key": "stage", "value": "{topic_name}"}}
    await stage.done(Case("CreateResourceTag", 204, body=body))
    return await stage.value("topic_id")


async def _described(stage: Stage) -> str:
    """The topic, with both attributes set."""
    urn = await stage.value("topic_urn")
    policy = (
        '{"Version":"2016-09-07","Id":"__default_policy_ID","Statement":[{"Sid":"all",'
        '"Effect":"Allow","Principal":{"CSP":["*"]},"Action":["SMN:Publish"],'
        f'"Resource":"{urn}"}}]}}'
    )
    for name, value in (("access_policy", policy), ("introduction", "For all of us.")):
        await stage.done(
            Case("UpdateTopicAttribute", 200, path={"name": name}, body={"value": value})
        )
    return policy


async def _probed(stage: Stage) -> str:
    """A detection that a worker has run."""
    task_id = await stage.value("task_id")
    if "ShowHttpDetectResult" in stage.served:
        async with working(stage.world.engine):
            await eventually(lambda: _is_known(stage), "the endpoint is probed")
    return task_id


async def _is_known(stage: Stage) -> bool:
    answer = await stage.send(Case("ShowHttpDetectResult", 200))
    return bool(answer.json["status"] != 1)


_FULL_USER: Final[dict[str, Any]] = {
    "name": "full-{number}",
    "group": ["ops"],
    "http": {"endpoint": "http://127.0.0.1:9/{number}/a", "header": {"x-a": "b"}},
    "https": {"endpoint": "https://127.0.0.1:9/{number}/a", "header": {"x-a": "b"}},
    "sms": {"endpoint": "13600000001", "verification_code_enabled": True},
    "email": {"endpoint": "full{number}@example.com"},
    "callnotify": {"endpoint": "13600000002", "verification_code_enabled": False},
    "wechat": {"endpoint": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1"},
    "dingding": {"endpoint": "https://oapi.dingtalk.com/robot/send?access_token=1", "keyword": "a"},
    "feishu": {"endpoint": "https://open.feishu.cn/open-apis/bot/v2/hook/1", "sign_secret": "a"},
    "welink": {"endpoint": "12345678", "client_id": "a", "client_secret": "b"},
    "ding_talk_bot": {
        "endpoint": "user1",
        "app_key": "a",
        "app_secret": "b",
        "robot_code": "c",
    },
}

_OTHER_USER: Final = {
    "name": "other-{number}",
    "dingding": _FULL_USER["dingding"] | {"keyword": None, "sign_secret": "SEC1"},
    "feishu": _FULL_USER["feishu"] | {"keyword": "a", "sign_secret": None},
}
"""What one user cannot have at the same time."""

_MAKERS: Final[dict[str, Callable[[Stage], Awaitable[str]]]] = {
    "topic_urn": _topic,
    "topic_id": _topic_id,
    "resource_id": _topic_id,
    "subscription_urn": _endpoint("http", "http://127.0.0.1:9/{number}"),
    "second_urn": _endpoint("http", "http://127.0.0.1:9/{number}/second"),
    "confirmed_urn": _confirmed("http", "http://127.0.0.1:9/confirmed"),
    "phone_urn": _confirmed("callnotify", "13600000000"),
    "token": _token,
    "filtered_urn": _filtered,
    "tagged": _tagged,
    "described": _described,
    "message_template_id": _maker(
        "CreateMessageTemplate",
        {"message_template_name": "template-{number}", "content": "Hello {who}"},
        "message_template_id",
    ),
    "logtank_id": _maker(
        "CreateLogtank", {"log_group_id": "{missing}", "log_stream_id": "{missing}"}, "id"
    ),
    "notify_policy_id": _maker(
        "CreateNotifyPolicy",
        {"protocol": "callnotify", "polling": [{"order": 1, "subscription_urns": ["{phone_urn}"]}]},
        "id",
    ),
    "task_id": _maker(
        "PublishHttpDetect", {"protocol": "http", "endpoint": "http://127.0.0.1:9/d"}, "task_id"
    ),
    "application_urn": _maker(
        "CreateApplication",
        {
            "name": "app_{number}",
            "platform": "HMS",
            "platform_principal": "100238467",
            "platform_credential": "c" * 32,
        },
        "application_urn",
    ),
    "apple_urn": _maker(
        "CreateApplication",
        {
            "name": "apple_{number}",
            "platform": "APNS",
            "platform_principal": _CERTIFICATE,
            "platform_credential": _KEY,
        },
        "application_urn",
    ),
    "endpoint_urn": _maker(
        "CreateApplicationEndpoint",
        {"token": "token-{number}", "user_data": "mine"},
        "endpoint_urn",
    ),
    "user_id": _maker(
        "CreateSubscriptionUser",
        {"name": "user-{number}", "email": {"endpoint": "u{number}@example.com"}},
        "id",
    ),
    "probed": _probed,
    "full_user": _maker("CreateSubscriptionUser", _FULL_USER, "id"),
    "other_user": _maker("CreateSubscriptionUser", _OTHER_USER, "id"),
    "key_id": _key,
    "kms_id": _maker("CreateKmsKey", {"key_id": "{key_id}"}, "id"),
}
