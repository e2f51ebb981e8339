"""Are two runs different? Paired tests over the slides that both were scored on, as the closing table of a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.metrics.statistics import SignedRank, holm, stars, wilcoxon

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[str, Any]
"""One slide of a run, as in `Summary.per_slide` and `per_slide.table.json`."""


@dataclass(frozen=True)
class Pair:
    """Two runs compared: means over the `slides` both have, their test, or `refused`, the reason for none.

    `p` is corrected for the number of tests in the table (Holm).
    """

    one: str
    other: str
    slides: int = 0
    means: tuple[float, float] = (float("nan"), float("nan"))
    test: SignedRank | None = None
    p: float | None = None
    refused: str = ""


def compare(rows_by_label: Mapping[str, Sequence[Row]], metric: str) -> list[Pair]:
    """Every pair of runs by the two-sided Wilcoxon signed-rank test over slides, corrected by Holm's rule.

    A pair uses the slides that have a value in both runs. It is refused, with the reason, when the two stand on
    different subsets of the dataset or on a slide whose subset differs, and when they share no slide: a difference
    would then be one of the data.
    """
    pairs = [_pair(one, other, rows_by_label, metric) for one, other in combinations(rows_by_label, 2)]
    tested = [number for number, pair in enumerate(pairs) if pair.test is not None]
    corrected = holm([test.p for pair in pairs if (test := pair.test) is not None])
    for number, p in zip(tested, corrected, strict=True):
        pair = pairs[number]
        pairs[number] = Pair(pair.one, pair.other, pair.slides, pair.means, pair.test, p)
    return pairs


def paired_table(rows_by_label: Mapping[str, Sequence[Row]], metric: str) -> Table | None:
    """The pairwise tests of several runs on one metric of the table per slide; None when there is nothing to compare.

    Args:
        rows_by_label: what a run is called → its rows per slide.
        metric: a column of the rows, such as `pixel/f1`.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    having = {label: rows for label, rows in rows_by_label.items() if any(row.get(metric) is not None for row in rows)}
    pairs = compare(having, metric)
    if not pairs:
        return None
    count = sum(pair.test is not None for pair in pairs)
    caption = (
        f"{metric} of the slides that both runs have; Wilcoxon signed-rank test, p corrected for {count} tests (Holm)"
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="Paired tests", title_justify="left", caption=caption)
    table.caption_justify = "left"
    table.add_column("runs", overflow="fold", min_width=16)
    for column in ("slides", "mean", "against", "p", ""):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for pair in pairs:
        table.add_row(f"{pair.one} – {pair.other}", *_cells(pair))
    return table


def _pair(one: str, other: str, rows_by_label: Mapping[str, Sequence[Row]], metric: str) -> Pair:
    first, second = ({row["slide"]: row for row in rows_by_label[label]} for label in (one, other))
    shared = [slide for slide in first if slide in second]
    if not shared:
        return Pair(one, other, refused="no slide in common")
    kinds = [sorted({str(row.get("subset")) for row in rows.values()}) for rows in (first, second)]
    if kinds[0] != kinds[1] or any(first[slide].get("subset") != second[slide].get("subset") for slide in shared):
        named = " against ".join("+".join(kind).replace("None", "no subset") for kind in kinds)
        return Pair(one, other, refused=f"different subsets: {named}")
    both = [(first[slide].get(metric), second[slide].get(metric)) for slide in shared]
    values = np.array([pair for pair in both if None not in pair], dtype=np.float64).reshape(-1, 2)
    if not len(values):
        return Pair(one, other, refused=f"no slide with {metric} in both")
    means = (float(values[:, 0].mean()), float(values[:, 1].mean()))
    return Pair(one, other, len(values), means, wilcoxon(values[:, 0], values[:, 1]))


def _cells(pair: Pair) -> tuple[str, ...]:
    if pair.refused:
        return ("–", "–", "–", "–", pair.refused)
    means = (f"{mean:.3f}" for mean in pair.means)
    if pair.p is None:
        return (str(pair.slides), *means, "–", "equal on every slide")
    return (str(pair.slides), *means, f"{pair.p:.2g}", stars(pair.p))
