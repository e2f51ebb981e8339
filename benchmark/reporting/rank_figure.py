"""Mean ranks of methods over datasets as Demšar's diagram: methods joined by a bar are not told apart.

Source: J. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 2006, Fig. 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from benchmark.metrics.comparison import cliques
from benchmark.reporting.style import BLUE, FAINT, INK, VERMILION, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXIS, MARGIN, REACH = 5.0, 0.15, 0.5
"""Inches: length of the rank axis, blank border, and how far a line runs beyond the axis to its name."""
PITCH, STEP = 0.25, 0.13
"""Inches between two names, and between two bars."""
SIZE, SMALL = 9, 7.5
"""Points of names, and of numbers."""
BAR = 4.0
"""Points: thickness of the bars."""


def critical_difference_figure(ranks: Mapping[str, float], difference: float, *, title: str) -> Figure:
    """The diagram: an axis of mean ranks, the best on the left, names on both sides, bars that join cliques.

    Its size follows from the names, which are measured, so that none overlaps.

    Args:
        ranks: method → mean rank, from 1 to the number of methods; at least two methods.
        difference: the critical difference, in ranks; methods closer than that are joined.
        title: over the diagram; empty for none.

    Raises:
        ValueError: fewer than two methods, a rank outside 1 … number of methods, or a difference that is not positive.
    """
    count = len(ranks)
    if count < 2 or not all(1 <= rank <= count for rank in ranks.values()):
        raise ValueError(f"expected ranks from 1 to {count} of at least two methods, got {dict(ranks)}")
    if not (isfinite(difference) and difference > 0):
        raise ValueError(f"the critical difference must be a positive number, got {difference}")
    order = sorted(ranks, key=lambda name: (ranks[name], name))
    left, right = order[: (count + 1) // 2], order[: (count + 1) // 2 - 1 : -1]
    bars = _levels(cliques(ranks, difference), ranks)
    first = MARGIN + _widest(left) + REACH
    width = max(
        first + AXIS + REACH + _widest(right) + MARGIN,
        first + AXIS * difference / (count - 1) + 2 * MARGIN,
        2 * MARGIN + _width(title, SIZE + 1, "bold"),
    )
    below = 0.2 + STEP * max(bars.values(), default=-1) + PITCH
    above = 0.95 + (0.35 if title else 0.0)
    height = above + below + PITCH * (len(left) - 1) + 2 * MARGIN
    drawn = figure(width, height)
    drawn.set_layout_engine("none")
    axes = drawn.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    ground = height - above
    scale = _Scale(axes, first, ground, count)
    if title:
        axes.text(
            MARGIN, height - MARGIN, title, va="top", fontsize=SIZE + 1, color=INK, fontweight="bold", parse_math=False
        )
    scale.draw(difference)
    for names, side in ((left, -1), (right, 1)):
        for row, name in enumerate(names):
            scale.name(name, ranks[name], ground - below - row * PITCH, side)
    for group, level in bars.items():
        scale.join([ranks[name] for name in group], ground - 0.2 - level * STEP, f"clique: {', '.join(group)}")
    return drawn


class _Scale:
    """Draws at mean ranks; all lengths in inches."""

    def __init__(self, axes: Axes, first: float, ground: float, count: int) -> None:
        self.axes, self.first, self.ground, self.count = axes, first, ground, count

    def at(self, rank: float) -> float:
        """Where a rank lies."""
        return self.first + AXIS * (rank - 1) / (self.count - 1)

    def draw(self, difference: float) -> None:
        """The axis, and over it the critical difference."""
        self._line([self.at(1), self.at(self.count)], [self.ground] * 2, INK, 1.2)
        for rank in range(1, self.count + 1):
            self._line([self.at(rank)] * 2, [self.ground, self.ground + 0.07], INK, 1.0)
            self._write(self.at(rank), self.ground + 0.11, str(rank), INK, SMALL, ha="center", va="bottom")
        start, end, y = self.at(1), self.at(1 + difference), self.ground + 0.45
        self._line([start, end], [y, y], VERMILION, 2.0)
        for x in (start, end):
            self._line([x, x], [y - 0.05, y + 0.05], VERMILION, 2.0)
        said = f"critical difference {difference:.2f}"
        self._write(start, y + 0.09, said, INK, SMALL, ha="left", va="bottom")

    def name(self, name: str, rank: float, y: float, side: int) -> None:
        """A method: its line from the axis down and out to its name, with the rank on it; `side` −1 left, 1 right."""
        edge = self.at(1) - REACH if side < 0 else self.at(self.count) + REACH
        self._line([self.at(rank), self.at(rank), edge], [self.ground, y, y], FAINT, 0.9)
        self.axes.plot([self.at(rank)], [self.ground], "o", color=BLUE, markersize=4.5, zorder=4)
        outward, inward = ("right", "left") if side < 0 else ("left", "right")
        self._write(edge + side * 0.06, y, name, INK, SIZE, ha=outward, va="center")
        self._write(edge, y + 0.02, f"{rank:.2f}", INK, SMALL, ha=inward, va="bottom")

    def join(self, ranks: Sequence[float], y: float, label: str) -> None:
        """A thick bar over the ranks of a clique, a little longer than they lie apart."""
        line = [self.at(min(ranks)) - 0.05, self.at(max(ranks)) + 0.05]
        self.axes.plot(line, [y, y], color=BLUE, linewidth=BAR, solid_capstyle="butt", zorder=3, label=label)

    def _line(self, x: Sequence[float], y: Sequence[float], colour: str, width: float) -> None:
        self.axes.plot(x, y, color=colour, linewidth=width, solid_capstyle="butt", zorder=2)

    def _write(self, x: float, y: float, text: str, colour: str, size: float, *, ha: str, va: str) -> None:
        # Names may hold a dollar sign, which is no mathematics here.
        self.axes.text(x, y, text, color=colour, fontsize=size, ha=ha, va=va, parse_math=False)


def _levels(groups: Sequence[tuple[str, ...]], ranks: Mapping[str, float]) -> dict[tuple[str, ...], int]:
    """Group → the first line on which its bar touches no other."""
    ends: list[float] = []
    found = {}
    for group in groups:
        start, end = ranks[group[0]], ranks[group[-1]]
        room = 0.15 * (len(ranks) - 1) / AXIS
        level = next((line for line, taken in enumerate(ends) if taken + room < start), len(ends))
        ends[level : level + 1] = [end]
        found[group] = level
    return found


def _widest(names: Sequence[str]) -> float:
    return max(_width(name, SIZE) for name in names)


def _width(text: str, size: float, weight: str = "normal") -> float:
    """Inches of a text of that many points, with a little slack for another renderer."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    points: float = TextToPath().get_text_width_height_descent(
        text, FontProperties(size=size, weight=weight), ismath=False
    )[0]
    return 1.05 * points / 72 + 0.06
