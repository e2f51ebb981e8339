"""The difference of two stored runs, from the store and their artifacts."""

from __future__ import annotations

import difflib

from benchmark.errors import ConfigError, TrackingError
from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.comparison import figures as numbers
from benchmark.reporting.comparison.comparison_facts import Difference, Maps
from benchmark.reporting.comparison.decisions import Track, find_maps, most, slide_gaps
from benchmark.reporting.comparison.figures import Rows
from benchmark.reporting.comparison.settings import refusals, same_data, settings, tag
from benchmark.reporting.comparison.specificity import PairedSpecificity, paired_specificities, units_of
from benchmark.reporting.report.run_figures import Files
from benchmark.tracking.artifacts import PER_SLIDE, UNITS, artifact_text, slide_rows, unit_rows
from benchmark.tracking.store import Tracker
from benchmark.tracking.stored_runs import StoredRun

DEFAULT_METRIC = "pixel/dice"


def require_pair(tracker: Tracker, one: str, other: str) -> tuple[StoredRun, StoredRun]:
    """The two runs of that name.

    Raises:
        TrackingError: the store is not there, or a name fits no run, or several.
        ConfigError: both names are of one run, or a run is not finished.
    """
    found = tracker.find(one), tracker.find(other)
    if found[0].id == found[1].id:
        msg = f"{one!r} and {other!r} are the same run, {found[0].id[:8]} ({found[0].name})"
        raise ConfigError(msg, fix="bench ui   # shows the ids of all runs")
    for run in found:
        if run.status != "FINISHED":
            again = f"bench run --method {tag(run, 'method') or 'NAME'} --dataset {tag(run, 'dataset') or 'NAME'}"
            msg = f"run {run.id[:8]} ({run.name}) is {run.status}, so it has no figures to compare"
            raise ConfigError(msg, fix=f"{again}   # goes on from there")
    return found


def compare_runs(
    tracker: Tracker,
    files: Files,
    pair: tuple[StoredRun, StoredRun],
    *,
    metric: str = DEFAULT_METRIC,
    count: int = 6,
    track: Track = iter,
) -> Difference:
    """Everything that differs between two finished runs; each difference is `one` minus `other`.

    Args:
        tracker: the store.
        files: where the artifacts come from.
        pair: the runs, as `require_pair` gives them.
        metric: the column of the tables per slide by which slides are chosen.
        count: slides chosen by the metric, and as many by the share of cells.
        track: goes through the slides, for a progress bar.

    Raises:
        ConfigError: no run has such a column.
    """
    one, other = pair
    rows = slide_rows(tracker, one), slide_rows(tracker, other)
    _require_metric(metric, rows)
    refused, notes = refusals(one, other), _missing(pair, rows)
    found = numbers.shared_figures(one, other)
    specificities: tuple[PairedSpecificity, ...] = ()
    if not refused:
        needed = any(figure.name == numbers.AUC for figure in found)
        units = (unit_rows(tracker, one), unit_rows(tracker, other)) if needed else ([], [])
        found = numbers.tested(found, rows, units)
        one_units, other_units = (units_of(artifact_text(tracker, run, UNITS)) if needed else [] for run in pair)
        specificities = paired_specificities(pair, (one_units, other_units))
    apart = same_data(one, other)
    maps = {} if apart else _shared_maps(files, pair, notes)
    gaps = [] if apart else slide_gaps(metric, rows, maps, track)
    by_metric, by_share = most(gaps, count)
    if apart:
        notes.append(apart)
    elif all(rows) and not any(gap.difference is not None for gap in gaps):
        notes.append(f"no slide has {metric} in both runs, so slides are chosen by the share of cells alone")
    different, equal = settings(one, other)
    return Difference(
        one=one,
        other=other,
        metric=metric,
        settings=different,
        equal=equal,
        figures=tuple(found),
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


def _require_metric(metric: str, rows: tuple[Rows, Rows]) -> None:
    columns = [name for name in METRICS if any(name in row for table in rows for row in table)]
    if not columns and metric in METRICS:
        return
    if metric not in columns:
        known = columns or list(METRICS)
        close = difflib.get_close_matches(metric, known, n=1, cutoff=0.3)
        nearest = f"; the nearest is {close[0]!r}" if close else ""
        msg = f"--metric {metric}: no column of that name in the tables per slide{nearest}; they have: "
        raise ConfigError(msg + ", ".join(known), fix=f"--metric {close[0] if close else known[0]}")


def _missing(pair: tuple[StoredRun, StoredRun], rows: tuple[Rows, Rows]) -> list[str]:
    return [
        f"run {run.id[:8]} has no readable {PER_SLIDE}, so there is no test over slides"
        for run, table in zip(pair, rows, strict=True)
        if not table
    ]


def _shared_maps(files: Files, pair: tuple[StoredRun, StoredRun], notes: list[str]) -> dict[str, tuple[Maps, Maps]]:
    found = []
    for run in pair:
        try:
            maps = find_maps(files, run)
        except TrackingError as error:
            maps = {}
            notes.append(f"the score maps of run {run.id[:8]} cannot be fetched: {error.what}")
        else:
            if not maps:
                notes.append(f"run {run.id[:8]} has no score maps, so the decisions are not compared")
        found.append(maps)
    return {slide: (maps, found[1][slide]) for slide, maps in found[0].items() if slide in found[1]}
