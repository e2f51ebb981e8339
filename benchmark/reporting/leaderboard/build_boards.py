"""From stored runs to rows on boards: the newest complete run of every method, setting and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt

from benchmark.errors import ConfigError
from benchmark.metrics.catalogue import METRICS, SCHEMA
from benchmark.near_names import did_you_mean, near_names
from benchmark.reporting.label_cost import CostModel
from benchmark.reporting.leaderboard.standings_model import NO_LABELS, TASKS, Board, Figure, Row
from benchmark.reporting.run_names import component_of
from benchmark.stored import NO_NUMBERS, StoredRun
from benchmark.supervision import COUNTERS

COSTS = (
    "cost/fit_seconds",
    "cost/score_seconds",
    "cost/cpu_seconds",
    "cost/peak_memory_mib",
    "cost/peak_gpu_memory_mib",
)
_ENDS = (".low", ".high")


@dataclass(frozen=True)
class Filters:
    """What a leaderboard is asked for; an empty field admits everything. `tags`: names without `bench.`, and values."""

    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    supervision: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name.partition("@")[0] not in METRICS:
                near = near_names(name, METRICS)
                hint = did_you_mean(near) or "docs/metrics.md names them all"
                fix = f"bench leaderboard --metric {near[0] if near else 'pixel/miou'}"
                raise ConfigError(f"no metric is called {name!r}; {hint}", fix=fix)

    def admits(self, run: StoredRun) -> bool:
        """True when the run is asked for."""
        tags = run.tags
        chosen = (
            (self.methods, "method"),
            (self.datasets, "dataset"),
            (self.supervision, "supervision"),
            (self.presets, "preset"),
        )
        return all(not names or tags.get(f"bench.{tag}") in names for names, tag in chosen) and all(
            tags.get(name if "." in name else f"bench.{name}") == value for name, value in self.tags
        )

    def columns(self, task: str) -> tuple[str, ...]:
        """The metrics of a task that are shown: all, or those that were asked for."""
        return tuple(name for name in TASKS[task] if not self.metrics or name in self.metrics)


CEILING_OF_TWO = "pixel/f1_macro"
"""In no table of a board; the report's curves over reviews compare with that of full supervision."""


def wanted_metrics(filters: Filters, subsets: Iterable[str]) -> list[str]:
    """The names that a leaderboard reads, with their intervals and the parts that published numbers are about."""
    names = list(dict.fromkeys((*(name for columns in TASKS.values() for name in columns), *filters.metrics)))
    parts = [f"{subset}/{name}" for subset in subsets for name in names]
    wanted = [name + end for name in (*names, *parts) for end in ("", *_ENDS)]
    return [*wanted, CEILING_OF_TWO, "labels/", "cost/", "data/", "calibration/"]


def boards(
    runs: Sequence[StoredRun], cost: CostModel | None, whole: Callable[[StoredRun], StoredRun] = lambda run: run
) -> list[Board]:
    """Boards without tests; real data before synthetic, then by name. `runs` are finished, newest first.

    `whole` gives a run that comes on a board the numbers that its record lacks.
    """
    newest = [whole(run) for run in _newest(runs)]
    groups: dict[tuple[str, ...], list[StoredRun]] = {}
    for run in newest:
        groups.setdefault(_board_key(run), []).append(run)
    found = [_board("/".join(key), members, cost) for key, members in groups.items()]
    return sorted(found, key=lambda board: (board.synthetic, board.dataset, board.settings, -board.used, board.key))


