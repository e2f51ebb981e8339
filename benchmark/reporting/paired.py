"""Are two runs different? Paired tests over slides (Wilcoxon) or test units (DeLong), corrected by Holm's rule.

The closing tables of a matrix, the leaderboard and the comparison of two runs all test by these functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.metrics.statistics import holm, stars, wilcoxon

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from rich.table import Table


FEWEST = 6
"""Slides below which nothing is tested: with five pairs Wilcoxon's two-sided p cannot be below 0.06."""


TORN = "tie: ranks and mean disagree"


def torn(direction: int, difference: float | None) -> bool:
    """Whether the ranks of a test point to one of the two and the mean difference to the other."""
    return direction * (difference or 0.0) < 0


def mark(p: float, direction: int, difference: float | None) -> str:
    """The stars of a p value; where it is significant and ranks and mean disagree, that instead."""
    found = stars(p)
    return TORN if found and torn(direction, difference) else found


def too_few(slides: int) -> str:
    """Why so few slides are not tested; empty where they are enough."""
    return f"too few slides ({slides}, at least {FEWEST})" if slides < FEWEST else ""


@dataclass(frozen=True)
class PairedTest:
    """A paired test, or `refused`, the reason for none.

    `means`: of the paired values of each run, of DeLong's test the two AUCs; `difference`: of `one` minus `other`.
    `p`: two-sided, as it comes; `corrected`: by Holm's rule, see `correct`. Both are None when every pair is equal.
    `direction`: 1 where `one` is higher by the statistic that p is of, -1 where `other` is, 0 for neither. Wilcoxon's
    is a sum of ranks, so a few large differences can give `difference` the other sign.
    """

    kind: str
    pairs: int = 0
    difference: float | None = None
    p: float | None = None
    corrected: float | None = None
    refused: str = ""
    means: tuple[float, float] = (float("nan"), float("nan"))
    direction: int = 0


@dataclass(frozen=True)
class Pair:
    """Two runs by their names in the table, and their test."""

    one: str
    other: str
    test: PairedTest


def values(table: DataFrame, column: str) -> Series[float]:
    """Slide → value of a column of a table per slide, where it has one; empty without the column."""
    if column not in table:
        from pandas import Series

        return Series(dtype=float)
    return table.set_index("slide")[column].dropna().astype(float)


def over_slides(one: Series[float], other: Series[float]) -> PairedTest:
    """The two-sided Wilcoxon signed-rank test over the slides that have a value in both; see `values`."""
    shared = [slide for slide in one.index if slide in other.index]
    if not shared:
        return PairedTest("Wilcoxon", refused="no slide with a value in both")
    if reason := too_few(len(shared)):
        return PairedTest("Wilcoxon", refused=reason)
    first, second = one[shared].to_numpy(), other[shared].to_numpy()
    test = wilcoxon(first, second)
    means, difference = (float(first.mean()), float(second.mean())), float(np.mean(first - second))
    if test is None:
        return PairedTest("Wilcoxon", len(shared), difference, means=means)
    return PairedTest("Wilcoxon", len(shared), difference, test.p, means=means, direction=test.direction)


def over_units(one: DataFrame, other: DataFrame) -> PairedTest:
    """DeLong's test of two AUCs over test units, see `unit_table`; refused unless units and labels are the same."""
    from benchmark.metrics.comparison import delong

    pairs = pair_units(one, other)
    if isinstance(pairs, str):
        return PairedTest("DeLong", refused=pairs)
    if reason := too_few(pairs["slide"].nunique()):
        return PairedTest("DeLong", refused=reason)
    labels = pairs["label"].to_numpy()
    if min(labels.sum(), len(labels) - labels.sum()) < 2:
        return PairedTest("DeLong", refused="fewer than two positive or two negative units")
    test = delong(labels, pairs["score"], pairs["score_other"])
    if test is None:
        return PairedTest("DeLong", len(labels), 0.0)
    direction = (test.difference > 0) - (test.difference < 0)
    return PairedTest("DeLong", len(labels), test.difference, test.p, means=(test.one, test.other), direction=direction)


