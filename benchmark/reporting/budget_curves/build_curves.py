"""From the boards of one dataset at several budgets to curves, crossings and sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.budget_curves.crossings import crossings, reaches, sensitivity
from benchmark.reporting.budget_curves.curve_rows import CurveRows, Params, curve_rows
from benchmark.reporting.budget_curves.curve_set import CurveSet
from benchmark.reporting.budget_curves.influences import Table, influence_of_runs
from benchmark.reporting.budget_curves.label_curve import LabelCurve, ascending
from benchmark.reporting.budget_curves.resamples import resampled
from benchmark.reporting.label_cost import CostModel
from benchmark.reporting.leaderboard.build_boards import row_of
from benchmark.reporting.leaderboard.standings import primary
from benchmark.reporting.leaderboard.standings_model import Board, Row
from benchmark.reporting.run_names import setting, split_settings

GOAL = 0.95
"""Of the best mean that any curve has: the quality that minutes are counted to unless one is stated."""


def curve_sets(
    boards: Sequence[Board],
    cost: CostModel,
    *,
    slides: Table | None = None,
    units: Table | None = None,
    params: Params | None = None,
    metrics: Sequence[str] = (),
    goal: float | None = None,
) -> list[CurveSet]:
    """One per dataset with budgets and metric: those asked for, else the first of each task.

    Args:
        boards: of any budgets, see `Board.budget`.
        cost: minutes for the labels.
        slides: the table per slide of a run; without it no patients are resampled.
        units: the test units of a run.
        params: the parameters of a run's method; without it they are taken for equal where the settings are.
        metrics: as they are stored.
        goal: the quality that minutes are counted to; by default `GOAL` of the best mean.
    """
    groups: dict[tuple[str, ...], list[Board]] = {}
    for board in boards:
        groups.setdefault(board.data, []).append(board)
    found = []
    for group in groups.values():
        if any(board.budget for board in group):
            shown = [name for name in metrics if name in METRICS] or list(
                dict.fromkeys(name for board in group for name in primary(board))
            )
            found_rows = {name: curve_rows(group, name, params) for name in shown}
            made = [_curve_set(group[0], name, rows, cost, slides, units, goal) for name, rows in found_rows.items()]
            found += [each for each in made if each is not None]
    return found


def _curve_set(
    first: Board,
    metric: str,
    rows: CurveRows,
    cost: CostModel,
    slides: Table | None,
    units: Table | None,
    goal: float | None,
) -> CurveSet | None:
    made = [_curve(name, metric, own, cost, slides, units) for name, own in rows.priced.items()]
    curves = [curve for curve in made if isinstance(curve, LabelCurve)]
    notes = [*rows.notes, *(why for why in made if isinstance(why, str))]
    if not any(len(curve.minutes) > 1 for curve in curves):
        return None
    up = METRICS[metric].direction != "down"
    samples = resampled(curves)
    best = max(float(curve.mean.max()) for curve in curves) if up else min(float(c.mean.min()) for c in curves)
    stated = goal if goal is not None else (GOAL * best if up else best / GOAL)
    return CurveSet(
        board=first.key,
        dataset=first.dataset,
        title=f"{_place(first)}: {METRICS[metric].title} against label time",
        metric=metric,
        curves=tuple(curves),
        crossings=tuple(crossings(curves, samples, up=up)),
        reaches=tuple(reaches(curves, samples, stated, up=up)),
        sensitivity=tuple(sensitivity(curves, cost, up=up)),
        goal=stated,
        levels=rows.levels,
        cost=cost,
        notes=(*notes, *_spread_notes(curves)),
    )


def _place(board: Board) -> str:
    """`glas target=malignant (synthetic), 80 slides`, without the budget."""
    own = {name: value for name, value in split_settings(board.settings).items() if name != "budget"}
    settings = [setting(name, value, whole=True) for name, value in own.items()]
    kind = " (synthetic)" if board.synthetic else ""
    return f"{' '.join((board.dataset, *settings))}{kind}, {board.used} slides"


def _spread_notes(curves: Sequence[LabelCurve]) -> list[str]:
    told = {
        "no interval: one seed, no patients": [curve for curve in curves if not curve.varies],
        "one seed, so that intervals leave its chance out": [c for c in curves if c.varies and len(c.seeds) < 2],
        "intervals over seeds alone, not over patients": [c for c in curves if c.varies and len(c.patients) < 2],
    }
    return [f"{text}: {', '.join(curve.name for curve in found)}" for text, found in told.items() if found]


def _curve(
    name: str,
    metric: str,
    rows: Sequence[tuple[str, Row]],
    cost: CostModel,
    slides: Table | None,
    units: Table | None,
) -> LabelCurve | str:
    """The curve of a row at its budgets, over the seeds that all of them have; or why there is none."""
    seeds = sorted(set.intersection(*(set(row.seeds) for _, row in rows)))
    if not seeds:
        return f"{name}: its budgets have no seed in common"
    runs = [[row.runs[row.seeds.index(seed)] for seed in seeds] for _, row in rows]
    paid = [row_of(of_budget, cost) for of_budget in runs]
    if not all(row.minutes for row in paid):
        return f"{name}: no label time in the seeds that its budgets have in common"
    values = np.array([[run.metrics[metric] for run in of_budget] for of_budget in runs])
    patients, influence = influence_of_runs(metric, runs, slides, units)
    curve = LabelCurve(
        name=name,
        track=rows[0][1].supervision,
        budgets=tuple(budget for budget, _ in rows),
        seeds=tuple(seeds),
        minutes=np.array([row.minutes for row in paid], float),
        values=values,
        counts=tuple(row.labels for row in paid),
        patients=patients,
        influence=influence,
    )
    return ascending(curve)
