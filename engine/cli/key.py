"""``tocsin key …``: the ring of keys that topics are encrypted with."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.running import run

if TYPE_CHECKING:
    from engine.keyring import Keyring
    from engine.keyring_file import RingKey

app = typer.Typer(
    no_args_is_help=True,
    help="Keys that topics are encrypted with: the ring in the data directory."
    " Each process reads the ring of its own --data, within a second of a change: on several"
    " machines copy DIR/keyring to each, as you did DIR/master.key.\n\n"
    "Example: tocsin key create --alias orders",
)

Key = Annotated[str, typer.Argument(metavar="KEY", help="a key's id or alias", show_default=False)]


@app.command()
def create(
    *,
    alias: Annotated[str, typer.Option(metavar="NAME", help="what people call it")],
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Make a key; it is enabled at once.

    Example: tocsin key create --alias orders
    """
    _show(_on({"config": config, "data": data}, lambda ring: [ring.create(alias)]), as_json=as_json)


@app.command("list")
def list_(
    *,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """List all keys with their states, deleted ones too.

    Example: tocsin key list --json
    """
    _show(_on({"config": config, "data": data}, lambda ring: ring.all_keys()), as_json=as_json)


@app.command()
def disable(
    key: Key,
    *,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Refuse new messages of its topics; what was accepted is still delivered.

    Example: tocsin key disable orders
    """
    _show(_on({"config": config, "data": data}, lambda ring: [ring.disable(key)]), as_json=as_json)


@app.command()
def enable(
    key: Key,
    *,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Use a disabled key again.

    Example: tocsin key enable orders
    """
    _show(_on({"config": config, "data": data}, lambda ring: [ring.enable(key)]), as_json=as_json)


@app.command("schedule-deletion")
def schedule_deletion(
    key: Key,
    *,
    days: Annotated[
        int, typer.Option(metavar="N", help="days until then, at most 1096; 0 destroys it now")
    ] = 7,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Destroy a key later: what is still encrypted with it then is lost.

    Until then its topics go on as before.

    Example: tocsin key schedule-deletion orders --days 30
    """
    done = _on({"config": config, "data": data}, lambda ring: [ring.schedule_deletion(key, days)])
    _show(done, as_json=as_json)


@app.command("cancel-deletion")
def cancel_deletion(
    key: Key,
    *,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
) -> None:
    """Keep a key that was to be destroyed; it is disabled until you enable it.

    Example: tocsin key cancel-deletion orders
    """
    done = _on({"config": config, "data": data}, lambda ring: [ring.cancel_deletion(key)])
    _show(done, as_json=as_json)


def _on(given: Mapping[str, Any], work: Callable[[Keyring], list[RingKey]]) -> list[RingKey]:
    """Open the ring and work on it; no service need be running."""

    async def main() -> list[RingKey]:
        from engine.keyring import Keyring
        from engine.settings import Settings
        from engine.vault import Vault

        settings = Settings.read(**given)
        # Not made here: that of a data set is made together with it.
        vault = Vault.open(settings.master_key_file or settings.data / "master.key", create=False)
        return work(Keyring.open(settings.data, vault))

    return run(main, fast=False)


def _show(keys: list[RingKey], *, as_json: bool) -> None:
    for key in keys:
        if as_json:
            shown = {
                "key_id": key.id,
                "alias": key.alias,
                "state": key.state,
                "created": _at(key.created_ms),
                "deletion": _at(key.delete_ms),
            }
            typer.echo(json.dumps(shown))
        else:
            until = f" deletion={_at(key.delete_ms)}" if key.delete_ms else ""
            typer.echo(f"{key.id} {key.state} {key.alias} created={_at(key.created_ms)}{until}")


def _at(at_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000)) if at_ms else ""
