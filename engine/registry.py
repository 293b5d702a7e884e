"""Finds the adapters, built in or third party, by their entry points."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final

from engine import adapter_settings
from engine.errors import AdapterError, ConfigurationError
from engine.models import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.adapter_settings import AdapterSettings, Own
    from engine.ports import Adapter, Ports

    Tables = Mapping[str, Mapping[str, Any]]

GROUP: Final = "tocsin.adapters"
"""The entry point group; a value is ``module:Class``, called with the `Ports`."""

_METHODS: Final = ("check", "peer", "prepare", "render", "size", "send", "close")


def load_adapters(
    ports: Ports,
    tables: Tables,
    found: Iterable[EntryPoint] | None = None,
    noted: Callable[[AdapterSettings], None] | None = None,
) -> dict[str, Adapter[Any, Any]]:
    """All adapters by the protocols they speak; ``tables`` are their settings in the file.

    Raises `AdapterError` that names a broken adapter, or two that claim one protocol, and
    `ConfigurationError` for settings that are wrong or nobody's. ``found`` stands in for the
    installed entry points; ``noted`` is told what the adapters are configured with.
    """
    adapters: dict[str, Adapter[Any, Any]] = {}
    owners: dict[str, EntryPoint] = {}
    points = list(entry_points(group=GROUP) if found is None else found)
    unknown = tables.keys() - {point.name for point in points}
    if unknown:
        raise ConfigurationError(f"Setting 'adapters.{min(unknown)}': there is no such adapter.")
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        adapter = _build(point, ports, tables.get(point.name, {}), noted)
        for protocol in adapter.protocols:
            if protocol in owners:
                raise AdapterError(
                    f"Adapters {_label(owners[protocol])} and {_label(point)}"
                    f" both claim the protocol {protocol!r}."
                )
            owners[protocol] = point
            adapters[protocol] = adapter
    return adapters


def _build(
    point: EntryPoint,
    ports: Ports,
    table: Mapping[str, Any],
    noted: Callable[[AdapterSettings], None] | None,
) -> Adapter[Any, Any]:
    def configure(kind: type[Own]) -> Own:
        settings = adapter_settings.read(point.name, kind, table)
        if noted:
            noted(settings)
        return settings

    try:
        adapter = point.load()(replace(ports, configure=configure))
    except ConfigurationError:
        raise
    except Exception as error:  # whatever third-party code raises while it is imported and built
        raise AdapterError(
            f"Adapter {_label(point)} cannot be loaded: {type(error).__name__}: {error}."
        ) from error
    fault = _fault(adapter)
    if fault:
        raise AdapterError(f"Adapter {_label(point)} {fault}.")
    return adapter  # type: ignore[no-any-return]  # checked by _fault as far as that goes


def _fault(adapter: object) -> str:
    """What the object lacks of an adapter, '' if nothing."""
    protocols = getattr(adapter, "protocols", None)
    if not isinstance(protocols, tuple):
        return "names no protocols"
    if not all(isinstance(protocol, str) and protocol for protocol in protocols):
        return "has a protocol that is not a name"
    if not isinstance(getattr(adapter, "limits", None), Limits):
        return "declares no limits"
    if not isinstance(getattr(adapter, "notice", None), str):
        return "has no notice"
    for method in _METHODS:
        if not callable(getattr(adapter, method, None)):
            return f"has no method {method}()"
    return ""


def _label(point: EntryPoint) -> str:
    return f"{point.name!r} ({point.value})"
