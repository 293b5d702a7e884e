"""``tocsin demo``: the main job in one terminal, on a service that is thrown away."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sized
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from engine.cli.running import run

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from engine.cli.demo_world import Client, Subscribers

_FLAKY: Final = 7
"""Every seventh subscriber fails first, so that retries can be seen."""

_PATIENCE: Final = 60.0
"""Seconds without any arrival after which the demo gives up."""

_SUBJECT: Final = "Hello"
_MESSAGE: Final = "One publish, many subscribers."


def demo(
    subscribers: Annotated[int, typer.Option(min=1, max=5000, metavar="N")] = 300,
) -> None:
    """Show the main job: one publish reaches a few hundred HTTP subscribers.

    Starts a service on a free port in a temporary directory, subscribes, confirms, publishes,
    shows what arrived and how fast, and cleans up.

    Example: tocsin demo --subscribers 500
    """
    run(lambda: _demo(subscribers))


async def _demo(count: int) -> None:
    import aiohttp
    from rich.console import Console

    from engine.cli.demo_world import Client, Subscribers, service

    console = Console(highlight=False)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-demo-")))
        started = time.perf_counter()
        url = await stack.enter_async_context(service(folder))
        console.print(f"service      {url}, started in {time.perf_counter() - started:.1f} s")
        host = Subscribers(count, _FLAKY)
        await stack.enter_async_context(host.listen())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = Client(session, folder / "data")
        await client.log_in()
        with _progress(console) as progress:
            await _play(client, host, progress, console)


async def _play(client: Client, host: Subscribers, progress: Progress, console: Console) -> None:
    topic = await client.create_topic("demo")
    console.print(f"topic        {topic}")
    async with asyncio.TaskGroup() as group:
        group.create_task(client.subscribe_all(topic, host.endpoints))
        await _watch("confirmed", host.confirmed, host, progress)
    console.print(f"subscribers  {host.count} confirmed through the links they were sent")
    published = time.perf_counter()
    message_id = await client.publish(topic, _SUBJECT, _MESSAGE)
    accepted = time.perf_counter()
    console.print(f"message      {message_id}")
    await _watch("delivered", host.arrived, host, progress)
    _report(console, host, published, accepted)


async def _watch(label: str, what: Sized, host: Subscribers, progress: Progress) -> None:
    """Show ``what`` fill up until every subscriber is in it."""
    from engine.cli.demo_world import DemoError

    task = progress.add_task(label, total=host.count)
    while len(what) < host.count:
        try:
            async with asyncio.timeout(_PATIENCE):
                await host.changed()
        except TimeoutError as error:
            raise DemoError(f"only {len(what)} of {host.count} {label}") from error
        progress.update(task, completed=len(what))
    progress.remove_task(task)


def _progress(console: Console) -> Progress:
    """A live bar on a terminal; nothing elsewhere, where the plain lines say enough."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _report(console: Console, host: Subscribers, published: float, accepted: float) -> None:
    def after(moment: float) -> str:
        return f"{(moment - published) * 1000:,.1f} ms after the call began"

    first, last_first = min(host.first_tries), max(host.first_tries)
    rate = host.count / (last_first - published)
    exact = host.extra == 0
    rows = {
        "arrived": f"{len(host.arrived)} of {host.count}"
        + (", each exactly once" if exact else ""),
        "one of them": f"subject {host.sample['subject']!r}, message {host.sample['message']!r}",
        "accepted": f"{after(accepted)}, and on disk",
        "first try": f"the first {after(first)}",
        "": f"the last {after(last_first)}: {rate:,.0f} deliveries/s",
        "retried": f"{len(host.failed)} answered 503 first and were tried again",
        "all there": after(max(host.arrived.values())),
    }
    for name, text in rows.items():
        console.print(f"{name:<12} {text}", markup=False)
