"""The table of protocols: which endpoints and extensions a subscription may have."""

from typing import Any

import pytest

from engine.errors import CATALOG, Refused
from engine.policy.protocols import TABLE, check, check_project

ROBOT = "https://oapi.dingtalk.com/robot/send?access_token=abc"
FUNCTION = "urn:fss:region01:762bdb3251034f268af0e395c53ea09b:function:default:hello"
APPLICATION = f"urn:smn:region01:{'a' * 32}:endpoint:HMS:shop:{'b' * 32}"
APP = {"app_key": "key", "app_secret": "hush", "robot_code": "key"}
CLIENT = {"client_id": "id", "client_secret": "hush"}
GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "email": ("somebody@example.com", {}),
    "sms": ("+8613600000000", {"verification_code_enabled": True}),
    "functionstage": (FUNCTION, {}),
    "functiongraph": ("1c2a47d1-8f1e-4d2e-9d3b-8a7a5b3c1e0f", {}),
    "http": ("http://8.8.8.8/", {"header": {"x-a": "b"}}),
    "https": ("https://8.8.8.8/", {"header": {"x-a": "b"}}),
    "callnotify": ("13600000000", {"verification_code_enabled": False}),
    "wechat": ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=abc", {}),
    "dingding": (ROBOT, {"keyword": "alarm", "sign_secret": "SECabc"}),
    "feishu": ("https://open.feishu.cn/open-apis/bot/v2/hook/abc", {"sign_secret": "hush"}),
    "welink": ("123456789", CLIENT),
    "dingTalkBot": ("user_01", APP),
    "application": (APPLICATION, {}),
}


@pytest.mark.parametrize("protocol", GOOD)
def test_what_the_contract_shows_is_accepted(protocol: str) -> None:
    """An endpoint and the extension of each protocol, which is kept as it is."""
    endpoint, extension = GOOD[protocol]
    assert check(protocol, endpoint, extension) == extension


def test_every_protocol_has_an_example() -> None:
    """Nobody adds a protocol without showing it here."""
    assert set(GOOD) == set(TABLE)


@pytest.mark.parametrize("protocol", GOOD)
@pytest.mark.parametrize(
    "ending", [" ", "\x00", "\n", "\r\nX: y", "\u202e", "1" * 3000, "中文", "🙂", "#", '"']
)
def test_no_endpoint_can_be_continued(protocol: str, ending: str) -> None:
    """Control characters, spaces and anything but ASCII never get in, nor is it echoed."""
    endpoint, extension = GOOD[protocol]
    with pytest.raises(Refused, match=r"SMN\.0012") as refused:
        check(protocol, endpoint + ending, extension)
    assert refused.value.code in CATALOG
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        *((protocol, "") for protocol in GOOD),
        ("email", "somebody"),
        ("email", "@example.com"),
        ("email", "a..b@example.com"),
        ("email", "a@example"),
        ("email", "a@-example.com"),
        ("email", "a@example.com, b@example.com"),
        ("email", "用户@example.com"),
        ("email", "a@例子.example"),
        ("email", f"{'a' * 65}@example.com"),
        ("email", f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.{'f' * 60}.com"),
        ("sms", "somebody"),
        ("sms", "136-0000"),
        ("sms", "+0123456"),
        ("sms", "1234"),
        ("sms", "1" * 16),
        ("sms", "+"),
        ("sms", "136 0000 0000"),
        ("sms", "\uff11\uff13" + "6" * 9),
        ("sms", "++8613600000000"),
        ("sms", "http://8.8.8.8/"),
        ("callnotify", "+86(136)00"),
        ("functionstage", "urn:cff:region:project:function:default:hello"),
        ("functionstage", "urn:fss:region:project:workflow:default:hello"),
        ("functiongraph", "a b"),
        ("wechat", "ftp://example.com/"),
        ("wechat", "key"),
        ("dingding", "https://user:word@oapi.dingtalk.com/"),
        ("dingding", "http://"),
        ("feishu", "open.feishu.cn"),
        ("welink", "group"),
        ("dingTalkBot", "a/b"),
        ("application", APPLICATION.replace("endpoint", "application")),
    ],
)
def test_other_endpoints_are_refused(protocol: str, endpoint: str) -> None:
    """With the contract's code."""
    with pytest.raises(Refused, match=r"SMN\.0012"):
        check(protocol, endpoint, GOOD[protocol][1])


