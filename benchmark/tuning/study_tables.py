"""Studies and trials as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmark.describe import in_words

if TYPE_CHECKING:
    from benchmark.tuning.study import StoredStudy

STATES = ("complete", "pruned", "failed", "running", "waiting")


def table_of_studies(studies: Sequence[StoredStudy]) -> Table:
    """One line per study: what it tunes, how far it is, its best values."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("study", overflow="fold", max_width=40)
    for column in ("method", "dataset", "objective", "trials", "best"):
        table.add_column(column, overflow="fold", min_width=10)
    for one in studies:
        counts = ", ".join(f"{one.count(state)} {state}" for state in STATES if one.count(state))
        best = ", ".join(f"{value:.4f}" for value in one.best[0].values) if one.best else "–"
        table.add_row(one.name, one.facts["method"], one.facts["dataset"], ", ".join(one.metrics), counts, best)
    return table


def table_of_trials(study: StoredStudy) -> Group:
    """One line per trial; a star marks those that none is better than."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial", justify="right")
    table.add_column("state")
    for metric in study.metrics:
        table.add_column(metric, justify="right")
    table.add_column("parameters", overflow="fold")
    table.add_column("s", justify="right")
    table.add_column("run")
    best = {trial.number for trial in study.best}
    for one in study.trials:
        values = [f"{value:.4f}" for value in one.values] or ["–"] * len(study.metrics)
        number = f"{'* ' if one.number in best else ''}{one.number}"
        seconds = f"{one.seconds:.0f}" if one.seconds else ""
        table.add_row(number, one.state, *values, in_words(one.params), seconds, one.run[:8])
    reasons: dict[str, list[str]] = {}
    for one in study.trials:
        if one.reason:
            reasons.setdefault(one.reason, []).append(str(one.number))
    told = [Text(f"trial {', '.join(numbers)}: {reason}") for reason, numbers in reasons.items()]
    facts = study.facts
    head = Text(f"{study.name}: {facts['method']} on {facts['dataset']}, trial 0 is the preset {facts['preset']}")
    return Group(head, table, *told)