def pair_units(one: DataFrame, other: DataFrame) -> DataFrame | str:
    """The units of `one` with the score of `other` as `score_other`; or why the two do not pair."""
    for name, table in (("one", one), ("other", other)):
        if table.empty:
            return f"`{name}` has no readable units.csv"
    key = ["slide", "unit", "label"]
    pairs = one.merge(other[[*key, "score"]], on=key, suffixes=("", "_other"))
    if not len(pairs) == len(one) == len(other):
        return "the units of the two runs, or their labels, are not the same"
    if not np.isfinite(pairs[["score", "score_other"]]).all(axis=None):
        return "a score of a unit is not a number"
    return pairs


def correct(tests: Sequence[PairedTest]) -> list[PairedTest]:
    """The tests with p corrected by Holm's rule for the number of those that have one."""
    corrected = iter(holm([test.p for test in tests if test.p is not None]))
    return [test if test.p is None else replace(test, corrected=next(corrected)) for test in tests]


def compare(rows_by_name: Mapping[str, Iterable[Mapping[str, Any]]], metric: str) -> list[Pair]:
    """Every pair of runs by the test over slides, corrected for their number.

    A pair is refused, with the reason, when the two stand on different subsets of the dataset or on a slide whose
    subset differs, and when they share no slide: a difference would then be one of the data.

    Args:
        rows_by_name: what a run is called → its rows per slide, as in `Summary.per_slide`.
        metric: a column of the rows, such as `pixel/f1`.
    """
    from pandas import DataFrame

    tables = {name: DataFrame(list(rows)) for name, rows in rows_by_name.items()}
    names = list(combinations(tables, 2))
    tests = correct([_test(tables[one], tables[other], metric) for one, other in names])
    return [Pair(one, other, test) for (one, other), test in zip(names, tests, strict=True)]


def _test(one: DataFrame, other: DataFrame, metric: str) -> PairedTest:
    refused = _different_slides(one, other)
    if refused:
        return PairedTest("Wilcoxon", refused=refused)
    test = over_slides(values(one, metric), values(other, metric))
    return replace(test, refused=f"no slide with {metric} in both") if test.refused.startswith("no slide") else test


def _different_slides(one: DataFrame, other: DataFrame) -> str:
    """Why slides of two tables must not be compared; empty when they may."""
    first, second = _subsets(one), _subsets(other)
    if not first.keys() & second.keys():
        return "no slide in common"
    kinds = [sorted(set(subsets.values())) for subsets in (first, second)]
    if kinds[0] == kinds[1] and all(second.get(slide, subset) == subset for slide, subset in first.items()):
        return ""
    return f"different subsets: {' against '.join('+'.join(kind) for kind in kinds)}"


def _subsets(table: DataFrame) -> dict[str, str]:
    """Slide → its subset of the dataset, or that it is in none."""
    named = table["subset"] if "subset" in table else [None] * len(table)
    texts = (name if isinstance(name, str) else "no subset" for name in named)
    return dict(zip(table["slide"], texts, strict=True))


def paired_table(rows_by_name: Mapping[str, Sequence[Mapping[str, Any]]], metric: str) -> Table | None:
    """The table of `compare` for a terminal; None when there is nothing to compare."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    having = {name: rows for name, rows in rows_by_name.items() if any(row.get(metric) is not None for row in rows)}
    pairs = compare(having, metric)
    if not pairs:
        return None
    count = sum(pair.test.p is not None for pair in pairs)
    caption = (
        f"{metric} on the slides that both runs have; Wilcoxon signed-rank test, p corrected for {count} tests (Holm)"
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="Paired tests", title_justify="left", caption=caption)
    table.caption_justify = "left"
    table.add_column("runs", overflow="fold", min_width=16)
    for column in ("slides", "mean", "against", "p", ""):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for pair in pairs:
        table.add_row(f"{pair.one} – {pair.other}", *_cells(pair.test))
    return table


def _cells(test: PairedTest) -> tuple[str, ...]:
    if test.refused:
        return ("–", "–", "–", "–", test.refused)
    means = (f"{mean:.3f}" for mean in test.means)
    if test.corrected is None:
        return (str(test.pairs), *means, "–", "equal on every slide")
    return (str(test.pairs), *means, f"{test.corrected:.2g}", mark(test.corrected, test.direction, test.difference))
