"""Voice: only where a gateway is configured."""

import json
from typing import Any

import pytest

from adapters.voice import VoiceAdapter, VoiceSettings
from engine.errors import ConfigurationError
from engine.models import Kind, Message
from engine.testing import InstantTransport, fake_ports


def build(**settings: Any) -> VoiceAdapter:
    """An adapter with these settings."""
    return VoiceAdapter(fake_ports(settings=VoiceSettings(**settings)))


def test_without_a_gateway_it_is_not_offered() -> None:
    """Nobody subscribes to what cannot be done."""
    assert build().protocols == ()
    assert build(url="https://gateway.example/call").protocols == ("callnotify",)


def test_a_url_that_is_none_of_http_is_refused() -> None:
    """A call goes over HTTP only."""
    with pytest.raises(ConfigurationError, match="URL of HTTP"):
        build(url="ftp://gateway.example/")


INVITATION = Message(
    id="d" * 32,
    topic_id="a" * 32,
    topic_urn="urn:smn:region01:762bdb3251034f268af0e395c53ea09b:orders",
    project_id="762bdb3251034f268af0e395c53ea09b",
    kind=Kind.CONFIRMATION,
    content={"default": "for other adapters"},
    created_ms=1,
    deadline_ms=2,
    topic_name="orders",
    code="012345",
)


async def _read_out(message: Message, language: str) -> str:
    """What the gateway is told to say."""
    gateway = InstantTransport()
    settings = VoiceSettings.model_validate(
        {"url": "https://gateway.example/call", "language": language}
    )
    adapter = VoiceAdapter(fake_ports(gateway=gateway, settings=settings))
    await adapter.send(adapter.render(message, "callnotify"), "10086")
    return str(json.loads(gateway.requests[0].body)["text"])


@pytest.mark.parametrize(("language", "word"), [("en", "code"), ("zh", "验证码")])
async def test_a_code_is_read_digit_by_digit(language: str, word: str) -> None:
    """Nobody can write down twelve thousand three hundred and forty-five in time."""
    text = await _read_out(INVITATION, language)
    assert "0, 1, 2, 3, 4, 5" in text
    assert word in text
    assert "orders" in text


@pytest.mark.parametrize(("language", "word"), [("en", "left"), ("zh", "退订")])
@pytest.mark.parametrize("kind", [Kind.CANCELLATION, Kind.USER_CANCELLATION])
async def test_a_farewell_reads_out_no_link(kind: Kind, language: str, word: str) -> None:
    """Who leaves is told so, and that is all: nobody types what was read out."""
    farewell = INVITATION._replace(kind=kind, code=None, link="https://tocsin.example/long")
    text = await _read_out(farewell, language)
    assert "orders" in text
    assert "https" not in text
    assert (word in text) == (kind is Kind.CANCELLATION)
