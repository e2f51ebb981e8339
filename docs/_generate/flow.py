"""A method as a row of boxes: labels in, steps, score map out; what is repeated has an arrow back.

`labels → step → [step → step] R rounds → score map`: a bracket holds the steps that are repeated, the
words behind it say how often or until when.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from html import escape

WIDE, HIGH, GAP, LINE, LETTERS = 104, 70, 22, 13, 15
"""Sizes in px of a box, of the gap between two and of a line of text; letters that fit on one."""
GIVEN, STEP, FOUND = "#e69f00", "#999999", "#009e73"


@dataclass(frozen=True)
class Flow:
    """The texts of the boxes, and of each loop its first and last box and what is said of it."""

    boxes: tuple[str, ...]
    loops: tuple[tuple[int, int, str], ...]

    @classmethod
    def read(cls, text: str) -> Flow:
        """Raise `ValueError` for a bracket that is not closed."""
        boxes, loops, begun = [], [], None
        for number, part in enumerate(text.split(" → ")):
            name, often = part.strip(), None
            if name.startswith("["):
                begun, name = number, name[1:]
            if match := re.fullmatch(r"(.*)\] (.+)", name):
                name, often = match[1], match[2]
            if often is not None:
                if begun is None:
                    raise ValueError(f"] without [ in {text!r}")
                loops.append((begun, number, often))
                begun = None
            boxes.append(name)
        if begun is not None:
            raise ValueError(f"[ without ] in {text!r}")
        return cls(tuple(boxes), tuple(loops))

    def svg(self) -> str:
        """The picture, in the colours of the page around it."""
        below = 34 if self.loops else 2
        width = len(self.boxes) * (WIDE + GAP) - GAP + 2
        parts = [
            f'<svg viewBox="0 0 {width} {HIGH + below}" width="{width}" style="max-width: 100%; height: auto"',
            f' role="img" aria-label="{escape(" → ".join(self.boxes))}"',
            ' font-size="12" font-family="sans-serif" fill="none">',
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6"',
            ' orient="auto">',
            '<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>',
            *(self._box(number) for number in range(len(self.boxes))),
            *(self._loop(*loop) for loop in self.loops),
            "</svg>",
        ]
        return "".join(parts)

    def _box(self, number: int) -> str:
        x = 1 + number * (WIDE + GAP)
        colour = GIVEN if number == 0 else FOUND if number == len(self.boxes) - 1 else STEP
        drawn = [
            f'<rect x="{x}" y="1" width="{WIDE}" height="{HIGH - 2}" rx="6" fill="{colour}" fill-opacity=".22"'
            f' stroke="{colour}"/>'
        ]
        lines = textwrap.wrap(self.boxes[number], LETTERS, break_long_words=False)
        top = HIGH / 2 - LINE * (len(lines) - 1) / 2 + 4
        for row, line in enumerate(lines):
            drawn.append(
                f'<text x="{x + WIDE / 2}" y="{top + row * LINE}" text-anchor="middle" fill="currentColor">'
                f"{escape(line)}</text>"
            )
        if number:
            drawn.append(_arrow(f"M{x - GAP + 2} {HIGH / 2}H{x - 3}"))
        return "".join(drawn)

    def _loop(self, first: int, last: int, often: str) -> str:
        left, right = (1 + number * (WIDE + GAP) + WIDE / 2 for number in (first, last))
        if first == last:
            left, right = left - WIDE / 4, right + WIDE / 4
        said = f'<text x="{(left + right) / 2}" y="{HIGH + 29}" text-anchor="middle" fill="currentColor">'
        return _arrow(f"M{right} {HIGH}V{HIGH + 14}H{left}V{HIGH + 3}") + f"{said}{escape(often)}</text>"


def _arrow(path: str) -> str:
    return f'<path d="{path}" stroke="currentColor" stroke-width="1.4" marker-end="url(#tip)"/>'
