"""The promises that every adapter keeps: ``pip install '.[dev]'``, then ``pytest``."""

from typing import Any

from tocsin_slack import SlackAdapter

from engine.ports import Adapter, Ports
from engine.testing.conformance import AdapterConformance, Sample


class TestSlack(AdapterConformance):
    samples = (
        Sample(
            "slack",
            "https://hooks.slack.com/services/T012/B345/x0y1z2",
            secrets=("x0y1z2",),
            bad={"https://example.com/services/T012/B345/x0y1z2": "SMN.0012"},
        ),
    )

    def make(self, ports: Ports) -> Adapter[Any, Any]:
        return SlackAdapter(ports)

    def shown(self, text: str) -> str:
        """Slack wants three characters escaped."""
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
