import json
from html import escape

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import Field, SecretStr

from engine.adapter_settings import AdapterSettings
from engine.cli.masking import Masker, secret_members


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "https://oapi.dingtalk.com/robot/send?access_token=0a1b&timestamp=1&sign=abc%3D",
            "https://oapi.dingtalk.com/robot/send?access_token=***&timestamp=1&sign=***",
        ),
        ("https://example.com/?key=693a-91f6", "https://example.com/?key=***"),
        ('{"sign": "a\\"b", "keyword": "alarm"}', '{"sign": "***", "keyword": "alarm"}'),
        ('{"accessToken":"abcdef","expireIn":7200}', '{"accessToken":"***","expireIn":7200}'),
        (
            '{"signature":"public","subject":"a key=b"}',
            '{"signature":"public","subject":"a key=b"}',
        ),
    ],
)
def test_what_is_named_like_a_secret_is_hidden(text: str, shown: str) -> None:
    """Parameters and members that tokens, keys and signatures go by."""
    assert Masker().text(text).replace('"a\\"b"', '"***"') == shown


def test_a_token_that_was_answered_is_hidden_where_it_is_used() -> None:
    """The first answer names it, the next request carries it."""
    masker = Masker()
    masker.text('{"access_token": "t0ken-of-the-day"}')
    assert masker.text("https://example.com/t0ken-of-the-day/x") == "https://example.com/***/x"


@given(st.text(min_size=4))
def test_a_known_secret_is_nowhere(secret: str) -> None:
    """Whatever it consists of, as it is and as JSON repeats it."""
    assume(secret not in "a *** b" and json.dumps(secret)[1:-1] not in "a *** b")
    masker = Masker()
    masker.learn(secret)
    assert secret not in masker.text(f"a {secret} b")
    shown = json.dumps(["a", secret, "b"])
    for form in (shown, shown.replace("/", "\\/")):
        assert masker.text(form) == '["a", "***", "b"]'
    assert escape(secret) not in masker.text(f"a {escape(secret)} b")


class _Settings(AdapterSettings):
    url: str = "https://gateway.example/"
    password: SecretStr = SecretStr("p4ssword")
    headers: dict[str, SecretStr] = Field({"X-Any": SecretStr("h34der")})
    keys: tuple[SecretStr, ...] = (SecretStr("k3y-one"),)


def test_secrets_of_settings_are_known_by_their_type() -> None:
    """However deep; everything else stays to be read."""
    masker = Masker()
    masker.learn_settings(_Settings())
    text = "https://gateway.example/ p4ssword h34der k3y-one"
    assert masker.text(text) == "https://gateway.example/ *** *** ***"


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("https://open.feishu.cn/open-apis/bot/v2/hook/1f2e-3d", "https://open.feishu.cn/open-apis/bot/v2/hook/***"),
        ("https://qyapi.weixin.qq.com/send?key=693a91f6", "https://qyapi.weixin.qq.com/send?key=***"),
        ("cidAbCdEf==", "***"),
    ],
)  # fmt: skip
def test_a_secret_endpoint_keeps_what_is_not_secret(endpoint: str, shown: str) -> None:
    """An operator must see where it went."""
    masker = Masker()
    masker.learn_endpoint(endpoint)
    assert masker.text(endpoint) == shown


def test_headers_are_hidden_by_name_or_value() -> None:
    """A scheme in front of a known token does not save it."""
    masker = Masker()
    extension = {"header": {"X-Mine": "Bearer t0ken"}, "keyword": "alarm", "app_secret": "s3cret"}
    masker.learn(*secret_members(extension))
    headers = {"Authorization": "x", "X-Auth-Token": "y", "X-Mine": "t0ken", "X-SMN-TOPIC-URN": "u"}
    shown = masker.headers(headers)
    assert list(shown.values()) == ["***", "***", "***", "u"]
    assert masker.text("alarm s3cret") == "alarm ***"
