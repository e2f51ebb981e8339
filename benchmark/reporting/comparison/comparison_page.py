"""The comparison of two runs as one file without any link to elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.dataset import Dataset
from benchmark.reporting import templating
from benchmark.reporting.comparison import comparison_words as words
from benchmark.reporting.comparison.comparison_facts import Difference
from benchmark.reporting.comparison.disagreement_pictures import KINDS, draw
from benchmark.reporting.overlays import TRUTH_COLOUR
from benchmark.storage import require_place, whole_file


def write_page(difference: Difference, out: Path, datasets: Sequence[Dataset] = (), closed: str = "") -> None:
    """Write the page to `out`, whole or not at all; the same runs and data give the same bytes.

    `datasets` as in `draw`; `closed`: why there are none. Raises `ConfigError` where no file can be written.
    """
    require_place(out)
    with whole_file(out) as temporary:
        temporary.write_text(render(difference, datasets, closed), encoding="utf-8", newline="\n")


def render(difference: Difference, datasets: Sequence[Dataset] = (), closed: str = "") -> str:
    """The page as HTML. Everything that comes from data is escaped."""
    difference = words.with_short_names(difference)
    pictures = draw(difference, datasets)
    return templating.render(
        "comparison",
        difference=difference,
        words=words,
        caption=words.caption(difference),
        headlines=words.headline(difference),
        main=[figure for figure in difference.figures if figure.main],
        rest=[figure for figure in difference.figures if not figure.main],
        rankings=_rankings(difference),
        pictures=pictures,
        drawn_on_tissue=any(picture.tissue for picture in pictures),
        closed=closed,
        kinds=KINDS,
        truth_colour=TRUTH_COLOUR,
    )


def _rankings(difference: Difference) -> list[tuple[str, Sequence[object]]]:
    metric = words.title(difference.metric)
    named = [
        (f"By the difference of {metric}", difference.by_metric),
        ("By the share of cells decided differently", difference.by_share),
    ]
    return [(heading, gaps) for heading, gaps in named if gaps]
