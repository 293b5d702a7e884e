"""Tocsin with a promise broken on purpose, to show that the kill test would notice.

``python sabotage.py VARIANT worker …`` breaks one rule and then runs the command line:

- ``acknowledge-first``: a batch is taken off its lane when it is loaded, not when its outcomes
  are written down, and the settle script is told not to mind.
- ``ledger-ignored``: what the ledger says has ended is not read back.
- ``nothing``: all is well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.__main__ import main
from engine.pipeline import intake, settle
from engine.pipeline.batch import Batch, Taken
from engine.store.keys import GROUP
from engine.store.ledger import Row
from engine.store.scripts import Script

_FENCE = "if not held or held[2] ~= consumer or held[4] ~= tonumber(claims) then return 0 end"


def acknowledge_first() -> None:
    """Move the acknowledgement before the settle."""
    text = settle._SETTLE.text
    assert _FENCE in text, "the settle script has changed: sabotage it anew"
    settle._SETTLE = _script(text.replace(_FENCE, ""))
    load = intake.Intake.load

    async def load_and_forget(
        self: intake.Intake, taken: Sequence[Taken]
    ) -> tuple[list[Batch], set[str]]:
        batches, backlogged = await load(self, taken)
        for batch in batches:
            lane = self._keys.lane(self._shard, batch.protocol)
            await self._store.call("XACK", lane, GROUP, batch.entry_id)
            await self._store.call("XDEL", lane, batch.entry_id)
        return batches, backlogged

    intake.Intake.load = load_and_forget  # type: ignore[method-assign]


def ignore_ledger() -> None:
    """Forget which seats have ended whenever a batch is loaded."""
    unpack = Row.unpack
    Row.unpack = lambda packed: replace(unpack(packed), ended=0)  # type: ignore[method-assign]


def _script(text: str) -> Script:
    import hashlib  # noqa: PLC0415 - only one variant needs it

    return Script("settle", text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


VARIANTS: dict[str, Callable[[], None]] = {
    "acknowledge-first": acknowledge_first,
    "ledger-ignored": ignore_ledger,
    "nothing": lambda: None,
}

if __name__ == "__main__":
    VARIANTS[sys.argv.pop(1)]()
    main()
