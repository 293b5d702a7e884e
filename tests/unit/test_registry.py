"""The adapter loader: built-in and third-party adapters alike, faults named at start."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from engine.errors import AdapterError
from engine.registry import GROUP, load_adapters
from engine.testing import RecordingAdapter, fake_ports


class First(RecordingAdapter):
    def __init__(self, ports: Any) -> None:
        super().__init__("one", "two")


class Second(RecordingAdapter):
    def __init__(self, ports: Any) -> None:
        super().__init__("two")


class Failing:
    def __init__(self, ports: Any) -> None:
        raise KeyError("relay")


class Lacking(RecordingAdapter):
    send: Any = None

    def __init__(self, ports: Any) -> None:
        super().__init__("three")


class Nameless(RecordingAdapter):
    def __init__(self, ports: Any) -> None:
        super().__init__("x")
        self.protocols = ()


class Limitless(RecordingAdapter):
    def __init__(self, ports: Any) -> None:
        super().__init__("x")
        del self.limits


@pytest.fixture(autouse=True)
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module such as somebody else would install."""
    module = ModuleType("third_party")
    for kind in (First, Second, Failing, Lacking, Nameless, Limitless):
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "third_party", module)


def point(name: str, value: str) -> EntryPoint:
    """An entry point of the adapters' group."""
    return EntryPoint(name, value, GROUP)


def test_built_in_adapters_are_found_by_entry_point() -> None:
    """The built-in ones come the same way as others."""
    adapters = load_adapters(fake_ports())
    assert {"http", "https", "sms"} <= set(adapters)
    assert adapters["http"] is adapters["https"]


def test_adapter_serves_all_its_protocols() -> None:
    """One instance speaks every protocol that it names."""
    adapters = load_adapters(fake_ports(), [point("first", "third_party:First")])
    assert adapters["one"] is adapters["two"]


def test_two_adapters_for_one_protocol_are_both_named() -> None:
    """The operator must know which two to choose from."""
    points = [point("first", "third_party:First"), point("second", "third_party:Second")]
    with pytest.raises(AdapterError, match=r"'first'.*'second'.*'two'"):
        load_adapters(fake_ports(), points)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("third_party:Failing", "KeyError"),
        ("third_party:Missing", "AttributeError"),
        ("no_such_module:Adapter", "ModuleNotFoundError"),
        ("third_party:Lacking", r"no method send\(\)"),
        ("third_party:Nameless", "no protocols"),
        ("third_party:Limitless", "no limits"),
    ],
)
def test_broken_adapter_is_named(value: str, fault: str) -> None:
    """A broken adapter is an error at start that says which and why."""
    with pytest.raises(AdapterError, match=rf"'mine' \({value}\).*{fault}"):
        load_adapters(fake_ports(), [point("mine", value)])