def _newest(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """One run per method, parameters, data and seed: the newest complete one, else the newest."""
    chosen: dict[tuple[str, ...], StoredRun] = {}
    for run in runs:
        data = (_data_key(run), run.tags.get("bench.data_kind", ""))
        key = (*data, *_budget(run), _label(run), _digest(run), run.tags.get("bench.seed", ""))
        known = chosen.get(key)
        if known is None or (_complete(run) and not _complete(known)):
            chosen[key] = run
    return list(chosen.values())


def _complete(run: StoredRun) -> bool:
    return run.tags.get("bench.complete", "true") == "true"


def _data_key(run: StoredRun) -> str:
    tags = run.tags
    return tags.get("bench.board") or "|".join(tags.get(f"bench.{name}", "") for name in ("dataset", "data_digest"))


def _budget(run: StoredRun) -> tuple[str, ...]:
    """Rows are ranked among those of the same budget."""
    return run.tags.get("bench.budget", ""), run.tags.get("bench.label_minutes", "")


def _board_key(run: StoredRun) -> tuple[str, ...]:
    return (*_data_of_board(run), *filter(None, _budget(run)))


def _data_of_board(run: StoredRun) -> tuple[str, ...]:
    tags = run.tags
    measured = (tags.get("bench.slides", ""), tags.get("bench.metrics_schema", ""), tags.get("bench.data_kind", ""))
    return (_data_key(run), *measured)


def _digest(run: StoredRun) -> str:
    return run.tags.get("bench.row", "")


def _label(run: StoredRun) -> str:
    return component_of(run).label


def _board(key: str, runs: Sequence[StoredRun], cost: CostModel | None) -> Board:
    first, notes = runs[0], []
    rows: dict[str, Row] = {}
    groups: dict[tuple[str, str], list[StoredRun]] = {}
    for run in runs:
        groups.setdefault((_label(run), _digest(run)), []).append(run)
    for (label, _), members in groups.items():
        if label in rows:
            # The runs come newest first, so what came before is what the preset means today.
            notes.append(f"{label}: {len(members)} older runs with other parameters are left out")
            continue
        rows[label] = row_of(members, cost)
    lost = [run.tags[NO_NUMBERS] for run in runs if NO_NUMBERS in run.tags]
    if lost:
        notes.append(f"{len(lost)} runs without intervals and figures of subsets; the first: {lost[0]}")
    notes += notes_on_versions(runs)
    schema = first.tags.get("bench.metrics_schema")
    if schema != SCHEMA and first.tag("published_in"):
        notes.append(f"measured by the metric schema {schema}; this version measures by {SCHEMA}")
    return Board(
        key=key,
        dataset=first.tags.get("bench.dataset", ""),
        settings=first.tags.get("bench.settings", ""),
        budget=first.tags.get("bench.budget", ""),
        data=_data_of_board(first),
        synthetic=first.tags.get("bench.data_kind") == "synthetic",
        used=int(first.metrics.get("data/slides_used", 0)),
        expected=int(first.metrics.get("data/slides_expected", 0)),
        rows=tuple(rows.values()),
        notes=tuple(notes),
    )


def notes_on_versions(runs: Sequence[StoredRun]) -> list[str]:
    """That runs are of several versions of the code, where they are."""
    versions = sorted({run.tags.get("bench.code", "") for run in runs})
    return [f"runs of {len(versions)} versions of the code: {', '.join(versions[:4])}"] if len(versions) > 1 else []


def row_of(runs: Sequence[StoredRun], cost: CostModel | None) -> Row:
    """The row of the runs of one method with its parameters, one per seed."""
    ordered = sorted(runs, key=lambda run: int(run.tags.get("bench.seed", "0")))
    tags = ordered[0].tags
    figures = _figures([run.metrics for run in ordered])
    counts = {n.removeprefix("labels/"): figure.mean for n, figure in figures.items() if n.startswith("labels/")}
    return Row(
        method=tags.get("bench.method", ""),
        variant=tags.get("bench.variant", ""),
        preset=tags.get("bench.preset", ""),
        supervision=tags.get("bench.supervision", NO_LABELS),
        seeds=tuple(int(run.tags.get("bench.seed", "0")) for run in ordered),
        runs=tuple(ordered),
        figures=figures,
        minutes=minutes_of(counts, cost),
    )


def minutes_of(counts: Mapping[str, float], cost: CostModel | None) -> float | None:
    """Minutes of an expert for labels of a run; None without a cost model, or where it lacks a kind of them."""
    used = {name: count for name, count in counts.items() if count and name in COUNTERS.values()}
    return None if cost is None or used.keys() - cost.prices().keys() else cost.minutes(used)


def _figures(metrics: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    """Mean, spread and interval of every number that all seeds have."""
    shared = [name for name in metrics[0] if all(name in one for one in metrics) and not name.endswith(_ENDS)]
    found = {}
    for name in shared:
        mean, std = mean_of([one[name] for one in metrics])
        low, high = (
            mean_of([one[name + end] for one in metrics])[0] if all(name + end in one for one in metrics) else None
            for end in _ENDS
        )
        found[name] = Figure(mean, std, low, high)
    return found


def mean_of(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean and the standard deviation (ddof = 1; None of one value)."""
    mean = fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, sqrt(fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
