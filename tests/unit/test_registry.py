"""The adapter loader: built-in and third-party adapters alike, faults named at start."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest
from pydantic import SecretStr

from engine.adapter_settings import AdapterSettings
from engine.errors import AdapterError, ConfigurationError
from engine.ports import Ports
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
        self.protocols: Any = None


class Limitless(RecordingAdapter):
    def __init__(self, ports: Any) -> None:
        super().__init__("x")
        del self.limits


class PagerSettings(AdapterSettings):
    url: str = ""
    rates: tuple[int, ...] = ()
    secret: SecretStr = SecretStr("")


class Pager(RecordingAdapter):
    def __init__(self, ports: Ports) -> None:
        self.settings = ports.configure(PagerSettings)
        super().__init__("pager")
        if not self.settings.url:
            self.protocols = ()


@pytest.fixture(autouse=True)
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module such as somebody else would install."""
    module = ModuleType("third_party")
    for kind in (First, Second, Failing, Lacking, Nameless, Limitless, Pager):
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "third_party", module)


def point(name: str, value: str) -> EntryPoint:
    """An entry point of the adapters' group."""
    return EntryPoint(name, value, GROUP)


def test_built_in_adapters_are_found_by_entry_point() -> None:
    """The built-in ones come the same way as others."""
    adapters = load_adapters(fake_ports(), {})
    assert {"http", "https", "sms"} <= set(adapters)
    assert adapters["http"] is adapters["https"]


def test_adapter_serves_all_its_protocols() -> None:
    """One instance speaks every protocol that it names."""
    adapters = load_adapters(fake_ports(), {}, [point("first", "third_party:First")])
    assert adapters["one"] is adapters["two"]


def test_two_adapters_for_one_protocol_are_both_named() -> None:
    """The operator must know which two to choose from."""
    points = [point("first", "third_party:First"), point("second", "third_party:Second")]
    with pytest.raises(AdapterError, match=r"'first'.*'second'.*'two'"):
        load_adapters(fake_ports(), {}, points)


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
        load_adapters(fake_ports(), {}, [point("mine", value)])


def pager(table: dict[str, Any]) -> Any:
    """The pager, loaded with what its table in the file says; None if it is not enabled."""
    points = [point("pager", "third_party:Pager")]
    return load_adapters(fake_ports(), {"pager": table}, points).get("pager")


def test_adapter_reads_its_own_table() -> None:
    """``[adapters.NAME]`` in the file is the adapter's."""
    assert pager({"url": "http://pager"}).settings.url == "http://pager"


def test_environment_goes_before_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """``TOCSIN_NAME_SETTING``, with lists as JSON."""
    monkeypatch.setenv("TOCSIN_PAGER_URL", "http://other")
    monkeypatch.setenv("TOCSIN_PAGER_RATES", "[1, 2]")
    settings = pager({"url": "http://pager"}).settings
    assert (settings.url, settings.rates) == ("http://other", (1, 2))


def test_adapter_that_is_not_configured_claims_nothing() -> None:
    """Its protocol is then one that nobody speaks."""
    assert pager({}) is None


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"urls": "http://pager"}, r"adapters\.pager\.urls'.*no setting of this name"),
        ({"url": "u", "rates": ["x"]}, r"adapters\.pager\.rates\.0"),
    ],
)
def test_wrong_setting_is_named(table: dict[str, Any], fault: str) -> None:
    """One sentence that says which."""
    with pytest.raises(ConfigurationError, match=fault):
        pager(table)


def test_wrong_secret_is_not_shown() -> None:
    """The sentence ends up in logs."""
    with pytest.raises(ConfigurationError) as caught:
        pager({"secret": {"hunter2": 1}})
    assert "hunter2" not in str(caught.value)


def test_wrong_list_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no JSON is an error of configuration like others."""
    monkeypatch.setenv("TOCSIN_PAGER_RATES", "1,2")
    with pytest.raises(ConfigurationError, match="TOCSIN_PAGER_RATES is not JSON"):
        pager({})


def test_table_of_nobody_is_named() -> None:
    """A misspelt name must not leave an adapter with its defaults."""
    with pytest.raises(ConfigurationError, match=r"adapters\.pagre"):
        load_adapters(fake_ports(), {"pagre": {}}, [])
