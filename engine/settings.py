"""Every setting, in one frozen model that is read once.

Precedence: command line > environment (``TOCSIN_…``) > ``tocsin.toml`` > defaults.
"""

from __future__ import annotations

import ipaddress
import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from engine.errors import ConfigurationError
from engine.setting_faults import fault

INHERITED: Final = "TOCSIN_INHERITED"
"""The variable by which a parent hands on all its settings, as JSON."""


class Durability(StrEnum):
    """What an accepted message survives."""

    MEMORY = "memory"
    FSYNC = "fsync"
    REPLICA = "replica"


class Blacklist(StrEnum):
    """What happens to deliveries for an endpoint that keeps failing."""

    PARK = "park"
    FAIL = "fail"


class FlowLimits(StrEnum):
    """Which message flow limits hold where none is set on its own."""

    OFF = "off"
    SMN = "smn"


def _networks(text: str) -> str:
    for part in text.split(","):
        if part.strip():
            ipaddress.ip_network(part.strip(), strict=False)
    return text


Networks = Annotated[str, AfterValidator(_networks)]
"""A comma-separated list of CIDR networks; kept as text, parsed by who needs it."""


class Settings(BaseSettings):
    """Tocsin's settings; the field's description is what ``--help`` and the README say."""

    model_config = SettingsConfigDict(
        env_prefix="TOCSIN_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    # Where it runs
    data: Path = Field(Path("tocsin-data"), description="data directory")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 = any free one")
    public_url: str = Field("", description="base of every link; default: the ready URL")
    tls_cert: Path | None = Field(None, description="certificate chain to serve HTTPS with")
    tls_key: Path | None = Field(None, description="private key to serve HTTPS with")
    trusted_proxies: Networks = Field("", description="networks whose X-Forwarded-* is believed")
    region: str = Field(
        "region01",
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="region; fixed when a data set is created",
    )
    workers: int = Field(
        default_factory=lambda: max(1, (os.cpu_count() or 2) - 1),
        ge=1,
        description="worker processes of `serve`",
    )
    drain_seconds: float = Field(30.0, ge=0, description="time to finish work after SIGTERM")

    # Redis
    redis: str = Field("", description="URL of a Redis or Valkey; default: an embedded server")
    redis_server: str = Field("", description="server binary for the embedded default")
    key_prefix: str = Field("tocsin:", min_length=1, description="every key begins with it")
    shards: int = Field(8, ge=1, le=256, description="fixed when a data set is created")
    durability: Durability = Field(
        Durability.FSYNC, description="what an accepted message survives"
    )
    max_memory: int = Field(
        2 * 1024**3, ge=32 * 1024**2, description="bytes the embedded server may use"
    )
    memory_limit: float = Field(
        0.75, gt=0, le=0.95, description="share of maxmemory at which publishing stops"
    )
    max_backlog: int = Field(
        1_000_000, ge=1, description="unfinished messages at which publishing stops"
    )
    master_key_file: Path | None = Field(None, description="default: DIR/master.key")

    # Subscriptions
    allow_endpoints: Networks = Field(
        "", description="internal networks that subscribers may be in"
    )
    unsubscribe_bare_urn: bool = Field(
        default=True, description="accept unsubscribe links without sig"
    )
    quota_topics: int = Field(3000, ge=0, description="topics per project")
    quota_subscriptions: int = Field(10_000, ge=0, description="subscriptions per topic")
    quota_templates: int = Field(100, ge=0, description="message templates per project")

    # Messages
    max_ttl: int = Field(86_400, ge=1, le=604_800, description="longest time_to_live, seconds")
    default_ttl: int = Field(3600, ge=1, description="time_to_live when none is given, seconds")
    idempotency_seconds: int = Field(86_400, ge=1, description="window of Idempotency-Key")
    flow_limits: FlowLimits = Field(
        FlowLimits.OFF, description="message flow limits: `off`, or `smn` for the contract's"
    )
    flow_topic_publish: int | None = Field(
        None, ge=0, description="messages to a topic a minute (`smn`: 3000); 0 = no limit"
    )
    flow_project_sms: int | None = Field(
        None, ge=0, description="SMS of a project in 10 minutes (`smn`: 10000); 0 = no limit"
    )
    flow_project_email: int | None = Field(
        None, ge=0, description="emails of a project in 10 minutes (`smn`: 1000); 0 = no limit"
    )
    flow_topic_sms: int | None = Field(
        None, ge=0, description="SMS of a topic in 10 minutes (`smn`: 100); 0 = no limit"
    )
    flow_topic_email: int | None = Field(
        None, ge=0, description="emails of a topic in 10 minutes (`smn`: 100); 0 = no limit"
    )
    flow_endpoint_sms: int | None = Field(
        None, ge=0, description="SMS to a number in 10 minutes (`smn`: 100); 0 = no limit"
    )
    flow_endpoint_email: int | None = Field(
        None, ge=0, description="emails to a mailbox in 10 minutes (`smn`: 100); 0 = no limit"
    )

    # Delivery
    retry_delays: Annotated[tuple[Annotated[float, Field(ge=0)], ...], NoDecode] = Field(
        (5.0, 15.0, 60.0, 180.0, 600.0, 1500.0),
        max_length=100,
        description="seconds before each further try; each is a lower bound",
    )
    retry_jitter: float = Field(0.2, ge=0, le=1, description="share of a delay added at random")
    send_timeout: float = Field(5.0, gt=0, description="seconds for a whole HTTP exchange")
    in_flight: int = Field(2048, ge=1, description="deliveries in flight per worker")
    in_flight_bytes: int = Field(64 * 1024**2, ge=1, description="bytes in flight per worker")
    endpoint_in_flight: int = Field(64, ge=1, description="deliveries in flight per endpoint")
    lease_seconds: float = Field(30.0, ge=0.2, description="lease of a batch")
    max_claims: int = Field(3, ge=1, description="claims before a batch runs seat by seat")
    blacklist: Blacklist = Field(Blacklist.PARK, description="what a failing endpoint's wait is")
    blacklist_failures: int = Field(10, ge=1, description="failed attempts that park an endpoint")
    blacklist_window: float = Field(60.0, gt=0, description="seconds in which they must fall")
    blacklist_seconds: float = Field(300.0, gt=0, description="seconds an endpoint stays parked")

    # Retention
    dead_seconds: int = Field(7 * 86_400, ge=1, description="age at which dead letters go")
    dead_per_topic: int = Field(100_000, ge=1, description="dead letters kept per topic")
    log_seconds: int = Field(7 * 86_400, ge=1, description="age at which log lines go")
    log_bytes: int = Field(256 * 1024**2, ge=1024, description="bytes of delivery log kept")
    counter_seconds: int = Field(31 * 86_400, ge=300, description="age at which counters go")
    audit_seconds: int = Field(7 * 86_400, ge=60, description="age at which audit records go")
    audit_entries: int = Field(20_000, ge=100, description="audit records kept per project")
    outbox_entries: int = Field(10_000, ge=1, description="entries kept in the outbox")

    # Adapters
    adapters: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="tables of the adapters' own settings (see Protocols)",
    )

    # Tests only: `stage:point` at which a process kills itself (see CONTRIBUTING.md)
    fault_point: str = Field("", description="kill the process at a named point; for tests")

    @field_validator("retry_delays", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Accept ``5,15,60`` from the environment and the command line."""
        if isinstance(value, str):
            return tuple(float(part) for part in value.split(",") if part.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings' hook
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, then the environment, then the file; no ``.env`` and no secret directory."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=_toml_file)
        return init_settings, env_settings, toml

    @classmethod
    def read(cls, config: Path | None = None, **options: Any) -> Self:
        """Read all sources; ``options`` that are None count as not given.

        A process that inherits its settings reads nothing else. Raises `ConfigurationError` with
        one sentence that names the setting.
        """
        global _toml_file  # noqa: PLW0603 - pydantic-settings takes sources only by class hook
        if config is not None and not config.is_file():
            raise ConfigurationError(f"The configuration file {config} does not exist.")
        given = {name: value for name, value in options.items() if value is not None}
        inherited = os.environ.get(INHERITED)
        file: Path | None = config or Path("tocsin.toml")
        if inherited is not None:
            given, file = json.loads(inherited) | given, None
        previous, _toml_file = _toml_file, file
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or "configuration"
            raise ConfigurationError(f"Setting {name!r}: {fault(first)}.") from error
        except ValueError as error:
            raise ConfigurationError(f"{_toml_file} cannot be read: {error}.") from error
        finally:
            _toml_file = previous


_toml_file: Path | None = Path("tocsin.toml")
