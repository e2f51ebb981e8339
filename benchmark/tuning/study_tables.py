"""A sweep's tables for the terminal: the space, the studies, the trials, the closing test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmark.describe import in_words

if TYPE_CHECKING:
    from benchmark.tuning.closing_test import Setting
    from benchmark.tuning.request import Sweep
    from benchmark.tuning.stored_study import StoredStudy, Trial

STATES = ("complete", "pruned", "failed", "running", "waiting")


def table_of_space(sweep: Sweep) -> Group:
    """One line per searched parameter, under the sweep's file and above its goal."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("parameter", "range", sweep.start):
        table.add_column(column, overflow="fold")
    for row in sweep.space.table():
        table.add_row(*row)
    file, spec = sweep.file, sweep.spec
    head = f"{sweep.loaded.path}: {spec.method} on {spec.place}, preset {spec.preset}"
    pruner = file.pruner.kind if file.pruner.kind == "none" else f"{file.pruner.kind} on {file.pruner.watch}"
    patience = f", patience {file.patience}" if file.patience else ""
    foot = f"{goals_of(sweep)}; {file.trials} trials{patience}, sampler {file.sampler.kind}, pruner {pruner}"
    return Group(Text(head), table, Text(foot))


def goals_of(sweep: Sweep) -> str:
    """`maximize pixel/miou, minimize cost/seconds subject to image/sensitivity >= 0.95`."""
    goals = ", ".join(f"{objective.direction} {objective.metric}" for objective in sweep.file.objectives)
    bounds = " and ".join(constraint.text for constraint in sweep.file.constraints)
    return f"{goals} subject to {bounds}" if bounds else goals


def table_of_studies(studies: Sequence[StoredStudy]) -> Table:
    """One line per study: what it tunes, its trials by state, its best values."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("study", overflow="fold", max_width=40)
    for column in ("method", "dataset", "objective", "trials", "best"):
        table.add_column(column, overflow="fold", min_width=10)
    for study in studies:
        counts = ", ".join(f"{study.count(state)} {state}" for state in STATES if study.count(state))
        best = ", ".join(f"{value:.4f}" for value in study.best[0].values) if study.best else "–"
        facts = study.facts
        table.add_row(study.name, facts["method"], facts["dataset"], ", ".join(study.metrics), counts, best)
    return table


def table_of_trials(study: StoredStudy) -> Group:
    """One line per trial, a star before the best; under it why trials ended early."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial", justify="right")
    table.add_column("state")
    for metric in (*study.metrics, *study.constraints):
        table.add_column(metric, justify="right")
    table.add_column("parameters", overflow="fold")
    table.add_column("seconds", justify="right")
    table.add_column("run")
    best = {trial.number for trial in study.best}
    numbers_of_reason: dict[str, list[str]] = {}
    for trial in study.trials:
        values = [f"{value:.4f}" for value in trial.values] or ["–"] * len(study.metrics)
        values += [bounded(trial, bound) for bound in study.constraints]
        number = f"{'* ' if trial.number in best else ''}{trial.number}"
        seconds = f"{trial.seconds:.0f}" if trial.seconds else ""
        table.add_row(number, trial.state, *values, in_words(trial.params), seconds, trial.run[:8])
        if trial.reason:
            numbers_of_reason.setdefault(trial.reason, []).append(str(trial.number))
    reasons = [Text(f"trial {', '.join(numbers)}: {reason}") for reason, numbers in numbers_of_reason.items()]
    facts = study.facts
    head = Text(f"{study.name}: {facts['method']} on {facts['dataset']}, trial 0 is the preset {facts['preset']}")
    return Group(head, table, *reasons)


def bounded(trial: Trial, bound: str) -> str:
    """A trial's value of a metric that has a bound, and that it breaks it."""
    value = trial.bounded.get(bound)
    return "–" if value is None else f"{value:.4f}{' broken' if bound in trial.broken else ''}"


def closing_table(rows: Sequence[Setting], sweep: Sweep, note: str) -> Group:
    """One line per tested setting, validation beside test; under it how far to trust the difference."""
    from benchmark.tuning.closing_test import spread

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("trial", justify="right")
    table.add_column("parameters", overflow="fold")
    for objective in sweep.file.objectives:
        table.add_column(f"{objective.metric}\nvalidation", justify="right")
        table.add_column(f"{objective.metric}\ntest", justify="right")
    for constraint in sweep.file.constraints:
        table.add_column(f"{constraint.text}\nvalidation", justify="right")
        table.add_column(f"{constraint.metric}\ntest", justify="right")
    for row in rows:
        cells = []
        for place, objective in enumerate(sweep.file.objectives):
            cells.append(f"{row.trial.values[place]:.4f}" if row.trial.values else "–")
            cells.append(spread(row.test.get(objective.metric, ())))
        for constraint in sweep.file.constraints:
            cells += [bounded(row.trial, constraint.text), spread(row.test.get(constraint.metric, ()))]
        table.add_row(row.name, str(row.trial.number), in_words(row.trial.params), *cells)
    reasons = dict.fromkeys(reason for row in rows for reason in row.reasons)
    return Group(table, Text(note), *map(Text, reasons))
