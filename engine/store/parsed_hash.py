"""A hash that is kept parsed: of what is read of it later, only what has changed is parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Line = TypeVar("Line")


class ParsedHash(NamedTuple, Generic[Line]):
    """The values of a hash, and by the names of their fields what they mean; not to be changed."""

    raw: Mapping[bytes, bytes]
    lines: Mapping[str, Line]

    def read_again(
        self,
        raw: Mapping[bytes, bytes],
        parse: Callable[[Mapping[bytes, bytes]], Iterable[Line]],
    ) -> ParsedHash[Line]:
        """The same hash with the values of now; ``parse`` makes lines, in order, of some of them.

        The lines of values that are the same are the same objects.
        """
        known = self.raw
        changed = {name: value for name, value in raw.items() if known.get(name) != value}
        lines = dict(self.lines)
        for name in known.keys() - raw.keys():
            del lines[name.decode()]
        if changed:
            lines.update(zip(map(bytes.decode, changed), parse(changed), strict=True))
        return ParsedHash(raw, lines)


def unread() -> ParsedHash[Line]:
    """What is known of a hash before it has been read."""
    return ParsedHash({}, {})
