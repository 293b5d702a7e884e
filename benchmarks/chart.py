"""Charts as hand-written SVG: horizontal bars and curves, with goals as dashed lines.

No plotting library: a result has a handful of marks, and text that a person reviews in a
diff is worth more than a dependency.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from benchmarks.stats import ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 880
_LEFT: Final = 230
_RIGHT: Final = 110
_PLOT: Final = WIDTH - _LEFT - _RIGHT
_INK, _MUTED, _GRID, _GOAL = "#1e293b", "#64748b", "#e2e8f0", "#b91c1c"
_DASHES: Final = f'stroke="{_GOAL}" stroke-width="1.5" stroke-dasharray="5 4"'
_DOT: Final = f'fill="#fff" stroke="{_INK}"'
_COLOURS: Final = ("#2563eb", "#94a3b8", "#0d9488", "#d97706")


@dataclass(frozen=True, slots=True)
class Goal:
    """A dashed line at ``value``; ``text`` says what it asks for."""

    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``samples`` are drawn as dots over it; ``colour`` indexes the palette."""

    label: str
    value: float
    samples: tuple[float, ...] = ()
    colour: int = 0


@dataclass(frozen=True, slots=True)
class Bars:
    """A panel of horizontal bars that share one axis from zero."""

    title: str
    unit: str
    bars: tuple[Bar, ...]
    goal: Goal | None = None

    @property
    def height(self) -> int:
        """Pixels that the panel takes."""
        return 74 + 32 * len(self.bars)

    def draw(self, top: int) -> list[str]:
        """SVG elements of the panel with its upper edge at ``top``."""
        reach = [bar.value for bar in self.bars] + [s for bar in self.bars for s in bar.samples]
        marks = ticks(0, max([*reach, self.goal.value if self.goal else 0, 1e-9]))
        scale = _PLOT / marks[-1]
        bottom = top + 44 + 32 * len(self.bars)
        out = [_text(24, top + 18, f"{self.title} ({self.unit})", weight=600)]
        for mark in marks:
            x = _LEFT + mark * scale
            out += [_line(x, top + 36, x, bottom), _text(x, bottom + 16, number(mark), "middle")]
        for row, bar in enumerate(self.bars):
            out += self._bar(bar, top + 42 + 32 * row, scale)
        if self.goal:
            out += _goal(_LEFT + self.goal.value * scale, top + 36, bottom, self.goal.text)
        return out

    def _bar(self, bar: Bar, y: int, scale: float) -> list[str]:
        width = max(1.0, bar.value * scale)
        colour = _COLOURS[bar.colour % len(_COLOURS)]
        end = _LEFT + max([width, *(s * scale for s in bar.samples)])
        return [
            _text(_LEFT - 10, y + 15, bar.label, "end", colour=_INK),
            f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="22" rx="2" fill="{colour}"/>',
            *(
                f'<circle cx="{_LEFT + s * scale:.1f}" cy="{y + 11}" r="3" {_DOT}/>'
                for s in bar.samples
            ),
            _halo(end + 8, y + 15, number(bar.value)),
        ]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line through (x, y) points."""

    label: str
    points: tuple[tuple[float, float], ...]
    colour: int = 0


@dataclass(frozen=True, slots=True)
class Curves:
    """A panel of curves; ``goals`` are vertical lines at values of x."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    goals: tuple[Goal, ...] = ()

    @property
    def height(self) -> int:
        """Pixels that the panel takes."""
        return 340

    def draw(self, top: int) -> list[str]:
        """SVG elements of the panel with its upper edge at ``top``."""
        points = [point for curve in self.curves for point in curve.points]
        xs = ticks(0, max([x for x, _ in points] + [goal.value for goal in self.goals]))
        ys = ticks(0, max(y for _, y in points))
        left, right, high, low = 84, WIDTH - 40, top + 56, top + 284
        x_scale, y_scale = (right - left) / xs[-1], (low - high) / ys[-1]
        out = [_text(24, top + 18, self.title, weight=600)]
        for y in ys:
            at = low - y * y_scale
            out += [_line(left, at, right, at), _text(left - 8, at + 4, number(y), "end")]
        for x in xs:
            out.append(_text(left + x * x_scale, low + 18, number(x), "middle"))
        out += [
            _text((left + right) / 2, low + 38, self.x_label, "middle"),
            _text(24, top + 40, self.y_label),
        ]
        for curve in self.curves:
            path = " ".join(
                f"{left + x * x_scale:.1f},{low - y * y_scale:.1f}" for x, y in curve.points
            )
            colour = _COLOURS[curve.colour % len(_COLOURS)]
            out.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
        out += self._legend(right, top + 18)
        for goal in self.goals:
            out += _goal(left + goal.value * x_scale, high - 8, low, goal.text)
        return out

    def _legend(self, right: int, y: int) -> list[str]:
        """Names beside the title, from the right; text is measured at 7 pixels a letter."""
        if len(self.curves) == 1:
            return []
        out: list[str] = []
        for curve in reversed(self.curves):
            right -= 7 * len(curve.label) + 26
            colour = _COLOURS[curve.colour % len(_COLOURS)]
            out += [
                f'<rect x="{right}" y="{y - 6}" width="14" height="4" fill="{colour}"/>',
                _text(right + 20, y, curve.label, colour=_INK),
            ]
        return out


Panel = Bars | Curves


def picture(title: str, subtitle: str, panels: Sequence[Panel], footer: str) -> str:
    """A whole SVG document: title, one line of context, the panels, one line of footer."""
    height = 74 + sum(panel.height + 14 for panel in panels) + 26
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        f' width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}"',
        ' font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(24, 32, title, weight=700, size=18, colour=_INK),
        _text(24, 52, subtitle),
    ]
    top = 74
    for panel in panels:
        out += panel.draw(top)
        top += panel.height + 14
    out += [_text(24, height - 12, footer, size=10), "</svg>"]
    return "\n".join(out) + "\n"


def number(value: float) -> str:
    """A number as people read it: grouped when large, few digits when small."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _text(
    x: float,
    y: float,
    text: str,
    anchor: str = "start",
    *,
    colour: str = _MUTED,
    weight: int = 400,
    size: int = 12,
) -> str:
    fill = _INK if weight >= 600 else colour
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" '
        f'font-weight="{weight}" font-size="{size}">{escape(text)}</text>'
    )


def _halo(x: float, y: float, text: str) -> str:
    """Text with a white outline, readable over grid and goal lines."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{_INK}" font-weight="600" stroke="#fff" '
        f'stroke-width="4" paint-order="stroke">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{_GRID}"/>'


def _goal(x: float, top: float, bottom: float, text: str) -> list[str]:
    anchor = "end" if x > WIDTH * 0.7 else "start"
    shift = -5 if anchor == "end" else 5
    return [
        f'<line x1="{x:.1f}" y1="{top - 8:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" {_DASHES}/>',
        _text(x + shift, top - 2, text, anchor, colour=_GOAL, size=11),
    ]
