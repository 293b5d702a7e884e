"""For tests of adapters and of programs that embed the engine.

`engine.testing.fakes` stands in for what an engine has around it; its names are here too.
`engine.testing.conformance` is the suite that every adapter passes, for the authors of others.
It needs hypothesis (``pip install tocsin[testing]``), which nothing else does.
"""

from __future__ import annotations

from engine.testing.fakes import (
    EPOCH_MS,
    FakeLinks,
    FakeSigner,
    InstantTransport,
    KnownDevices,
    ManualClock,
    MemoryOutbox,
    OpenGuard,
    RecordingAdapter,
    Request,
    Sent,
    fake_ports,
)

__all__ = [
    "EPOCH_MS",
    "FakeLinks",
    "FakeSigner",
    "InstantTransport",
    "KnownDevices",
    "ManualClock",
    "MemoryOutbox",
    "OpenGuard",
    "RecordingAdapter",
    "Request",
    "Sent",
    "fake_ports",
]
