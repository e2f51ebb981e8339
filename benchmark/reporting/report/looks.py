"""How a row looks in every chart of its board: colour, dash and marker, so that no two rows differ by colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.reporting.report.svg import colour
from benchmark.reporting.style import CYCLE

_DASHES = ((), (6.0, 2.5), (1.5, 1.5), (6.0, 2.0, 1.5, 2.0))
_MARKERS = {
    "o": "M4 0A4 4 0 1 0-4 0A4 4 0 1 0 4 0Z",
    "s": "M-3.5-3.5H3.5V3.5H-3.5Z",
    "^": "M0-4.2L4.2 3.6H-4.2Z",
    "D": "M0-4.6L4.6 0L0 4.6L-4.6 0Z",
    "v": "M0 4.2L4.2-3.6H-4.2Z",
}
"""matplotlib's marker → the same as an SVG path around the origin."""


@dataclass(frozen=True)
class Look:
    """`dash`: on and off lengths in points, empty for a whole line. `marker`: matplotlib's letter."""

    colour: str
    dash: tuple[float, ...]
    marker: str

    @property
    def line(self) -> str | tuple[float, tuple[float, ...]]:
        """The dash as matplotlib takes it."""
        return (0, self.dash) if self.dash else "-"

    @property
    def ink(self) -> str:
        """The colour as the page writes it."""
        return colour(self.colour)

    @property
    def shape(self) -> str:
        """The marker as an SVG path around the origin, 8 wide."""
        return _MARKERS[self.marker]


def look(index: int) -> Look:
    """The look of the row of that index: seven colours, then other dashes."""
    return Look(
        CYCLE[index % len(CYCLE)], _DASHES[index // len(CYCLE) % len(_DASHES)], list(_MARKERS)[index % len(_MARKERS)]
    )