def test_devices_are_their_projects_own() -> None:
    """Others' topics are refused by the text alone; all else may be subscribed from anywhere."""
    for protocol, (endpoint, _) in GOOD.items():
        check_project(protocol, endpoint, "a" * 32)
        if protocol != "application":
            check_project(protocol, endpoint, "c" * 32)
    with pytest.raises(Refused, match=r"SMN\.0012"):
        check_project("application", APPLICATION, "c" * 32)


def test_a_group_is_reached_by_a_robot_or_by_an_application() -> None:
    """An openConversationId does not begin like a URL, and each keeps only what it needs."""
    given = APP | {"keyword": "alarm", "sign_secret": "hush"}
    robot = check("dingding", "https://oapi.dingtalk.com/robot/send", given)
    assert robot == {"keyword": "alarm", "sign_secret": "hush"}
    assert check("dingding", "cidXYZ+/abc==", given) == APP
    with pytest.raises(Refused, match=r"SMN\.0043.*app_key"):
        check("dingding", "cidXYZ+/abc==", {"keyword": "alarm"})


@pytest.mark.parametrize(
    ("protocol", "extension"),
    [
        ("welink", {}),
        ("welink", {"client_id": "id"}),
        ("welink", CLIENT | {"client_secret": ""}),
        ("welink", CLIENT | {"client_secret": "a" * 1025}),
        ("welink", CLIENT | {"client_secret": "a\nb"}),
        ("welink", CLIENT | {"client_id": 7}),
        ("feishu", {"keyword": "alarm", "sign_secret": "hush"}),
        ("feishu", {"keyword": 7}),
        ("dingding", {"sign_secret": "\x00"}),
        ("dingding", {"keyword": []}),
        ("dingTalkBot", {}),
        ("dingTalkBot", APP | {"robot_code": None}),
        ("dingTalkBot", APP | {"app_key": "a" * 65}),
        ("dingTalkBot", APP | {"app_secret": "a" * 129}),
        ("dingTalkBot", APP | {"robot_code": "a b"}),
        ("sms", {"verification_code_enabled": "yes"}),
        ("callnotify", {"verification_code_enabled": 1}),
    ],
)
def test_other_extensions_are_refused(protocol: str, extension: dict[str, Any]) -> None:
    """With the contract's code, and without showing what may be a secret."""
    with pytest.raises(Refused, match=r"SMN\.0043") as refused:
        check(protocol, GOOD[protocol][0], extension)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("protocol", GOOD)
def test_members_of_other_protocols_are_not_kept(protocol: str) -> None:
    """They are ignored, so that no secret is stored that nobody needs."""
    endpoint, extension = GOOD[protocol]
    others = {"client_secret": "x", "verification_code_enabled": True, "header": {"a": "b"}}
    kept = check(protocol, endpoint, {"client_id": "x"} | others | extension)
    allowed = set(extension) | (
        {"verification_code_enabled"} if protocol == "callnotify" else set()
    )
    assert set(kept) <= allowed


