"""The trials of a study: asked for, run each in a process of its own, told to the study; stopped and resumed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from benchmark.config import RunSpec, validated
from benchmark.describe import in_words
from benchmark.errors import BenchError, ConfigError
from benchmark.identity import digest_of
from benchmark.provenance import code_digest
from benchmark.registry import methods
from benchmark.running.doing import doing
from benchmark.running.executors.executor import Ended, Engine
from benchmark.running.executors.node_check import check_nodes
from benchmark.running.job import Job
from benchmark.running.limits import Limits
from benchmark.running.outcome import Outcome
from benchmark.running.plan import label_of
from benchmark.running.states import ends_all
from benchmark.running.task import Tasks
from benchmark.tracking.store import Tracker
from benchmark.tuning.request import Sweep
from benchmark.tuning.stored_study import CODE
from benchmark.tuning.study import Asked, Study
from benchmark.tuning.trial import TrialTask

TRIAL = "benchmark.tuning.trial:trial_task"
"""What the task of a trial names as its work."""


class Tuning:
    """Runs trials until there are as many as asked for, or the time is up."""

    def __init__(
        self,
        sweep: Sweep,
        study: Study,
        job: Job,
        tracker: Tracker,
        console: Console,
        *,
        engine: Engine,
        parent: str,
        jobs: int,
        limits: Limits,
        seconds: float | None,
        debug: bool,
        gpus: tuple[int, ...] = (),
        overlays: int = 0,
    ) -> None:
        self._sweep, self._study, self._job, self._tracker = sweep, study, job, tracker
        self._console, self._parent, self._jobs, self._limits = console, parent, jobs, limits
        self._until = float("inf") if seconds is None else time.monotonic() + seconds
        self._debug, self._end, self._watched = debug, "", False
        self._engine = engine
        self._tasks = Tasks(tracker.uri, job.cache, jobs, debug=debug, remote=engine.remote, gpus=gpus)
        self._error: BenchError | None = None
        pruner = sweep.file.pruner
        self._watch = pruner.watch if pruner.kind != "none" else None
        self._pruned: dict[int, str] = {}
        self._overlays = overlays

    def run(self) -> None:
        """Run the trials. Raises what ends all of them: a missing objective, a full disk, a lost store."""
        self._remember_code()
        check_nodes(self._engine, self._tasks, self._job, self._limits, self._console)
        with self._engine.executor(self._jobs, self._limits, self._say, self._curve) as executor:
            self._executor = executor
            try:
                while self._error is None:
                    self._feed()
                    if not executor.busy:
                        break
                    for ended in executor.ended():
                        self._take(ended)
                    self._study.beat()
            finally:
                for ended in executor.stop():
                    self._take(ended)
        if self._error is not None:
            raise self._error

    def _remember_code(self) -> None:
        now = code_digest(methods().load(self._sweep.spec.method))
        if self._study.set_default(CODE, now) != now:
            self._console.print("  note: the method's code has changed since this study began")

    def _feed(self) -> None:
        while self._executor.free and not self._end and self._error is None:
            if time.monotonic() > self._until:
                self._end = "the time is up"
                self._console.print("  the time is up: no further trial is started")
                return
            asked = self._study.ask(self._sweep.file.trials)
            if asked is None:
                return
            self._begin(asked)

    def _begin(self, asked: Asked) -> None:
        try:
            spec = spec_with(self._sweep, asked.params)
        except ConfigError as error:
            self._study.give_up(asked.number, "failed", error.what, 0.0)
            self._announce(asked.number, f"failed: {error.what}")
            return
        self._announce(asked.number, self._sweep.start if asked.number == 0 else in_words(asked.params))
        trial = TrialTask(
            study=self._study.name,
            number=asked.number,
            parent=self._parent,
            watch=self._watch,
            slidewise=self._sweep.file.pruner.kind == "wilcoxon",
            overlays=self._overlays,
            pictures=self._pictures(asked.number),
        )
        task = self._tasks.make(asked.number, self._job, TRIAL, spec=spec, trial=trial)
        with doing(self._console, "starting its process"):
            self._executor.start(asked.number, task)

    def _curve(self, number: int, step: int, value: float) -> None:
        """A point of the watched curve; the pruner may end the trial."""
        self._watched = True
        if number not in self._pruned and self._study.report(number, step, value):
            where = f"slide {step + 1}" if self._sweep.file.pruner.kind == "wilcoxon" else f"step {step}"
            self._pruned[number] = f"pruned at {where}: {self._watch} = {value:.4g}"
            self._executor.give_up(number, "pruned", self._pruned[number])

    def _take(self, ended: Ended) -> None:
        """Tell the study, and the store where the trial's process could not, how a trial ended."""
        number = ended.number
        self._tasks.over(number)
        outcome = ended.outcome
        if outcome is None:
            self._study.release(number)
            return
        if number in self._pruned and outcome.state == "ok":  # it was over before it heard of it
            outcome = replace(outcome, state="pruned", reason=self._pruned[number])
            ended = replace(ended, outcome=outcome, stored=False)
        if outcome.run_id is not None:
            self._study.set_run(number, outcome.run_id)
            if not ended.stored:
                why = {"bench.state": outcome.state, "bench.reason": outcome.reason}
                broken = outcome.state in ("failed", "out of memory")
                self._tracker.conclude(outcome.run_id, "FAILED" if broken else "KILLED", why)
        if outcome.state == "ok":
            self._complete(number, outcome)
            if self._watch is not None and not self._watched:
                self._watched = True
                kind = "value per slide of" if self._sweep.file.pruner.kind == "wilcoxon" else "curve"
                self._console.print(f"  note: trial {number} logged no {kind} {self._watch!r}: nothing is pruned")
        elif outcome.state == "interrupted":
            self._study.release(number)
        else:
            reason = outcome.reason or outcome.state
            self._study.give_up(number, "pruned" if outcome.state == "pruned" else "failed", reason, outcome.seconds)
            self._announce(number, f"{outcome.state}: {reason}")
        shutil.rmtree(self._pictures(number), ignore_errors=True)
        if outcome.error is not None and ends_all(outcome.error) and isinstance(outcome.error, BenchError):
            self._error = outcome.error

    def _complete(self, number: int, outcome: Outcome) -> None:
        file = self._sweep.file
        names = [objective.metric for objective in file.objectives]
        bounds = [constraint.metric for constraint in file.constraints]
        missing = [name for name in (*names, *bounds) if name not in outcome.metrics]
        if not missing:
            values, bounded = ([float(outcome.metrics[name]) for name in some] for some in (names, bounds))
            trial = self._study.complete(number, values, outcome.seconds, bounded, self._pictures(number))
            shown = ", ".join(f"{name} {outcome.metrics[name]:.4f}" for name in dict.fromkeys((*names, *bounds)))
            missed = f"; breaks {', '.join(trial.broken)}" if trial.broken else ""
            self._announce(number, f"{shown} ({outcome.seconds:.0f} s){missed}")
            return
        reason = f"{self._sweep.spec.method} on {self._sweep.spec.place} has no metric {missing[0]}"
        self._study.give_up(number, "failed", reason, outcome.seconds)
        self._announce(number, f"failed: {reason}")
        if number == 0:
            some = [name for name in outcome.metrics if name.partition("/")[0] in ("pixel", "image", "object")][:6]
            message = f"{reason}; it has, among others: {', '.join(sorted(some))}"
            part, noun = ("objectives", "objective") if missing[0] in names else ("constraints", "constraint")
            self._error = self._sweep.loaded.error(message, part, fix=f"choose another {noun}")

    def _pictures(self, number: int) -> Path:
        """Where a trial leaves its pictures: in the cache, which all nodes see."""
        return self._job.cache / "trial_pictures" / digest_of([self._study.address, self._study.name]) / str(number)

    def _announce(self, number: int, text: str) -> None:
        self._console.print(f"[trial {number}] {text}", soft_wrap=True)

    def _say(self, number: int, text: str) -> None:
        if self._jobs == 1 or self._debug:
            self._console.print(f"  {text.strip()}", soft_wrap=True)


def spec_with(sweep: Sweep, values: Mapping[str, Any]) -> RunSpec:
    """The run of a trial: the preset with other values. Raises `ConfigError` where they do not go together."""
    from benchmark.config import resolve

    method = methods().load(sweep.spec.method)
    params: BaseModel = validated(method.Params, {**dict(sweep.spec.params), **values}, sweep.spec.method)
    return replace(sweep.spec, params=params, variant=label_of(params, resolve(method, sweep.spec.preset)))
