"""The end of a sweep: the winner and the published setting, each tested once per seed, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from benchmark.config import RunRequest, RunSpec
from benchmark.describe import in_words
from benchmark.registry import methods
from benchmark.running.executors.executor import Engine
from benchmark.running.job import Job
from benchmark.running.matrix import run_specs
from benchmark.running.outcome import Outcome
from benchmark.tracking.store import Tracker
from benchmark.tuning.request import Tuned
from benchmark.tuning.study import Study, Trial
from benchmark.tuning.trials import spec_with


@dataclass(frozen=True)
class Setting:
    """One row of the closing table. `test`: metric → its value per seed, empty where it was not tested."""

    name: str
    trial: Trial
    spec: RunSpec
    test: Mapping[str, Sequence[float]]
    runs: Sequence[str] = ()
    reasons: Sequence[str] = ()


def settings_of(what: Tuned, study: Study) -> list[Setting]:
    """The winner, best in the first objective, and the published setting; one row where they are the same."""
    trials = {trial.number: trial for trial in study.trials()}
    best = study.best()
    rows = []
    if best:
        rows.append(Setting("winner", best[0], final_spec(what, best[0]), {}))
    if 0 in trials and (not best or best[0].number != 0):
        rows.append(Setting(what.start, trials[0], final_spec(what, trials[0]), {}))
    if len(rows) == 1 and best:
        rows = [replace(rows[0], name=f"winner = {what.start}" if best[0].number == 0 else "winner")]
    return rows


def final_spec(what: Tuned, trial: Trial) -> RunSpec:
    """The run that tests a trial's setting: fitted on training and validation slides where the method says so."""
    spec = spec_with(what, trial.params)
    refit = methods().load(spec.method)(spec.params).refits()
    return replace(spec, refit=refit)


def tested(
    rows: Sequence[Setting],
    what: Tuned,
    job: Job,
    tracker: Tracker,
    console: Console,
    request: RunRequest,
    engine: Engine,
) -> list[Setting]:
    """The rows with the test of each: ordinary runs, stored among all others, once per seed."""
    seeds = what.file.seeds
    specs = [replace(row.spec, seed=seed) for row in rows for seed in seeds]
    console.print(
        f"test: {' and '.join(row.name for row in rows)}, seeds {', '.join(map(str, seeds))}", highlight=False
    )
    outcomes = run_specs(specs, replace(request, timeout=None), job.cache, tracker, console, engine)
    found = []
    for place, row in enumerate(rows):
        part = outcomes[place * len(seeds) : (place + 1) * len(seeds)]
        found.append(_filled(row, part, what))
    return found


def _filled(row: Setting, outcomes: Sequence[Outcome], what: Tuned) -> Setting:
    test = {
        one.metric: [outcome.metrics[one.metric] for outcome in outcomes if one.metric in outcome.metrics]
        for one in what.file.objectives
    }
    runs = [outcome.run_id for outcome in outcomes if outcome.run_id]
    return replace(row, test=test, runs=runs, reasons=[outcome.reason for outcome in outcomes if outcome.reason])


def closing_table(rows: Sequence[Setting], what: Tuned, study: Study, validation_slides: int) -> Group:
    """Validation and test beside each other, and what to think of the difference."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("trial", justify="right")
    table.add_column("parameters", overflow="fold")
    for one in what.file.objectives:
        table.add_column(f"{one.metric}\nvalidation", justify="right")
        table.add_column(f"{one.metric}\ntest", justify="right")
    for row in rows:
        cells = []
        for place, one in enumerate(what.file.objectives):
            cells += [
                f"{row.trial.values[place]:.4f}" if row.trial.values else "–",
                spread(row.test.get(one.metric, ())),
            ]
        table.add_row(row.name, str(row.trial.number), in_words(row.trial.params), *cells)
    reasons = dict.fromkeys(reason for row in rows for reason in row.reasons)
    return Group(
        table, Text(selection_note(study, what, validation_slides, rows)), *(Text(reason) for reason in reasons)
    )


def selection_note(study: Study, what: Tuned, slides: int, rows: Sequence[Setting]) -> str:
    """How far to trust the winner's validation value, and what the test is."""
    trials = study.trials()
    complete = sum(trial.state == "complete" for trial in trials)
    tests = max((len(row.runs) for row in rows), default=0)
    front = study.best()
    first = what.file.objectives[0]
    text = (
        f"The winner is the best of {complete} complete trials on {slides} validation slides, so its validation value "
        "is too good by selection. No trial saw a test slide; "
    )
    if len(what.file.objectives) > 1:
        others = f"{len(front)} trials ({', '.join(str(one.number) for one in front)}) are not beaten in all objectives"
        text = f"{others}; the first of them by {first.metric} is called the winner. {text}"
    if not tests:
        return f"{text}nothing was tested (--no-test; the same command without it does)."
    return f"{text}the test is {'of 1 seed' if tests == 1 else f'the mean ± standard deviation of {tests} seeds'}."


def spread(values: Sequence[float]) -> str:
    """Mean, with the standard deviation where there are several."""
    if not values:
        return "–"
    mean = float(np.mean(values))
    return f"{mean:.4f}" if len(values) == 1 else f"{mean:.4f} ± {float(np.std(values, ddof=1)):.4f}"
