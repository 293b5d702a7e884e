"""What ``tocsin send`` shows: each request or command and answer, what was kept, the outcome."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import typer

from engine.cli.trial import PUBLIC_URL
from engine.models import Delivered, Rejected, Retry, Throttled

if TYPE_CHECKING:
    from engine.cli.masking import Masker
    from engine.cli.trial import Exchange, Record
    from engine.models import Outcome
    from engine.settings import Settings

_SHOWN: Final = 4_000
"""Characters of a body."""


def show(record: Record, outcome: Outcome, masker: Masker, settings: Settings) -> None:
    """For a person, on standard output."""
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
    _dialogue(record, masker)
    for protocol, endpoint, fields in record.kept:
        text = json.dumps(masker.value(fields), ensure_ascii=False)
        typer.echo(f"for the outbox, not sent: {protocol} {masker.text(endpoint)} {text}\n")
    for remark in _remarks(record):
        typer.echo(f"note: {remark}")
    name, meaning = _meaning(outcome, record, settings)
    typer.echo(f"{name}: {masker.text(meaning)}")


def show_json(record: Record, outcome: Outcome, masker: Masker, settings: Settings) -> None:
    """For a program: a JSON document a line."""
    for exchange in record.exchanges:
        typer.echo(json.dumps(_exchange(exchange, masker)))
    for line in record.dialogue:
        said = "heard" if line.heard else "said"
        typer.echo(json.dumps({"server": line.server, said: _bounded(line.text, masker)}))
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


def _dialogue(record: Record, masker: Masker) -> None:
    server = ""
    for line in record.dialogue:
        if line.server != server:
            server = line.server
            typer.echo(f"{server}:")
        for one in _bounded(line.text, masker).split("\n"):
            typer.echo(f"{'<' if line.heard else '>'} {_line(one)}".rstrip())
    if record.dialogue:
        typer.echo()


def _exchange(exchange: Exchange, masker: Masker) -> dict[str, Any]:
    request = {
        "method": exchange.method,
        "url": masker.text(exchange.url),
        "headers": masker.headers(exchange.headers),
        "body": _bounded(_text(exchange.body), masker),
    }
    found: dict[str, Any] = {"request": request, "took_ms": exchange.took_ms}
    if exchange.answer is None:
        return {**found, "error": exchange.error}
    answer = {
        "status": exchange.answer.status,
        "body": _bounded(_text(exchange.answer.body), masker),
    }
    if exchange.answer.retry_after is not None:
        answer["retry_after"] = exchange.answer.retry_after
    return {**found, "answer": answer}


def _body(mark: str, body: bytes, masker: Masker) -> None:
    if not body:
        return
    typer.echo(mark)
    for line in _bounded(_text(body), masker).splitlines():
        typer.echo(f"{mark} {_line(line)}")


def _text(body: bytes) -> str:
    return body.decode(errors="replace")


def _bounded(text: str, masker: Masker) -> str:
    """The beginning of a text; what is cut off is counted."""
    text = masker.text(text)
    over = len(text) - _SHOWN
    return text if over <= 0 else f"{text[:_SHOWN]} […and {over} characters]"


def _line(text: str) -> str:
    """Without what a terminal would obey: answers come from anybody."""
    return "".join(one if one.isprintable() or one == "\t" else "\ufffd" for one in text)


def _remarks(record: Record) -> Iterator[str]:
    if record.signed:
        yield (
            "the signature is by a certificate made for this message: a receiver that verifies"
            " refuses it."
        )
    if any(PUBLIC_URL in text for text in _texts(record)):
        yield f"links to {PUBLIC_URL} are examples and lead nowhere."
    for name in record.ignored:
        yield f"the extension's {name!r} is none that this protocol knows: it is ignored."
    if not record.exchanges and not record.dialogue and not record.kept:
        yield "nothing was sent to anybody: the outcome is all there is to see."


def _texts(record: Record) -> Iterator[str]:
    yield from (_text(one.body) for one in record.exchanges)
    yield from (line.text for line in record.dialogue)
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
            delays = [f"{delay:g}" for delay in settings.retry_delays]
            how = f"after {', '.join(delays)} s as long as it fails"
            if outcome.once:
                how = f"once, after {', '.join(delays[:1])} s"
            said = f" It said: {answer}" if answer else ""
            return "retry", f"{reason}{code}. A worker would try again, {how}.{said}"
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
