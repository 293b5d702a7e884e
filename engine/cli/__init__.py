"""The command line: one module a command. Exit status 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli import api, audit, dead, demo, iam, key, logs, outbox, send, serve, version, worker

app = typer.Typer(
    name="tocsin",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        version.version()
        raise typer.Exit


@app.callback()
def main(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="as the command version", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Tocsin: a self-hosted notification service that SMN clients use unchanged."""


app.command("serve")(serve.serve)
app.command("api")(api.api)
app.command("worker")(worker.worker)
app.command("demo")(demo.demo)
app.command("outbox")(outbox.outbox)
app.command("send")(send.send)
app.command("audit")(audit.audit)
app.command("logs")(logs.logs)
app.add_typer(dead.app, name="dead")
app.add_typer(iam.app, name="iam")
app.add_typer(key.app, name="key")
app.command("version")(version.version)
