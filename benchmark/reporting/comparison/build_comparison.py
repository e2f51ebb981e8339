"""The difference of two stored runs, from their records and artifacts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmark.errors import ConfigError, TrackingError
from benchmark.metrics.catalogue import METRICS
from benchmark.near_names import near_names
from benchmark.reporting.comparison import shared_figures as numbers
from benchmark.reporting.comparison.comparison_facts import Difference
from benchmark.reporting.comparison.decisions import Track, most, slide_gaps
from benchmark.reporting.comparison.run_settings import refusals, same_data, settings
from benchmark.reporting.comparison.specificity import PairedSpecificity, paired_specificities
from benchmark.stored import (
    NO_NUMBERS,
    Artifacts,
    Maps,
    MissingError,
    StoredRun,
    score_maps,
    slide_table,
    unit_table,
    with_numbers,
)

if TYPE_CHECKING:
    from pandas import DataFrame

DEFAULT_METRIC = "pixel/dice"


def require_pair(one: StoredRun, other: StoredRun) -> None:
    """Raise `ConfigError` when both are the same run, or one of them is not finished."""
    if one.id == other.id:
        msg = f"both ids are of the same run, {one.id[:8]} ({one.name})"
        raise ConfigError(msg, fix="bench ui   # shows the ids of all runs")
    for run in (one, other):
        if run.status != "FINISHED":
            again = f"bench run --method {run.tag('method') or 'NAME'} --dataset {run.tag('dataset') or 'NAME'}"
            msg = f"run {run.id[:8]} ({run.name}) is {run.status}, so it has no figures to compare"
            raise ConfigError(msg, fix=f"{again}   # resumes it")


def compare_runs(
    artifacts: Artifacts,
    pair: tuple[StoredRun, StoredRun],
    *,
    metric: str = DEFAULT_METRIC,
    count: int = 6,
    track: Track = iter,
) -> Difference:
    """Everything that differs between two finished runs; each difference is `one` minus `other`.

    Args:
        artifacts: where the tables and score maps come from.
        pair: the runs, with their parameters; see `require_pair`.
        metric: the column of the tables per slide by which slides are chosen.
        count: slides chosen by the metric, and as many by the share of cells.
        track: goes through the slides, for a progress bar.

    Raises:
        ConfigError: no run has such a column.
    """
    pair = with_numbers(artifacts, pair[0]), with_numbers(artifacts, pair[1])
    one, other = pair
    refused = refusals(one, other)
    notes = [run.tags[NO_NUMBERS] for run in pair if NO_NUMBERS in run.tags]
    tables = _tables(slide_table, artifacts, pair, notes)
    _require_metric(metric, tables)
    figures = numbers.shared_figures(one, other)
    specificities: tuple[PairedSpecificity, ...] = ()
    if not refused:
        needed = any(figure.name.startswith("image/") for figure in figures)
        units = _tables(unit_table, artifacts, pair, []) if needed else tables
        figures = numbers.with_tests(figures, tables, units)
        specificities = paired_specificities(pair, units) if needed else ()
    apart = same_data(one, other)
    maps = {} if apart else _shared_maps(artifacts, pair, notes)
    gaps = [] if apart else slide_gaps(metric, tables, maps, track)
    by_metric, by_share = most(gaps, count)
    if apart:
        notes.append(apart)
    elif not any(table.empty for table in tables) and not any(gap.difference is not None for gap in gaps):
        notes.append(f"no slide has {metric} in both runs, so slides are chosen by the share of cells alone")
    different, equal = settings(one, other)
    return Difference(
        one=one,
        other=other,
        metric=metric,
        settings=different,
        equal=equal,
        figures=tuple(figures),
        lacking=numbers.lacking(one, other),
        labels=numbers.counted(one, other, "labels/"),
        costs=numbers.counted(one, other, "cost/"),
        slides=tuple(gaps),
        by_metric=by_metric,
        by_share=by_share,
        refused=refused,
        notes=tuple(notes),
        maps=maps,
        specificities=specificities,
    )


def _tables(
    read: Callable[[Artifacts, StoredRun], DataFrame],
    artifacts: Artifacts,
    pair: tuple[StoredRun, StoredRun],
    notes: list[str],
) -> tuple[DataFrame, DataFrame]:
    """A table of both runs; empty, with a note, where it is not to be had."""
    from pandas import DataFrame

    tables = []
    for run in pair:
        try:
            tables.append(read(artifacts, run))
        except MissingError as missing:
            tables.append(DataFrame())
            notes.append(f"no test over slides: {missing.what}")
    return tables[0], tables[1]


def _require_metric(metric: str, tables: tuple[DataFrame, DataFrame]) -> None:
    columns = [name for name in METRICS if any(name in table for table in tables)]
    if not columns and metric in METRICS:
        return
    if metric not in columns:
        known = columns or list(METRICS)
        close = near_names(metric, known, most=1, cutoff=0.3)
        nearest = f"; the nearest is {close[0]!r}" if close else ""
        msg = f"--metric {metric}: no column of that name in the tables per slide{nearest}; they have: "
        raise ConfigError(msg + ", ".join(known), fix=f"--metric {close[0] if close else known[0]}")


def _shared_maps(
    artifacts: Artifacts, pair: tuple[StoredRun, StoredRun], notes: list[str]
) -> dict[str, tuple[Maps, Maps]]:
    maps: list[dict[str, Maps]] = []
    for run in pair:
        try:
            maps.append(score_maps(artifacts, run))
        except TrackingError as error:
            maps.append({})
            notes.append(f"the score maps of run {run.id[:8]} cannot be fetched: {error.what}")
        else:
            if not maps[-1]:
                notes.append(f"run {run.id[:8]} has no score maps, so the decisions are not compared")
    one, other = maps
    return {slide: (own, other[slide]) for slide, own in one.items() if slide in other}
