"""Which rows of the boards of one dataset make a curve, at which budgets, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.leaderboard.build_boards import notes_on_versions
from benchmark.reporting.leaderboard.standings_model import Board, Row
from benchmark.reporting.run_names import distinct_names
from benchmark.stored import StoredRun

WHOLE = "100%"

FREE = "its labels cost 0 by this cost model, and minutes are on a logarithmic axis"
UNPRICED = "no label time by this cost model"

Params = Callable[[StoredRun], Mapping[str, str] | None]
"""Gives the resolved parameters of a run's method, None where they are not known."""


@dataclass(frozen=True)
class Point:
    """A row at one budget. `params`: of its method, None where they are not known."""

    budget: str
    row: Row
    params: Mapping[str, str] | None

    @property
    def ended(self) -> int:
        """When its newest run ended."""
        return max(run.ended for run in self.row.runs)


@dataclass
class CurveRows:
    """What stands on the curves of a metric.

    `priced`: name of a method → its budgets that have a label time. `levels`: methods that learn from no labels → their
    mean. `notes`: what is left out, and why.
    """

    priced: dict[str, list[tuple[str, Row]]] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def curve_rows(boards: Sequence[Board], metric: str, params: Params | None) -> CurveRows:
    """The rows of boards that differ in the budget alone, by method with its settings.

    A method is on a curve with the parameters of its newest run; `params`: None to take them for equal.
    """
    by_label: dict[str, list[tuple[str, Row]]] = {}
    for board in boards:
        for row in board.rows:
            by_label.setdefault(row.label, []).append((board.budget or WHOLE, row))
    having = [own for own in by_label.values() if any(metric in row.figures for _, row in own)]
    names = distinct_names([own[0][1].component for own in having])
    found = CurveRows()
    for own in having:
        read = params if params and len(own) > 1 else lambda run: {}
        points = [Point(budget, row, read(row.runs[0])) for budget, row in _with_prices(own)]
        _add(found, names[own[0][1].component], points, metric)
    used = [row for own in found.priced.values() for _, row in own]
    found.notes += notes_on_versions([run for row in used for run in row.runs])
    return found


def _add(found: CurveRows, name: str, points: Sequence[Point], metric: str) -> None:
    """Put a method among the curves or the levels, without the budgets that cannot stand there."""
    newest = max(points, key=lambda point: point.ended).params
    why = [_other(point.params, newest) or _lacking(point.row, metric) for point in points]
    left = [f"{point.budget} ({reason})" for point, reason in zip(points, why, strict=True) if reason]
    kept = [point for point, reason in zip(points, why, strict=True) if not reason]
    priced = [(point.budget, point.row) for point in kept if point.row.minutes]
    if kept and not any(point.row.labels for point in kept):
        found.levels[name] = kept[0].row.figures[metric].mean
    elif priced:
        found.priced[name] = priced
        left += [f"{point.budget} ({no_time(point.row)})" for point in kept if not point.row.minutes]
    else:
        found.notes += [f"{name}: {no_time(point.row)}" for point in kept[:1]]
    found.notes += [f"{name}: left out are {', '.join(left)}"] if left else []
    unknown = [point.budget for point in kept if point.params is None]
    found.notes += [f"{name}: the parameters at {', '.join(unknown)} are not known"] if unknown else []


def _other(own: Mapping[str, str] | None, newest: Mapping[str, str] | None) -> str:
    """In what parameters differ from the newest; empty where they do not, or nobody knows."""
    if own is None or newest is None:
        return ""
    others = [name for name in dict.fromkeys((*newest, *own)) if own.get(name) != newest.get(name)]
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    values = [f"{name}={own.get(name, 'absent')}, newest {newest.get(name, 'absent')}" for name in others[:1]]
    return f"older runs with other parameters: {values[0]}{more}" if values else ""


def _lacking(row: Row, metric: str) -> str:
    seeds = [str(seed) for seed, run in zip(row.seeds, row.runs, strict=True) if metric not in run.metrics]
    return f"no {METRICS[metric].title} of seed {', '.join(seeds)}" if seeds else ""


def no_time(row: Row) -> str:
    """Why the labels of a row have no place on an axis of minutes."""
    return UNPRICED if row.minutes is None else FREE


def _with_prices(rows: Sequence[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
    """Budgets in minutes that were spent at several prices say at which."""
    digests = {row.runs[0].tag("label_minutes") for _, row in rows} - {None}
    for budget, row in rows:
        digest = row.runs[0].tag("label_minutes")
        yield f"{budget} at prices {digest}" if digest and len(digests) > 1 else budget, row
