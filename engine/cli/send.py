"""``tocsin send``: one message through one adapter, with all that was said on the way."""

from __future__ import annotations

import getpass
import io
import json
import logging
import sys
import time
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
from engine.models import Delivered, Kind, Rejected, Retry, Throttled

if TYPE_CHECKING:
    from engine.cli.masking import Masker
    from engine.cli.trial import Exchange, Record
    from engine.models import Outcome
    from engine.ports import MobileDevice
    from engine.settings import Settings

_SHOWN: Final = 4_000
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
        typer.Option(metavar="S", help="seconds for a whole HTTP exchange [default: 5]"),
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
        show = _show_json if as_json else _show
        show(found.record, outcome, found.masker, settings)
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


# What is sent


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


# What is shown


def _show(record: Record, outcome: Outcome, masker: Masker, settings: Settings) -> None:
    for exchange in record.exchanges:
        typer.echo(f"> {exchange.method} {masker.text(exchange.url)}")
        for name, value in masker.headers(exchange.headers).items():
            typer.echo(f"> {name}: {value}")
        _body(">", exchange.body, masker)
        if exchange.answer is None:
            typer.echo(f"< no answer: {exchange.error}, after {exchange.took_ms} ms")
        else:
            typer.echo(f"< HTTP {exchange.answer.status}, after {exchange.took_ms} ms")
            if exchange.answer.retry_after is not None:
                typer.echo(f"< Retry-After: {_line(exchange.answer.retry_after)}")
            _body("<", exchange.answer.body, masker)
        typer.echo()
    for protocol, endpoint, fields in record.kept:
        text = json.dumps(masker.value(fields), ensure_ascii=False)
        typer.echo(f"for the outbox, not sent: {protocol} {masker.text(endpoint)} {text}\n")
    for remark in _remarks(record):
        typer.echo(f"note: {remark}")
    name, meaning = _meaning(outcome, record, settings)
    typer.echo(f"{name}: {masker.text(meaning)}")


def _show_json(record: Record, outcome: Outcome, masker: Masker, settings: Settings) -> None:
    for exchange in record.exchanges:
        typer.echo(json.dumps(_exchange(exchange, masker)))
    for protocol, endpoint, fields in record.kept:
        shown = {
            "protocol": protocol,
            "endpoint": masker.text(endpoint),
            "fields": masker.value(fields),
        }
        typer.echo(json.dumps({"outbox": shown}))
    name, meaning = _meaning(outcome, record, settings)
    shown_outcome = {"name": name, "code": outcome.code, "meaning": masker.text(meaning)}
    typer.echo(json.dumps({"outcome": shown_outcome}))


def _exchange(exchange: Exchange, masker: Masker) -> dict[str, Any]:
    request = {
        "method": exchange.method,
        "url": masker.text(exchange.url),
        "headers": masker.headers(exchange.headers),
        "body": _bounded(exchange.body, masker),
    }
    found: dict[str, Any] = {"request": request, "took_ms": exchange.took_ms}
    if exchange.answer is None:
        return {**found, "error": exchange.error}
    answer = {"status": exchange.answer.status, "body": _bounded(exchange.answer.body, masker)}
    if exchange.answer.retry_after is not None:
        answer["retry_after"] = exchange.answer.retry_after
    return {**found, "answer": answer}


def _body(mark: str, body: bytes, masker: Masker) -> None:
    if not body:
        return
    typer.echo(mark)
    for line in _bounded(body, masker).splitlines():
        typer.echo(f"{mark} {_line(line)}")


def _bounded(body: bytes, masker: Masker) -> str:
    """The beginning of a body; what is cut off is counted."""
    text = masker.text(body.decode(errors="replace"))
    over = len(text) - _SHOWN
    return text if over <= 0 else f"{text[:_SHOWN]} […and {over} characters]"


def _line(text: str) -> str:
    """Without what a terminal would obey: answers come from anybody."""
    return "".join(one if one.isprintable() or one == "\t" else "\ufffd" for one in text)


def _remarks(record: Record) -> Iterator[str]:
    from engine.cli.trial import PUBLIC_URL

    if record.signed:
        yield (
            "the signature is by a certificate made for this message: a receiver that verifies"
            " refuses it."
        )
    if any(PUBLIC_URL in text for text in _texts(record)):
        yield f"links to {PUBLIC_URL} are examples and lead nowhere."
    for name in record.ignored:
        yield f"the extension's {name!r} is none that this protocol knows: it is ignored."
    if not record.exchanges and not record.kept:
        yield "no HTTP request was made: the outcome is all there is to see."


def _texts(record: Record) -> Iterator[str]:
    yield from (one.body.decode(errors="replace") for one in record.exchanges)
    yield from (json.dumps(fields) for _, _, fields in record.kept)


def _meaning(outcome: Outcome, record: Record, settings: Settings) -> tuple[str, str]:
    """The outcome, and what a worker would do about it."""
    said_already = outcome.code and str(outcome.code) in getattr(outcome, "reason", "")
    code = f" ({outcome.code})" if outcome.code and not said_already else ""
    match outcome:
        case Delivered():
            if record.kept and not record.exchanges:
                return "delivered", (
                    f"to the outbox alone{code}: a worker would write it there, this command has"
                    " not, and nobody would receive anything."
                )
            return "delivered", f"whoever was asked has taken the message{code}."
        case Retry(reason=reason, answer=answer):
            delays = ", ".join(f"{delay:g}" for delay in settings.retry_delays)
            said = f" It said: {answer}" if answer else ""
            return "retry", (
                f"{reason}{code}. A worker would try again, after {delays} s"
                f" as long as it fails.{said}"
            )
        case Throttled(reason=reason, until_ms=until_ms):
            wait_s = max(round(until_ms / 1000 - time.time()), 0)
            return "throttled", f"{reason}{code}. A worker would wait {wait_s} s; no try is spent."
        case Rejected(reason=reason, answer=answer):
            said = f" It said: {answer}" if answer else ""
            hint = (
                " Allow the network with --allow-endpoints if it may be sent to."
                if reason == "address refused"
                else ""
            )
            return "rejected", f"{reason}{code}. A worker would bury it.{hint}{said}"
