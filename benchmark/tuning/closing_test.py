"""The closing test of a sweep: the winner and the first trial's setting, each tested once per seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.config import RunRequest, RunSpec
from benchmark.registry import methods
from benchmark.running.executors.executor import Engine
from benchmark.running.job import Job
from benchmark.running.matrix import run_specs
from benchmark.running.outcome import Outcome
from benchmark.terminal import PlainConsole
from benchmark.tracking.store import Tracker
from benchmark.tuning.request import Sweep
from benchmark.tuning.stored_study import Trial, no_feasible
from benchmark.tuning.study import Study
from benchmark.tuning.trials import spec_with


@dataclass(frozen=True)
class Setting:
    """One row of the closing table. `test`: metric → its value per seed, empty where not tested."""

    name: str
    trial: Trial
    spec: RunSpec
    test: Mapping[str, Sequence[float]]
    runs: Sequence[str] = ()
    reasons: Sequence[str] = ()


def settings_of(sweep: Sweep, study: Study) -> list[Setting]:
    """The winner, best in the first objective, and the first trial; one row where they are the same."""
    trials = {trial.number: trial for trial in study.trials()}
    best = study.best()
    rows = []
    if best:
        rows.append(Setting("winner", best[0], final_spec(sweep, best[0]), {}))
    if 0 in trials and (not best or best[0].number != 0):
        rows.append(Setting(sweep.start, trials[0], final_spec(sweep, trials[0]), {}))
    if len(rows) == 1 and best:
        rows = [replace(rows[0], name=f"winner = {sweep.start}" if best[0].number == 0 else "winner")]
    return rows


def final_spec(sweep: Sweep, trial: Trial) -> RunSpec:
    """The run that tests a trial's setting, fitted on training and validation slides where the method allows it."""
    spec = spec_with(sweep, trial.params)
    refit = methods().load(spec.method)(spec.params).refits()
    return replace(spec, refit=refit)


def closing_words(seeds: Sequence[int]) -> str:
    """What the closing test will do, before it is known whether the winner is the first trial."""
    listed = ", ".join(map(str, seeds))
    return f"the winner and the first trial's setting, seeds {listed} (--seeds; --no-test leaves it out)"


def run_closing_test(
    rows: Sequence[Setting],
    sweep: Sweep,
    job: Job,
    tracker: Tracker,
    console: PlainConsole,
    request: RunRequest,
    engine: Engine,
) -> list[Setting]:
    """The rows with their tests: ordinary runs, one per seed, stored among all others."""
    seeds = sweep.file.seeds
    specs = [replace(row.spec, seed=seed) for row in rows for seed in seeds]
    took = [row.trial.seconds for row in rows if row.trial.seconds]
    about = f", a trial took {max(took):.0f} s" if took else ""
    what = f"{' and '.join(row.name for row in rows)}, seeds {', '.join(map(str, seeds))}"
    console.print(f"test: {what}: {len(specs)} run{'s' * (len(specs) != 1)}{about}", soft_wrap=True)
    outcomes = run_specs(specs, replace(request, timeout=None), job.cache, tracker, console, engine)
    return [
        _with_outcomes(row, outcomes[place * len(seeds) : (place + 1) * len(seeds)], sweep)
        for place, row in enumerate(rows)
    ]


def _with_outcomes(row: Setting, outcomes: Sequence[Outcome], sweep: Sweep) -> Setting:
    test = {
        metric: [outcome.metrics[metric] for outcome in outcomes if metric in outcome.metrics]
        for metric in sweep.file.measured
    }
    runs = [outcome.run_id for outcome in outcomes if outcome.run_id]
    return replace(row, test=test, runs=runs, reasons=[outcome.reason for outcome in outcomes if outcome.reason])


def selection_note(study: Study, sweep: Sweep, slides: int, rows: Sequence[Setting]) -> str:
    """How far to trust the winner's validation value, and how often it was tested."""
    trials = study.trials()
    complete = sum(trial.state == "complete" for trial in trials)
    tests = max((len(row.runs) for row in rows), default=0)
    front = study.best()
    bounds = " and ".join(constraint.text for constraint in sweep.file.constraints)
    keeping = sum(trial.state == "complete" and not trial.broken for trial in trials)
    among = f"{complete} complete trials"
    if bounds:
        among = f"the {keeping} of {among} that keep {bounds}"
    stopped = f" {study.early_end()}" if study.early_end() else ""
    if not front:
        return f"No winner: {no_feasible(trials)}. Nothing was tested.{stopped}"
    first = sweep.file.objectives[0]
    text = (
        f"The winner is the best of {among} on {slides} validation slides: selection makes its "
        "validation value optimistic. No trial saw a test slide; "
    )
    if len(sweep.file.objectives) > 1:
        numbers = ", ".join(str(trial.number) for trial in front)
        text = f"Pareto front: trials {numbers}; the winner is the best of them in {first.metric}. {text}"
    if not tests:
        return f"{text}nothing was tested (--no-test; run the same command without it to test).{stopped}"
    return f"{text}test: {'1 seed' if tests == 1 else f'mean ± standard deviation over {tests} seeds'}.{stopped}"


def spread(values: Sequence[float]) -> str:
    """Mean, with the standard deviation where there are several."""
    if not values:
        return "–"
    mean = float(np.mean(values))
    return f"{mean:.4f}" if len(values) == 1 else f"{mean:.4f} ± {float(np.std(values, ddof=1)):.4f}"
