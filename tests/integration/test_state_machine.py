"""Any interleaving of what can happen to a message keeps the promises of the data path.

Hypothesis chooses the steps; the engine's own scripts and classes take them on a real Valkey;
`machine.promises` looks at everything that Redis holds after each. Steps of a worker are taken
apart (read, load, send, answer, decide what to write, write), so that a crash, a stall or
another worker's step fits between any two of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from engine.models import Status
from engine.pipeline import accept, plan, retry, settle
from engine.store import roster
from engine.store.scripts import Script
from tests.integration.machine.rules import Machine
from tests.integration.machine.world import RepeatingStore
from tests.servers import RedisServer, make_settings, valkey_binary


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[type[Machine]]:
    """The machine on a server and a loop of its own, with lanes that are full soon."""
    for module in (accept, plan):
        monkeypatch.setattr(module, "QUANTUM_PAGES", 2)
    for module in (accept, plan, retry):
        monkeypatch.setattr(module, "LANE_LIMIT", 4)
    # The database is killed, not the machine: what was written to the file survives unsynced.
    server = RedisServer(valkey_binary(), options=("--appendfsync", "no")).start()
    with asyncio.Runner() as runner:
        store = runner.run(RepeatingStore.connect(server.url, settings=make_settings(tmp_path)))
        Machine.server, Machine.runner, Machine.store = server, runner, store
        Machine.numbers = itertools.count(1)
        try:
            yield Machine
        finally:
            runner.run(store.close())
            server.close()


def _profile(max_examples: int, steps: int) -> settings:
    return settings(
        max_examples=max_examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=False,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    )


def test_an_addressed_message_is_delivered_when_it_is_redriven(machine: type[Machine]) -> None:
    """A dead letter of a message to one subscription goes to it, whatever its status is."""
    story = machine()
    story.begin(wide=False, endpoints=1)
    story.set_status(0, Status.UNCONFIRMED, False)
    story.address(0, True, False)
    story.work(0, ["rejected"], False)
    story.redrive(0, False)
    story.promises_hold()
    story.teardown()
    assert len(story.world.model.succeeded) == 1


def test_what_is_under_way_of_a_deleted_topic_leaves_nothing_behind(
    machine: type[Machine],
) -> None:
    """From the tombstone on no dead letter is kept: the purge would not see the late ones."""
    story = machine()
    story.begin(wide=False, endpoints=1)
    story.publish(0, 0, 60, None, False, 1)
    assert story.held(0)
    story.delete_topic(0, True, False)
    story.work(0, ["rejected"], False)
    assert not story.world.snapshot().dead()
    story.promises_hold()
    story.teardown()


@pytest.mark.timeout(600)
def test_any_interleaving_keeps_the_promises(machine: type[Machine]) -> None:
    """No order of steps loses a delivery, ends one twice, reaches a stranger or leaves rubbish."""
    run_state_machine_as_test(machine, settings=_profile(70, 120))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("owner", "name", "rule_of_it", "without"),
    [
        (settle, "_SETTLE", " or held[2] ~= consumer or held[4] ~= tonumber(claims)", ""),
        (settle, "_SETTLE", "held[4] ~= tonumber(claims)", "false"),
        (roster, "_STATUS", "from = tonumber(record[3] or 0) + 1", "from = 0"),
        (accept, "_ACCEPT", "if redis.call('ZSCORE', recent, id) then", "if false then"),
    ],
    ids=["fence", "claim-number", "first-message", "accepted-once"],
)
def test_a_missing_rule_is_noticed(
    machine: type[Machine],
    monkeypatch: pytest.MonkeyPatch,
    owner: ModuleType,
    name: str,
    rule_of_it: str,
    without: str,
) -> None:
    """A script that lacks one of the rules it is made of breaks a promise."""
    script = getattr(owner, name)
    assert rule_of_it in script.text
    text = script.text.replace(rule_of_it, without)
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(owner, name, Script(script.name, text, sha))
    profile = settings(
        _profile(200, 120), phases=(Phase.generate,), database=None, report_multiple_bugs=False
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=profile)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_any_long_interleaving_keeps_the_promises(machine: type[Machine]) -> None:
    """As above, with more and longer stories."""
    run_state_machine_as_test(machine, settings=_profile(800, 200))
