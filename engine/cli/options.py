"""The options that commands share. Each is a setting of the same name: `engine.settings`.

None means "not given", so that environment, file and default have their say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine.lifeline import die_with
from engine.settings import Durability, Settings


def setting(name: str, metavar: str, *, default: str = "") -> Any:  # noqa: ANN401 - typer's own type
    """The option for one setting, with its description, variable and default."""
    field = Settings.model_fields[name]
    shown = default or str(field.default)
    # A default that is told here takes the place of what the description tells of it.
    what = (field.description or "").partition("; default")[0] if default else field.description
    tail = f" [env: TOCSIN_{name.upper()}]" + (f" [default: {shown}]" if shown else "")
    return typer.Option(
        f"--{name.replace('_', '-')}",
        help=f"{what}{tail}",
        metavar=metavar,
        show_default=False,
    )


Config = Annotated[
    Path | None,
    typer.Option(help="settings file [default: tocsin.toml]", metavar="FILE", show_default=False),
]
Data = Annotated[Path | None, setting("data", "DIR")]
Host = Annotated[str | None, setting("host", "ADDRESS")]
Port = Annotated[int | None, setting("port", "N")]
PublicUrl = Annotated[str | None, setting("public_url", "URL")]
TlsCert = Annotated[Path | None, setting("tls_cert", "FILE", default="none")]
TlsKey = Annotated[Path | None, setting("tls_key", "FILE", default="none")]
TrustedProxies = Annotated[str | None, setting("trusted_proxies", "CIDR,…", default="none")]
Redis = Annotated[str | None, setting("redis", "URL", default="embedded")]
RedisServed = Annotated[str | None, setting("redis", "URL", default="none: it has to be given")]
Workers = Annotated[int | None, setting("workers", "N", default="max(1, cores − 1)")]
Region = Annotated[str | None, setting("region", "NAME")]
DurabilityOption = Annotated[Durability | None, setting("durability", "memory|fsync|replica")]
AllowEndpoints = Annotated[str | None, setting("allow_endpoints", "CIDR,…", default="none")]
DrainSeconds = Annotated[float | None, setting("drain_seconds", "S")]
Parent = Annotated[int | None, typer.Option(hidden=True)]
Json = Annotated[bool, typer.Option("--json", help="print JSON, one object a line")]


def live_with(parent: int | None) -> None:
    """End this process with the supervisor that started it, if one did."""
    if parent is not None:
        die_with(parent)