def test_a_protocol_of_somebody_elses_is_theirs_to_judge() -> None:
    """What is not in the contract passes as it is."""
    assert check("pigeon", "loft 7", {"food": "corn"}) == {"food": "corn"}


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("http", "http://8.8.8.8"),
        ("http", "http://8.8.8.8:8080/"),
        ("https", "https://8.8.8.8/a/b;c=d/%E4%B8%AD?x=[1]&y=@:!$'()*+,"),
        ("https", "https://8.8.8.8?x"),
        ("http", "http://127.0.0.1:65535/x"),
        ("https", "https://[2606:4700:4700::1111]:443/"),
        ("http", "http://8.8.8.8/" + "x" * 2033),
    ],
)
def test_url_of_its_protocol_is_accepted(protocol: str, endpoint: str) -> None:
    """Any URL as it will be sent."""
    check(protocol, endpoint, {})


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "http",
        "http://",
        "http:///path",
        "http://:80/",
        "https://8.8.8.8/",
        "ftp://8.8.8.8/",
        "HTTP://8.8.8.8/",
        " http://8.8.8.8/",
        "http://8.8.8.8/ x",
        "http://8.8.8.8/\r\nHost: evil",
        "http://8.8.8.8/\n",
        "http://8.8.8.8/\x00",
        "http://8.8.8.8/#fragment",
        "http://8.8.8.8\\@evil.example/",
        "http://user:password@8.8.8.8/",
        "http://user@8.8.8.8/",
        "http://8.8.8.8:0/",
        "http://8.8.8.8:65536/",
        "http://8.8.8.8:/",
        "http://8.8.8.8:8o/",
        "http://[::1/",
        "http://[zz]/",
        "http://[1:2:3]/",
        "http://134744072/",
        "http://0x08080808/",
        "http://8.8.2056/",
        "http://8.8.8.8.8/",
        "http://a..example/",
        "http://.example/",
        "http://-a.example/",
        "http://中文.example/",
        "http://8.8.8.8/中文",
        'http://8.8.8.8/"',
        "http://8.8.8.8/<x>",
        "http://8.8.8.8/" + "x" * 2034,
    ],
)
def test_anything_else_is_refused(endpoint: str) -> None:
    """What could be read in two ways, or not be sent as it stands, is not accepted."""
    with pytest.raises(Refused, match=r"SMN\.0012"):
        check("http", endpoint, {})


def test_scheme_must_be_the_protocols() -> None:
    """An https subscription is never served without TLS, nor the other way round."""
    with pytest.raises(Refused, match=r"SMN\.0012.*https://"):
        check("https", "http://8.8.8.8/", {})


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"abc": "v"},
        {"X-Custom-Header": "two words"},
        {"Authorization": "Bearer x.y.z"},
        {"a1-b2-c3": ""},
        {f"x-{number}": "v" for number in range(10)},
        {"x-a": "v" * 1021},
    ],
)
def test_custom_headers_within_the_rules_are_accepted(header: dict[str, str]) -> None:
    """The newer, relaxed rule: any name that begins with a letter."""
    check("http", "http://8.8.8.8/", {"header": header})


@pytest.mark.parametrize(
    "header",
    [
        "x-a: b",
        ["x-a"],
        {"1abc": "v"},
        {"-abc": "v"},
        {"abc-": "v"},
        {"a--b": "v"},
        {"a_b": "v"},
        {"a b": "v"},
        {"": "v"},
        {"é": "v"},
        {"a:": "v"},
        {"x-smn-message-type": "v"},
        {"X-SMN": "v"},
        {"X-SmnX": "v"},
        {"Host": "v"},
        {"content-LENGTH": "1"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
        {"x-a": 1},
        {"x-a": None},
        {"x-a": ["v"]},
        {"x-a": "line\r\nbreak"},
        {"x-a": "tab\t"},
        {"x-a": "é"},
        {"x-a": "\x7f"},
        {"x-a": "1", "X-A": "2"},
        {f"x-{number}": "v" for number in range(11)},
        {"x-a": "v" * 1022},
        {1: "v"},
    ],
)
def test_custom_headers_outside_the_rules_are_refused(header: object) -> None:
    """Nothing that could change the request's frame, or pass for ours, gets in."""
    with pytest.raises(Refused, match=r"SMN\.0043"):
        check("http", "http://8.8.8.8/", {"header": header})


def test_other_members_of_the_extension_are_none_of_its_business() -> None:
    """They are other protocols' and ignored."""
    check("http", "http://8.8.8.8/", {"verification_code_enabled": True, "header": None})
