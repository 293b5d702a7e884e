"""What an adapter lets its operator configure, read from where everything else is.

An adapter describes its settings as a subclass and asks its ports for them::

    class PagerSettings(AdapterSettings):
        url: str = Field("", description="where the pager is")


    class PagerAdapter:
        def __init__(self, ports: Ports) -> None:
            self._settings = ports.configure(PagerSettings)

With the entry point named ``pager`` that is ``TOCSIN_PAGER_URL`` in the environment, then
``url`` under ``[adapters.pager]`` in ``tocsin.toml``. Lists and tables are JSON in the
environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from engine.errors import ConfigurationError
from engine.setting_faults import fault


class AdapterSettings(BaseSettings):
    """Settings of one adapter: frozen, unknown names refused, values never shown in errors."""

    model_config = SettingsConfigDict(
        env_prefix="TOCSIN_ADAPTER_",  # of one without a name; `read` puts the name there
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' hook
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file, whose table is passed in."""
        return env_settings, init_settings


Own = TypeVar("Own", bound=AdapterSettings)


def read(name: str, kind: type[Own], table: Mapping[str, Any]) -> Own:
    """The settings of the adapter ``name``; ``table`` is what the file says.

    Raises `ConfigurationError` with one sentence that names the setting.
    """
    try:
        return kind(_env_prefix=f"TOCSIN_{name.upper()}_", **table)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        setting = ".".join(str(part) for part in ("adapters", name, *first["loc"]))
        raise ConfigurationError(f"Setting {setting!r}: {fault(first)}.") from error
    except SettingsError as error:
        # It says no more than the field's name, in quotes.
        field = re.search(r'field "(\w+)"', str(error))
        variable = f"TOCSIN_{name}_{field[1] if field else '…'}".upper()
        raise ConfigurationError(
            f'{variable} is not JSON: lists and tables are, as ["a", "b"] or {{"a": "b"}}.'
        ) from error
