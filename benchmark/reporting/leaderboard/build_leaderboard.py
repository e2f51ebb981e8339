"""The leaderboard of stored runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from benchmark.config import TRIVIAL_PRESET
from benchmark.reporting.budget_curves.build_curves import curve_sets
from benchmark.reporting.command import run_command, stored_words
from benchmark.reporting.label_cost import CostModel, read_cost_model
from benchmark.reporting.leaderboard.across import mean_ranks
from benchmark.reporting.leaderboard.build_boards import Filters, boards, wanted_metrics
from benchmark.reporting.leaderboard.standings import rank_rows
from benchmark.reporting.leaderboard.standings_model import Board, Failure, Leaderboard, Published, Row
from benchmark.reporting.references import Reference, references
from benchmark.reporting.run_names import component_of, distinct_names
from benchmark.stored import Artifacts, MissingError, StoredRun, method_params, slide_table, unit_table, with_numbers

if TYPE_CHECKING:
    from pandas import DataFrame

T = TypeVar("T")

ENDED_WELL = ("ok", "")


def build_leaderboard(
    runs: Sequence[StoredRun],
    filters: Filters,
    *,
    store: str,
    artifacts: Artifacts | None,
    cost: CostModel | None = None,
    published: Sequence[Reference] | None = None,
    options: Sequence[str] = (),
    tests: bool = True,
    goal: float | None = None,
) -> Leaderboard:
    """Rank stored runs.

    Args:
        runs: those that ended last first, with the metrics of `needed_metrics`.
        filters: which of them are asked for.
        store: where they come from, for a reader.
        artifacts: gives all numbers of the runs, and the tables of the best rows for the paired tests; None: only
            the numbers of the records, no tests, no ranks.
        cost: what labels cost; None for the shipped model.
        published: published numbers; None for the shipped ones.
        options: what a command that repeats a run has to say besides: `--store URI`.
        tests: make the paired tests that ranks rest on.
        goal: the quality that minutes are counted to in curves over budgets, see `curve_sets`.
    """
    known = references() if published is None else published
    chosen = [run for run in runs if "bench.method" in run.tags and filters.admits(run)]
    finished = [run for run in chosen if run.status == "FINISHED" and run.tags.get("bench.state", "") in ENDED_WELL]
    wanted = set(needed_metrics(filters, known))
    whole = partial(with_numbers, artifacts, wanted=wanted) if artifacts is not None else (lambda run: run)
    cost = cost or read_cost_model(None)
    found = boards(finished, cost, whole)
    slides = units = None
    params = None if artifacts is None else _kept(partial(method_params, artifacts), lambda: None)
    if artifacts is not None and tests:
        slides = _kept(partial(slide_table, artifacts), _no_table)
        units = _kept(partial(unit_table, artifacts), _no_table)
        found = [rank_rows(board, slides, units) for board in found]
    found = [replace(board, published=_published(board, known)) for board in _told_apart(found)]
    failures = tuple(_failures(chosen, finished, options))
    curves = curve_sets(found, cost, slides=slides, units=units, params=params, metrics=filters.metrics, goal=goal)
    return Leaderboard(store, tuple(found), tuple(mean_ranks(found)), failures, tuple(options), tuple(curves))


def needed_metrics(filters: Filters, published: Sequence[Reference] | None = None) -> list[str]:
    """The metrics of stored runs that `build_leaderboard` needs, as names and prefixes that end in `/`."""
    known = references() if published is None else published
    return wanted_metrics(filters, sorted({reference.subset for reference in known if reference.subset}))


def _kept(read: Callable[[StoredRun], T], nothing: Callable[[], T]) -> Callable[[StoredRun], T]:
    """Something of a run, read once; `nothing` where the run has none that can be read."""
    known: dict[str, T] = {}

    def fetch(run: StoredRun) -> T:
        if run.id not in known:
            try:
                known[run.id] = read(run)
            except MissingError:
                known[run.id] = nothing()
        return known[run.id]

    return fetch


def _no_table() -> DataFrame:
    from pandas import DataFrame

    return DataFrame()


def _told_apart(boards: Sequence[Board]) -> list[Board]:
    """Boards of other data under one title show the beginning of the data's digest."""
    titles = Counter(board.title for board in boards)
    return [replace(board, content=board.key[:8]) if titles[board.title] > 1 else board for board in boards]


def _published(board: Board, known: Sequence[Reference]) -> tuple[Published, ...]:
    """Published numbers of the board's dataset beside ours; none for synthetic data or a draw of the slides."""
    if board.synthetic or board.drawn or board.elsewhere:
        return ()
    return tuple(_beside(board, reference) for reference in known if reference.dataset == board.dataset)


def _beside(board: Board, reference: Reference) -> Published:
    same = [
        row
        for row in board.rows
        if row.method == reference.method and reference.stored in row.figures and row.preset != TRIVIAL_PRESET
    ]
    if not same:
        return Published(reference)
    # The paper's own parameters where we ran them, else whatever comes closest to them.
    row: Row = min(same, key=lambda row: (bool(row.origin), row.preset != "paper", bool(row.variant), row.label))
    ours = row.figures[reference.stored].mean
    same_protocol = reference.comparable and "protocol=" not in board.settings
    return Published(reference, row.label, ours, ours - reference.value if same_protocol else None)


def _failures(runs: Sequence[StoredRun], finished: Sequence[StoredRun], options: Sequence[str]) -> list[Failure]:
    """The last attempt of what never finished; one per method, settings, dataset and seed."""
    done = {_cell(run.tags) for run in finished}
    last: dict[tuple[str, ...], StoredRun] = {}
    for run in runs:
        if run.status in ("FAILED", "KILLED") and _cell(run.tags) not in done:
            last.setdefault(_cell(run.tags), run)
    names = distinct_names([component_of(run) for run in last.values()])
    failures = [replace(_failure(run, options), name=names[component_of(run)]) for run in last.values()]
    return sorted(failures, key=lambda failure: (failure.state, failure.dataset, failure.label, failure.seed))


def _cell(tags: Mapping[str, str]) -> tuple[str, ...]:
    names = ("dataset", "settings", "data_kind", "method", "refit", "variant", "preset", "seed", "published_in")
    return tuple(tags.get(f"bench.{name}", "") for name in names)


def _failure(run: StoredRun, options: Sequence[str]) -> Failure:
    tags = {name.removeprefix("bench."): value for name, value in run.tags.items()}
    words = {name: tags.get(name, "") for name in ("method", "variant", "dataset", "settings", "preset")}
    refit = tags.get("refit") == "true"
    seeds, extra = [int(tags.get("seed", "0"))], [*stored_words(run.tags), *options]
    return Failure(
        dataset=" ".join(filter(None, (words["dataset"], words["settings"]))),
        label=component_of(run).label,
        seed=tags.get("seed", ""),
        state=tags.get("state") or ("failed" if run.status == "FAILED" else "interrupted"),
        reason=tags.get("reason", ""),
        run=run.id,
        command=run_command(**words, refit=refit, seeds=seeds, extra=extra),
    )
