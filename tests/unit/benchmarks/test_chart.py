"""The SVG writer."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from benchmarks.chart import Bar, Bars, Curve, Curves, Goal, number, picture

SVG = "{http://www.w3.org/2000/svg}"


def _drawn(*panels: Bars | Curves) -> ET.Element:
    return ET.fromstring(picture("A & B", "under <it>", panels, "foot"))


def test_picture_is_well_formed_and_escaped() -> None:
    """Whatever the texts hold, the picture is XML and says them."""
    root = _drawn(Bars("1 < 2", "µs", (Bar("x & y", 3.0),)))
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert {"A & B", "under <it>", "1 < 2 (µs)", "x & y", "foot"} <= set(texts)


def test_bars_are_proportional() -> None:
    """A bar of twice the value is twice as long."""
    root = _drawn(Bars("t", "u", (Bar("a", 10.0), Bar("b", 20.0))))
    a, b = [float(each.attrib["width"]) for each in root.findall(f"{SVG}rect")[1:]]
    assert b == pytest.approx(2 * a)


def test_goal_and_samples_are_drawn() -> None:
    """A goal is a dashed line with its words, each sample a dot."""
    root = _drawn(Bars("t", "u", (Bar("a", 10.0, (9.0, 11.0)),), Goal(8.0, "goal ≥ 8")))
    assert len(root.findall(f"{SVG}circle")) == 2
    assert any("stroke-dasharray" in line.attrib for line in root.findall(f"{SVG}line"))
    assert "goal ≥ 8" in [each.text for each in root.iter(f"{SVG}text")]


def test_everything_lies_inside() -> None:
    """No mark leaves the picture, also when a goal is far beyond the values."""
    root = _drawn(
        Bars("t", "u", (Bar("a", 1.0), Bar("b", 0.0)), Goal(500.0, "far")),
        Curves("c", "x", "y", (Curve("l", ((0, 0), (5, 3))),), (Goal(40.0, "g"),)),
    )
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for line in root.iter(f"{SVG}line"):
        assert 0 <= float(line.attrib["x1"]) <= width
        assert 0 <= float(line.attrib["y2"]) <= height
    for polyline in root.iter(f"{SVG}polyline"):
        for point in polyline.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


def test_several_curves_have_a_legend() -> None:
    """With more than one curve each is named."""
    curves = (Curve("one", ((0, 1), (1, 2))), Curve("two", ((0, 2), (1, 1)), colour=1))
    texts = [each.text for each in _drawn(Curves("c", "x", "y", curves)).iter(f"{SVG}text")]
    assert {"one", "two"} <= set(texts)


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12,346"), (99.99, "100"), (3.14159, "3.14"), (0.75, "0.75"), (0, "0"), (2.0, "2")],
)
def test_numbers_read_well(value: float, text: str) -> None:
    """Large numbers are grouped, small ones keep three digits."""
    assert number(value) == text
