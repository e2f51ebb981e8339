"""The leaderboard of a tracking store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from benchmark.reporting.command import run_command
from benchmark.reporting.label_cost import CostModel, read_cost_model
from benchmark.reporting.leaderboard.across import mean_ranks
from benchmark.reporting.leaderboard.rows import Filters, boards, wanted_metrics
from benchmark.reporting.leaderboard.standings import judged
from benchmark.reporting.leaderboard.standings_model import Board, Failure, Leaderboard, Published, Row
from benchmark.reporting.references import Reference, references
from benchmark.tracking.artifacts import slide_rows, unit_rows
from benchmark.tracking.store import Tracker
from benchmark.tracking.stored_runs import StoredRun

__all__ = ["Filters", "leaderboard"]

ENDED_WELL = ("ok", "")


def leaderboard(
    tracker: Tracker,
    filters: Filters,
    *,
    cost: CostModel | None = None,
    published: Sequence[Reference] | None = None,
    tested: bool = True,
) -> Leaderboard:
    """Read the store and rank what is in it.

    Args:
        tracker: the store.
        filters: which runs are asked for.
        cost: what labels cost; None for the shipped model.
        published: published numbers; None for the shipped ones.
        tested: make the paired tests, which reads the tables of the best rows.

    Raises `TrackingError` when there is no store, or it cannot be read.
    """
    known = references() if published is None else published
    subsets = sorted({reference.subset for reference in known if reference.subset})
    everything = tracker.stored(metrics=wanted_metrics(filters, subsets))
    runs = [run for run in everything if "bench.method" in run.tags and filters.admits(run)]
    finished = [run for run in runs if run.status == "FINISHED" and run.tags.get("bench.state", "") in ENDED_WELL]
    found = boards(finished, cost or read_cost_model(None))
    if tested:
        rows, units = _fetchers(tracker)
        found = [judged(board, rows, units) for board in found]
    found = [replace(board, published=_published(board, known)) for board in _distinct(found)]
    return Leaderboard(tracker.shown, tuple(found), tuple(mean_ranks(found)), tuple(_failures(runs, finished)))


def _fetchers(tracker: Tracker) -> tuple[Any, Any]:
    """The tables of runs, each read once."""
    by_id: dict[str, StoredRun] = {}

    @lru_cache(maxsize=4096)
    def rows(run: str) -> list[dict[str, Any]]:
        return slide_rows(tracker, by_id[run])

    @lru_cache(maxsize=4096)
    def units(run: str) -> list[tuple[str, int, float]]:
        return unit_rows(tracker, by_id[run])

    def fetch_rows(run: StoredRun) -> list[dict[str, Any]]:
        by_id[run.id] = run
        return rows(run.id)

    def fetch_units(run: StoredRun) -> list[tuple[str, int, float]]:
        by_id[run.id] = run
        return units(run.id)

    return fetch_rows, fetch_units


def _distinct(found: Sequence[Board]) -> list[Board]:
    """Boards of other contents under one name say so in their settings."""
    titles = [board.title for board in found]
    return [
        replace(board, settings=" ".join(filter(None, (board.settings, f"(data {board.key[:8]})"))))
        if titles.count(board.title) > 1
        else board
        for board in found
    ]


def _published(board: Board, known: Sequence[Reference]) -> tuple[Published, ...]:
    """Published numbers of the board's dataset beside ours; none for synthetic data, which they say nothing about."""
    if board.synthetic:
        return ()
    return tuple(_beside(board, reference) for reference in known if reference.dataset == board.dataset)


def _beside(board: Board, reference: Reference) -> Published:
    same = [row for row in board.rows if row.method == reference.method and reference.stored in row.figures]
    if not same:
        return Published(reference)
    # The paper's own parameters where we ran them, else whatever comes closest to them.
    row: Row = min(same, key=lambda row: (row.preset != "paper", bool(row.variant), row.label))
    ours = row.figures[reference.stored].mean
    return Published(reference, row.label, ours, ours - reference.value)


def _failures(runs: Sequence[StoredRun], finished: Sequence[StoredRun]) -> list[Failure]:
    """The last attempt of what never finished; one per method, settings, dataset and seed."""
    done = {_cell(run.tags) for run in finished}
    last: dict[tuple[str, ...], StoredRun] = {}
    for run in runs:
        if run.status in ("FAILED", "KILLED") and _cell(run.tags) not in done:
            last.setdefault(_cell(run.tags), run)
    found = [_failure(run) for run in last.values()]
    return sorted(found, key=lambda failure: (failure.state, failure.dataset, failure.label, failure.seed))


def _cell(tags: Mapping[str, str]) -> tuple[str, ...]:
    names = ("dataset", "settings", "data_kind", "method", "refit", "variant", "preset", "seed")
    return tuple(tags.get(f"bench.{name}", "") for name in names)


def _failure(run: StoredRun) -> Failure:
    tags = {name.removeprefix("bench."): value for name, value in run.tags.items()}
    words = {name: tags.get(name, "") for name in ("method", "variant", "dataset", "settings", "preset")}
    refit = tags.get("refit") == "true"
    return Failure(
        dataset=" ".join(filter(None, (words["dataset"], words["settings"]))),
        label=" ".join(filter(None, (words["method"], "refit" if refit else "", words["variant"], words["preset"]))),
        seed=tags.get("seed", ""),
        state=tags.get("state") or ("failed" if run.status == "FAILED" else "interrupted"),
        reason=tags.get("reason", ""),
        run=run.id,
        command=run_command(**words, refit=refit, seeds=[int(tags.get("seed", "0"))]),
    )
