"""Which flow limits hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.models import Window
from engine.policy.limits import Rule, Scope, flow_of
from tests.servers import make_settings


def _settings(**options: Any) -> Any:
    return make_settings(Path("unused"), **options)


def test_no_limit_holds_by_default() -> None:
    """Nothing is built, so that nothing is asked."""
    assert flow_of(_settings()) is None
    assert flow_of(_settings(flow_topic_sms=0)) is None


def test_smn_turns_the_contracts_limits_on() -> None:
    """The numbers of the "Resilience" page, without penalties."""
    flow = flow_of(_settings(flow_limits="smn"))
    assert flow is not None
    assert flow.publish == Window(3000, 60, 0)
    assert [rule.scope for rule in flow.rules["sms"]] == list(Scope)
    assert {
        protocol: {rule.scope: rule.window for rule in rules}
        for protocol, rules in flow.rules.items()
    } == {
        "sms": {
            Scope.PROJECT: Window(10_000, 600, 0),
            Scope.TOPIC: Window(100, 600, 0),
            Scope.ENDPOINT: Window(100, 600, 0),
        },
        "email": {
            Scope.PROJECT: Window(1000, 600, 0),
            Scope.TOPIC: Window(100, 600, 0),
            Scope.ENDPOINT: Window(100, 600, 0),
        },
    }


def test_each_limit_can_be_set() -> None:
    """One alone, one changed, one off."""
    flow = flow_of(_settings(flow_topic_sms=7))
    assert flow is not None
    assert flow.publish is None
    assert flow.rules == {"sms": (Rule(Scope.TOPIC, Window(7, 600, 0)),)}
    flow = flow_of(_settings(flow_limits="smn", flow_topic_publish=0, flow_endpoint_email=3))
    assert flow is not None
    assert flow.publish is None
    assert Rule(Scope.ENDPOINT, Window(3, 600, 0)) in flow.rules["email"]


@pytest.mark.parametrize("name", ["TOCSIN_FLOW_LIMITS", "TOCSIN_FLOW_PROJECT_SMS"])
def test_the_environment_sets_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every other setting."""
    monkeypatch.setenv(name, "smn" if name.endswith("LIMITS") else "5")
    assert flow_of(_settings()) is not None
