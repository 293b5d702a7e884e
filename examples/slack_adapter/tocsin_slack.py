"""Slack's incoming webhooks as the protocol ``slack``; the endpoint is the webhook's URL.

Install it where Tocsin runs (``pip install ./examples/slack_adapter``) and start Tocsin again:
its entry point is all it takes. Then subscribe as with any other protocol, and try it alone:
``tocsin send slack https://hooks.slack.com/services/T0/B0/… -m 'it works'``.
"""

import json
import re
from collections.abc import Mapping

from pydantic import Field

from engine.adapter_settings import AdapterSettings
from engine.errors import Refused
from engine.models import Limits, Message, Outcome, Rate, Subscription
from engine.ports import PlainAdapter, Ports, TransportError


class SlackSettings(AdapterSettings):
    base_url: str = Field("https://hooks.slack.com", description="where Slack's webhooks are")


class SlackAdapter(PlainAdapter):
    protocols = ("slack",)
    # A group's webhook needs no consent, whoever knows it can post, and Slack takes one a second.
    limits = Limits(confirm=False, secret_endpoint=True, rates=(Rate(1, 1, 0.25),))

    def __init__(self, ports: Ports) -> None:
        self._clock, self._transport = ports.clock, ports.transport
        base = re.escape(ports.configure(SlackSettings).base_url)
        self._webhook = re.compile(rf"{base}/services/[A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9]+")

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        if not self._webhook.fullmatch(endpoint):
            raise Refused("SMN.0012", "It must be the URL of one of Slack's incoming webhooks.")

    def prepare(self, subscription: Subscription) -> object:
        return self._transport.parse(subscription.endpoint)

    def render(self, message: Message, protocol: str) -> bytes:
        text = message.text(protocol)
        for plain, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(plain, escaped)
        return json.dumps({"text": text}, ensure_ascii=False).encode()

    async def send(self, content: bytes, prepared: object) -> Outcome:
        headers = {"Content-Type": "application/json"}
        try:
            answer = await self._transport.post(prepared, headers, content)
        except TransportError as error:
            return error.outcome
        # One word, such as no_service; anything longer is no answer of Slack's to keep.
        word = re.fullmatch("[a-z_]{1,40}", answer.body.decode(errors="replace"))
        return answer.outcome(self._clock.now_ms(), word[0] if word else "")
