"""Waiting for something outside this process to become true."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def until(
    condition: Callable[[], Awaitable[bool]], timeout_s: float, what: str, *, every_s: float = 0.05
) -> None:
    """Ask ``condition`` until it holds; raises `TimeoutError` that names ``what``."""
    try:
        async with asyncio.timeout(timeout_s):
            while not await condition():
                await asyncio.sleep(every_s)
    except TimeoutError as error:
        raise TimeoutError(f"waited {timeout_s:.0f} s for {what}") from error
