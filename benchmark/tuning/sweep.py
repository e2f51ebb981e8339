"""`bench sweep`: open study and store, do the trials, test the winner once, write the study's page."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmark.datahome import cache_home
from benchmark.dataset import Split
from benchmark.errors import ConfigError, DataError, StudyError, TrackingError
from benchmark.identity import digest_of
from benchmark.running.applicable import not_applicable
from benchmark.running.completeness import incomplete
from benchmark.running.executors.executor import Engine
from benchmark.running.executors.local import LOCAL
from benchmark.running.job import Job, experiment_note, open_data, open_job
from benchmark.running.limits import chosen_limits, read_seconds
from benchmark.running.matrix import INTERRUPTED, MISTAKE, SUCCESS, writable
from benchmark.running.worker import WIDTH
from benchmark.signals import terminable
from benchmark.tracking.store import DatasetInput, LiveRun, Tracker
from benchmark.tuning.closing_test import Setting, closing_table, settings_of, tested
from benchmark.tuning.request import SweepRequest, Tuned, tuned
from benchmark.tuning.study import PARENT, Study
from benchmark.tuning.study_page import as_facts, write_study
from benchmark.tuning.trial import experiment_of
from benchmark.tuning.trials import Tuning
from benchmark.tuning.where import storage_of

CLOSED = "bench.closed"
"""Note of a study: its run and the state in which the page was written."""


def run_sweep(request: SweepRequest, engine: Engine = LOCAL) -> int:
    """Do a sweep, or go on with it, to its closing test.

    Returns the exit code: 0, 2 when no trial is complete, 130 when interrupted. Raises `BenchError`.
    """
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    run = request.run
    if run.jobs < 1:
        raise ConfigError(f"--jobs {run.jobs}: expected 1 or more", fix="--jobs 2")
    limits = chosen_limits(run.timeout, run.memory, run.jobs)
    seconds = None if request.timeout is None else read_seconds(request.timeout)
    what = tuned(request)
    if run.dry_run:
        show_space(what, console)
        return SUCCESS
    engine.prepare()
    cache = writable(run.cache or cache_home())
    tracker = Tracker(run.store, cache=cache / "tracking")
    data = open_data(what.spec, cache)
    job = open_job(what.spec, cache, data)
    slides = _checked(job)
    tracker.connect()
    name = request.study or what.name(job.dataset.synthetic)
    study = Study(storage_of(request.storage), name, what.file, what.space, what.facts(data), what.spec.as_file({}))
    live = parent_run(study, tracker, job, what, console)
    _announce(study, what, console, slides, live)
    for line in incomplete(job.dataset, Split.TRAIN, Split.VALIDATION):
        console.print(f"  note: {line}", highlight=False, markup=False, soft_wrap=True)
    try:
        tuning = Tuning(
            what,
            study,
            job,
            tracker,
            console,
            engine=engine,
            parent=live.id,
            jobs=run.jobs,
            limits=limits,
            seconds=seconds,
            debug=run.debug,
        )
        with terminable():
            tuning.run()
        return _close(request, engine, what, study, job, tracker, console, live, slides)
    except KeyboardInterrupt:
        _leave(study, live, "KILLED", "interrupted; the same command goes on")
        console.print(f"interrupted; the same command goes on with the study {name}", highlight=False)
        return INTERRUPTED
    except Exception as error:
        _leave(study, live, "FAILED", (str(error).splitlines() or [type(error).__name__])[0])
        raise


def _leave(study: Study, live: LiveRun, status: Literal["FAILED", "KILLED"], reason: str) -> None:
    """End the study's run before its time, unless another command works on the study: that one closes it."""
    shared = False
    with suppress(StudyError):  # the storage may be what failed
        shared = study.shared()
    if shared:
        live.abandon()
    else:
        live.end(status, reason)


def _checked(job: Job) -> int:
    """How many validation slides there are. Raises `ConfigError` or `DataError` when nothing can be tuned."""
    reason = not_applicable(type(job.method), job.dataset)
    if reason is not None:
        raise ConfigError(f"{job.spec.method} on {job.spec.place}: {reason}", fix="bench list")
    slides = len(job.dataset.slides(Split.VALIDATION))
    if not slides:
        what = f"{job.spec.place} has no validation slides, so nothing can be tuned on them"
        raise DataError(what, fix=f"bench info {job.spec.dataset}   # options of its split")
    return slides


def parent_run(study: Study, tracker: Tracker, job: Job, what: Tuned, console: Console) -> LiveRun:
    """The study's own run in the tracking store: one, however often the study is gone on with."""
    kept = study.kept(PARENT)
    if kept is not None:
        try:
            return tracker.reopen(str(kept))
        except TrackingError as error:
            told = f"  note: run {str(kept)[:8]} of this study cannot be gone on with, a new one is made: {error.what}"
            console.print(told, highlight=False, markup=False, soft_wrap=True)
    spec = what.spec
    live = tracker.start(
        experiment=experiment_of(job),
        description=experiment_note(type(job.dataset)),
        name=study.name,
        params={one.name: one.text for one in what.space.dimensions},
        tags={**job.trial_tags(spec.device), "bench.study": study.name},
        dataset=DatasetInput(spec.dataset, str(job.dataset.root), job.data_digest, job.profile()),
        note=what.file.about,
    )
    if kept is not None:
        study.set(PARENT, live.id)
        return live
    first = str(study.note(PARENT, live.id))
    if first == live.id:
        return live
    live.abandon()  # another command began at the same moment
    tracker.withdraw(live.id)
    return tracker.reopen(first)


