"""One look for every picture: the colours of Okabe and Ito, which colour-blind readers can tell apart, and one font.

Source of the colours: M. Okabe and K. Ito, "Color Universal Design", 2008.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.storage import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.ImageFont import FreeTypeFont

ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE, BLACK = "#0072B2", "#D55E00", "#CC79A7", "#000000"
INK, FAINT, PAPER = "#24292f", "#8c959f", "#ffffff"
CYCLE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)


def rgb(colour: str) -> tuple[int, int, int]:
    """`#RRGGBB` as three numbers from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@lru_cache(maxsize=16)
def font(size: int, *, bold: bool = False) -> FreeTypeFont:
    """The font of the figures, for text drawn into images."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches, independent of pyplot and of any display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    empty = Figure(figsize=(width, height), dpi=120, layout=layout, facecolor=PAPER)
    FigureCanvasAgg(empty)
    return empty


def plain(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Labels, a light grid, and no frame but the two axes."""
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", pad=9)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.grid(True, color="#d8dee4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def save(drawn: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all; the same figure gives the same bytes."""
    with whole_file(path) as temporary:
        drawn.savefig(temporary, format="png", metadata={"Software": None})
