"""The README's example works as printed."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.serving import serve

README = Path(__file__).parents[2] / "README.md"


async def test_the_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    """Copied into a file beside ``tocsin-data``, the block runs and prints its promise."""
    text = README.read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 1
    promised = re.search(r"It prints `([^`]+)`", text)
    assert promised is not None
    async with serve(tmp_path / "tocsin-data"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", blocks[0]), cwd=tmp_path, stdout=PIPE
        )
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.decode().strip() == promised[1]