def _announce(study: Study, what: Tuned, console: Console, slides: int, live: LiveRun) -> None:
    trials = study.trials()
    done = sum(trial.state in ("complete", "pruned", "failed") for trial in trials)
    console.print(
        f"study {study.name}: {what.spec.method} on {what.spec.place}, preset {what.spec.preset}", highlight=False
    )
    goal = ", ".join(f"{one.direction} {one.metric}" for one in what.file.objectives)
    text = f"{done} of {what.file.trials} trials done; {goal} of {slides} validation slides; run {live.id[:8]}"
    console.print(text, highlight=False, soft_wrap=True)


def _close(
    request: SweepRequest,
    engine: Engine,
    what: Tuned,
    study: Study,
    job: Job,
    tracker: Tracker,
    console: Console,
    live: LiveRun,
    slides: int,
) -> int:
    """Test, table, page."""
    trials = study.trials()
    if any(trial.state == "running" for trial in trials):
        console.print("another process does the last trials and closes the study", highlight=False)
        live.abandon()
        return SUCCESS
    rows = settings_of(what, study)
    if not study.best():
        reasons = list(dict.fromkeys(trial.reason for trial in trials if trial.reason))
        live.end("FAILED", "no trial is complete")
        raise StudyError(
            f"no trial of {study.name} is complete; the first reason: {reasons[0] if reasons else 'none'}",
            fix=f"bench sweep show {study.name}",
        )
    if request.test:
        rows = tested(rows, what, job, tracker, console, request.run, engine)
    state = digest_of([as_facts(trials), [[row.name, list(row.runs)] for row in rows]])
    if study.kept(CLOSED) == [live.id, state]:
        live.finish()
        console.print(closing_table(rows, what, study, slides))
        console.print(f"nothing has changed since the page was written (run {live.id})", highlight=False)
        return MISTAKE if any(row.reasons for row in rows) else SUCCESS
    with tempfile.TemporaryDirectory() as folder:
        write_study(Path(folder), study, what, rows, slides)
        live.artifacts(Path(folder))
    study.set(CLOSED, [live.id, state])
    _log(rows, what, live)
    live.set_tags({"bench.state": "ok", "bench.trials": str(len(trials)), "bench.reason": f"{len(trials)} trials"})
    live.finish()
    console.print(closing_table(rows, what, study, slides))
    console.print(
        f"Look at it: bench ui   (run {live.id}: study.html, best.yaml, trials.csv, figures)", highlight=False
    )
    where = f" --storage {request.storage}" if request.storage else ""
    repeat = f"bench sweep best {study.name}{where} > best.yaml && bench run --config best.yaml   # the winner again"
    console.print(repeat, highlight=False, soft_wrap=True)
    left = what.file.trials - sum(trial.state not in ("waiting", "running") for trial in trials)
    if left > 0:
        console.print(f"{left} of {what.file.trials} trials are left: the same command goes on", highlight=False)
    failed = any(row.reasons for row in rows)
    return MISTAKE if failed else SUCCESS


def _log(rows: Sequence[Setting], what: Tuned, live: LiveRun) -> None:
    """The values of the closing table as numbers of the study; those of single seeds have the seed as their step."""
    for row in rows:
        name = "winner" if row.name.startswith("winner") else "first"
        for place, one in enumerate(what.file.objectives):
            if row.trial.values:
                live.log(f"{name}/validation/{one.metric}", row.trial.values[place])
            values = row.test.get(one.metric, ())
            if values:
                live.log(f"{name}/test/{one.metric}", float(np.mean(values)))
            for seed, value in zip(what.file.seeds, values, strict=False):
                live.log(f"{name}/test_of_seed/{one.metric}", value, seed)


def show_space(what: Tuned, console: Console) -> None:
    """What would be searched."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("parameter", "range", what.start):
        table.add_column(column, overflow="fold")
    for row in what.space.table():
        table.add_row(*row)
    console.print(
        f"{what.loaded.path}: {what.spec.method} on {what.spec.place}, preset {what.spec.preset}", soft_wrap=True
    )
    console.print(table)
    goal = ", ".join(f"{one.direction} {one.metric}" for one in what.file.objectives)
    chosen = what.file.pruner
    pruner = chosen.kind if chosen.kind == "none" else f"{chosen.kind} on {chosen.watch}"
    console.print(f"{goal}; {what.file.trials} trials, sampler {what.file.sampler.kind}, pruner {pruner}")
