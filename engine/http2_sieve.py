"""What h2 may not see of the bytes of an HTTP/2 server."""

from __future__ import annotations

from typing import Final

# Frames (RFC 9113 §4.1): length, type, flags, stream; the longest that a server may send us.
_HEAD_BYTES: Final = 9
_FRAME_BYTES: Final = 16_384
_GOAWAY: Final = 0x07
_STREAM_BITS: Final = 0x7FFF_FFFF


class Sieve:
    """Takes what GOAWAY says out of the bytes of a server.

    h2 would take that for the end of everything, while the answers to earlier requests are
    still to come (RFC 9113 §6.8).
    """

    def __init__(self) -> None:
        self._held = bytearray()

    def sift(self, data: bytes) -> tuple[bytes, int | None]:
        """The whole frames among them, and the last stream that a GOAWAY names.

        Raises `ValueError` for a frame that is longer than a server may send.
        """
        self._held += data
        passed, last, at = bytearray(), None, 0
        while len(self._held) >= at + _HEAD_BYTES:
            length = int.from_bytes(self._held[at : at + 3], "big")
            if length > _FRAME_BYTES:
                raise ValueError("a frame is too long")
            end = at + _HEAD_BYTES + length
            if len(self._held) < end:
                break
            if self._held[at + 3] == _GOAWAY:
                first = at + _HEAD_BYTES
                last = int.from_bytes(self._held[first : first + 4], "big") & _STREAM_BITS
            else:
                passed += self._held[at:end]
            at = end
        del self._held[:at]
        return bytes(passed), last
