"""The table at the end: what was run, how it ended, the numbers that matter, and how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from benchmark.running.run import Outcome

HEADLINES = ("pixel/miou", "pixel/dice", "object/f1", "image/auc", "image/specificity_at_100")
"""Shown when any run has them."""

_SHORT = ("mIoU", "Dice", "obj. F1", "AUC", "spec@100")
_STATES = {"finished before": "finished", "not applicable": "n/a"}
_COLOURS = {"ok": "green", "finished before": "cyan", "failed": "red", "not applicable": "dim"}


def closing_table(outcomes: Sequence[Outcome]) -> Group:
    """One row per run, a column per headline metric that at least one run has, then the reasons of what did not run."""
    shown = [name for name in HEADLINES if any(name in outcome.metrics for outcome in outcomes)]
    titles = [_SHORT[HEADLINES.index(name)] for name in shown]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold", min_width=16)
    for column in ("dataset", "state"):
        table.add_column(column, no_wrap=True)
    for column in (*titles, "s"):
        table.add_column(column, justify="right", no_wrap=True)
    for outcome in outcomes:
        spec = outcome.spec
        table.add_row(
            " ".join(filter(None, (spec.method, spec.variant, spec.preset, f"seed {spec.seed}"))),
            spec.dataset,
            Text(_STATES.get(outcome.state, outcome.state), style=_COLOURS[outcome.state]),
            *(_number(outcome.metrics.get(name)) for name in shown),
            f"{outcome.seconds:.0f}" if outcome.seconds else "",
        )
    reasons = dict.fromkeys(f"{o.spec.method} on {o.spec.dataset}: {o.reason}" for o in outcomes if o.reason)
    return Group(table, *(Text(line) for line in reasons), *_hints(outcomes))


def _hints(outcomes: Sequence[Outcome]) -> list[Text]:
    hints = []
    if any(outcome.state == "finished before" for outcome in outcomes):
        hints.append(Text("finished: was done before and is not done again; --force does it."))
    if any(outcome.state == "failed" for outcome in outcomes):
        hints.append(Text("The same command does just what is missing."))
    if any(outcome.run_id for outcome in outcomes):
        ids = [outcome.run_id for outcome in outcomes if outcome.run_id]
        one = f"   (run {ids[0]}: summary.html, config.yaml, pictures, tables)" if len(ids) == 1 else ""
        hints.append(Text(f"Look at it: bench ui{one}"))
    return hints


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
