"""``tocsin send``: one message through one adapter, with all that was said on the way."""

from __future__ import annotations

import getpass
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from engine.cli import options
from engine.cli.running import FAILED, run
from engine.errors import ConfigurationError, Refused
from engine.logs import EventHandler
from engine.models import Delivered, Kind

if TYPE_CHECKING:
    from engine.cli.masking import Masker
    from engine.models import Outcome
    from engine.ports import MobileDevice

_TEXT: Final = "This is a message from tocsin send."
_ALERT: Final = json.dumps({"aps": {"alert": _TEXT}})
"""The same for Apple's devices, which take nothing else."""


def send(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help="such as https or dingding")],
    endpoint: Annotated[
        str, typer.Argument(metavar="ENDPOINT", help="as of a subscription, or @FILE that holds it")
    ],
    *,
    message: Annotated[
        str | None,
        typer.Option("--message", "-m", metavar="TEXT", help="@FILE reads it, - from stdin"),
    ] = None,
    subject: Annotated[str | None, typer.Option(metavar="TEXT")] = None,
    structure: Annotated[
        bool,
        typer.Option(
            "--structure", help="the message is JSON by protocol, as message_structure is"
        ),
    ] = False,
    extension: Annotated[
        list[str] | None,
        typer.Option(
            "--extension",
            "-e",
            metavar="NAME=VALUE",
            help="once for each; header.X-Name=VALUE for a header; NAME=@FILE reads the value,"
            " NAME alone asks for it unseen; @FILE is a whole JSON object, - the same from stdin",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        Kind,
        typer.Option(
            metavar="KIND", help="confirmation, cancellation, … as the service itself writes them"
        ),
    ] = Kind.NOTIFICATION,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="S", min=0.1, help="seconds for a whole HTTP exchange [default: 5]"),
    ] = None,
    as_json: options.Json = False,
    allow_endpoints: options.AllowEndpoints = None,
    data: options.Data = None,
    redis: options.Redis = None,
    config: options.Config = None,
) -> None:
    """Send one message and show request, answer and outcome, with secrets masked.

    For when a bot does not answer: no service need be running, but for `application`, whose
    endpoints only a service knows. Settings of adapters are those of `serve`: environment and
    tocsin.toml. Exit status 0 delivered, 1 not, 2 wrong usage.

    Example: tocsin send dingding @robot-url.txt -e sign_secret -m 'it works'
    """
    given = {
        "data": data,
        "redis": redis,
        "config": config,
        "allow_endpoints": allow_endpoints,
        "send_timeout": timeout,
    }
    what = {
        "message": message,
        "subject": subject,
        "structure": structure,
        "extension": extension or [],
        "kind": kind,
    }
    outcome = run(lambda: _send(given, protocol, endpoint, what, as_json=as_json), fast=False)
    if not isinstance(outcome, Delivered):
        raise typer.Exit(FAILED)


async def _send(
    given: Mapping[str, Any],
    protocol: str,
    endpoint: str,
    what: Mapping[str, Any],
    *,
    as_json: bool,
) -> Outcome:
    from engine.cli.attaching import attach
    from engine.cli.trial import trial
    from engine.cli.trial_shown import show, show_json
    from engine.settings import Settings

    settings = Settings.read(**given)

    async def find(urn: str) -> MobileDevice | None:
        async with attach(given) as engine:
            return await engine.device_finder.find(urn)

    async with trial(settings, find) as found:
        notice = found.adapter(protocol).notice
        if notice:
            typer.echo(f"note: {notice}", err=True)
        try:
            with _warnings(found.masker):
                outcome = await found.send(
                    protocol,
                    _read(endpoint),
                    _extension(what["extension"]),
                    what["kind"],
                    _content(protocol, what["message"], structured=what["structure"]),
                    what["subject"],
                )
        except Refused as refused:
            # What a subscription could not be made with: for the operator to change.
            raise ConfigurationError(found.masker.text(str(refused))) from refused
        shown = show_json if as_json else show
        shown(found.record, outcome, found.masker, settings)
        return outcome


@contextmanager
def _warnings(masker: Masker) -> Iterator[None]:
    """Show what the adapter writes to the log meanwhile: which relay failed, and why."""
    heard = io.StringIO()
    handler = EventHandler("send", heard)
    handler.setLevel(logging.WARNING)
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        typer.echo(masker.text(heard.getvalue()), err=True, nl=False)


def _read(text: str) -> str:
    """What was given, or what the file holds that was; without the line's end."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigurationError(
            f"The file {text[1:]} cannot be read: {error.strerror}."
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"The file {text[1:]} is not UTF-8 text.") from error


def _content(protocol: str, given: str | None, *, structured: bool) -> Mapping[str, str]:
    from engine.policy import structure

    if given is None:
        return {"default": _TEXT, "APNS": _ALERT, "APNS_SANDBOX": _ALERT}
    text = sys.stdin.read() if given == "-" else _read(given)
    if structured:
        return structure.parse(text, {protocol})
    if not text:
        raise ConfigurationError("The message is empty.")
    return {"default": text}


def _extension(given: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in given:
        if one == "-" or one.startswith("@"):
            found |= _object(sys.stdin.read() if one == "-" else _read(one))
            continue
        if one.startswith("{"):
            found |= _object(one)
            continue
        name, given_value, value = one.partition("=")
        value = _read(value) if given_value else _asked(name)
        outer, dot, inner = name.partition(".")
        if dot:
            found.setdefault(outer, {})[inner] = value
        else:
            found[name] = {"true": True, "false": False}.get(value, value)
    return found


def _asked(name: str) -> str:
    """What somebody types who is asked for it, unseen."""
    with warnings.catch_warnings():
        # Where nobody types there is no echo to be warned of.
        warnings.simplefilter("ignore", getpass.GetPassWarning)
        try:
            return str(typer.prompt(name, hide_input=True, err=True))
        except typer.Abort as error:
            raise ConfigurationError(
                f"Nobody answers who could be asked for {name}: give {name}=@FILE."
            ) from error


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"The extension is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ConfigurationError("The extension is not a JSON object.")
    return value
