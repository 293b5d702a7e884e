"""``tocsin demo`` shows the main job and cleans up."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path


async def test_the_demo_delivers_and_cleans_up(tmp_path: Path) -> None:
    """It ends with status 0, has delivered to all, each once, and leaves no file behind."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine", "demo", "--subscribers", "30"),
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert "30 of 30, each exactly once" in out.decode()
    assert "4 answered 503 first and were tried again" in out.decode()
    assert list(tmp_path.iterdir()) == []
