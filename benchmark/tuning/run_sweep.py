"""`bench sweep run`, from the sweep file to the study's page: trials, closing test, artifacts of the study's run."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from benchmark.cachehome import cache_home
from benchmark.dataset import Split
from benchmark.errors import ConfigError, DataError, StudyError, TrackingError
from benchmark.identity import digest_of
from benchmark.running.applicable import not_applicable
from benchmark.running.completeness import incomplete
from benchmark.running.default_preset import default_preset_note
from benchmark.running.doing import doing
from benchmark.running.executors.executor import Engine
from benchmark.running.executors.local import LOCAL
from benchmark.running.job import Job, experiment_note, open_data, open_job
from benchmark.running.limits import chosen_limits, read_seconds
from benchmark.running.matrix import INTERRUPTED, MISTAKE, SUCCESS, writable
from benchmark.running.worker import WIDTH
from benchmark.signals import terminable
from benchmark.terminal import PlainConsole
from benchmark.tracking.offline_store import open_store
from benchmark.tracking.store import DatasetInput, LiveRun, Tracker
from benchmark.tuning.closing_test import Setting, closing_words, run_closing_test, selection_note, settings_of
from benchmark.tuning.request import Sweep, SweepRequest, resolve_sweep
from benchmark.tuning.stored_study import PARENT, no_feasible
from benchmark.tuning.study import Study
from benchmark.tuning.study_page import write_study
from benchmark.tuning.study_storage import storage_of
from benchmark.tuning.study_tables import closing_table, goals_of, table_of_space
from benchmark.tuning.trial import experiment_of
from benchmark.tuning.trials import Tuning

CLOSED = "bench.closed"
"""Note of a study: its run, and the digest of the trials and tests that its page shows."""


def run_sweep(request: SweepRequest, engine: Engine = LOCAL) -> int:
    """Do or resume a sweep, up to its closing test.

    Returns the exit code: 0, 2 when no trial is complete or a test failed, 130 when interrupted. Raises `BenchError`.
    """
    console = PlainConsole(width=None if sys.stdout.isatty() else WIDTH)
    run = request.run
    if run.jobs < 1:
        raise ConfigError(f"--jobs {run.jobs}: expected 1 or more", fix="--jobs 2")
    limits = chosen_limits(run.timeout, run.memory, 1 if engine.remote else run.jobs)
    seconds = None if request.timeout is None else read_seconds(request.timeout)
    sweep = resolve_sweep(request)
    note = default_preset_note([sweep.spec.method]) if sweep.by_default else None
    if note is not None:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    if run.dry_run:
        console.print(table_of_space(sweep))
        return SUCCESS
    cache = writable(run.cache or cache_home())
    tracker = open_store(run.store, cache=cache / "tracking")
    with doing(console, f"opening {sweep.spec.place}"):
        data = open_data(sweep.spec, cache)
        job = open_job(sweep.spec, cache, data)
    slides = _validation_slides(job)
    engine.prepare()
    tracker.connect()
    name = request.study or sweep.name(job.dataset.synthetic)
    run_file = sweep.spec.as_file({})
    study = Study(storage_of(request.storage), name, sweep.file, sweep.space, sweep.facts(data), run_file)
    live = open_parent_run(study, tracker, job, sweep, console)
    _announce(study, sweep, console, slides, live)
    if request.test:
        seeds = sweep.file.seeds
        console.print(f"afterwards a closing test, as long as {2 * len(seeds)} full runs: {closing_words(seeds)}")
    for line in incomplete(job.dataset, Split.TRAIN, Split.VALIDATION):
        console.print(f"  note: {line}", soft_wrap=True)
    try:
        tuning = Tuning(
            sweep,
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
            gpus=run.gpus,
            overlays=request.overlays,
        )
        with terminable():
            tuning.run()
        if study.early_end():
            console.print(f"  {study.early_end()}", soft_wrap=True)
        return _close(request, engine, sweep, study, job, tracker, console, live, slides)
    except KeyboardInterrupt:
        _leave(study, live, "KILLED", "interrupted; run the same command to resume")
        console.print(f"interrupted; run the same command to resume the study {name}")
        return INTERRUPTED
    except Exception as error:
        _leave(study, live, "FAILED", (str(error).splitlines() or [type(error).__name__])[0])
        raise


def _leave(study: Study, live: LiveRun, status: Literal["FAILED", "KILLED"], reason: str) -> None:
    """End the study's run early, unless another command works on the study: that one will end it."""
    shared = False
    with suppress(StudyError):  # the storage may be what failed
        shared = study.shared()
    if shared:
        live.abandon()
    else:
        live.end(status, reason)


def _validation_slides(job: Job) -> int:
    """The number of validation slides. Raises `ConfigError` or `DataError` when nothing can be tuned."""
    reason = not_applicable(type(job.method), job.dataset)
    if reason is not None:
        raise ConfigError(f"{job.spec.method} on {job.spec.place}: {reason}", fix="bench list")
    slides = len(job.dataset.slides(Split.VALIDATION))
    if not slides:
        message = f"{job.spec.place} has no validation slides, so nothing can be tuned on them"
        raise DataError(message, fix=f"bench info {job.spec.dataset}   # options of its split")
    return slides


def open_parent_run(study: Study, tracker: Tracker, job: Job, sweep: Sweep, console: Console) -> LiveRun:
    """The study's own run in the tracking store: one, however often the study is resumed."""
    before = study.get(PARENT)
    if before is not None:
        try:
            return tracker.reopen(str(before))
        except TrackingError as error:
            note = f"  note: run {str(before)[:8]} of this study cannot be resumed, a new one is started: {error.what}"
            console.print(note, soft_wrap=True)
    spec = sweep.spec
    live = tracker.start(
        experiment=experiment_of(job),
        description=experiment_note(type(job.dataset)),
        name=study.name,
        params={dimension.name: dimension.text for dimension in sweep.space},
        tags={**job.trial_tags(spec.device), "bench.study": study.name},
        dataset=DatasetInput(spec.dataset, str(job.dataset.root), job.data_digest, job.profile()),
        note=sweep.file.about,
    )
    if before is not None:
        study.set(PARENT, live.id)
        return live
    first = str(study.set_default(PARENT, live.id))
    if first == live.id:
        return live
    live.abandon()  # another command started the study at the same moment
    tracker.withdraw(live.id)
    return tracker.reopen(first)


def _announce(study: Study, sweep: Sweep, console: Console, slides: int, live: LiveRun) -> None:
    done = sum(trial.state in ("complete", "pruned", "failed") for trial in study.trials())
    spec = sweep.spec
    console.print(f"study {study.name}: {spec.method} on {spec.place}, preset {spec.preset}")
    progress = f"{done} of {sweep.file.trials} trials done"
    text = f"{progress}; {goals_of(sweep)} on {slides} validation slides; run {live.id[:8]}"
    console.print(text, soft_wrap=True)


def _close(
    request: SweepRequest,
    engine: Engine,
    sweep: Sweep,
    study: Study,
    job: Job,
    tracker: Tracker,
    console: PlainConsole,
    live: LiveRun,
    slides: int,
) -> int:
    """Test, table, page."""
    trials = study.trials()
    if any(trial.state == "running" for trial in trials):
        console.print("another command is at work on the last trials and will close the study")
        live.abandon()
        return SUCCESS
    if not any(trial.state == "complete" for trial in trials):
        reasons = list(dict.fromkeys(trial.reason for trial in trials if trial.reason))
        live.end("FAILED", "no trial is complete")
        raise StudyError(
            f"no trial of {study.name} is complete; the first reason: {reasons[0] if reasons else 'none'}",
            fix=f"bench sweep show {study.name}",
        )
    if not study.best():
        reason = no_feasible(trials)
        _write_page(study, sweep, live, [], slides)
        live.end("FAILED", reason)
        fix = f"bench sweep show {study.name}   # then another bound with --study NAME, or more --trials"
        raise StudyError(f"{study.name} has no winner: {reason}", fix=fix)
    rows = settings_of(sweep, study)
    if request.test:
        rows = run_closing_test(rows, sweep, job, tracker, console, request.run, engine)
    state = digest_of([[trial.facts() for trial in trials], [[row.name, list(row.runs)] for row in rows]])
    table = closing_table(rows, sweep, selection_note(study, sweep, slides, rows))
    if study.get(CLOSED) == [live.id, state]:
        live.finish()
        console.print(table)
        console.print(f"nothing has changed since the page was written (run {live.id})")
        return MISTAKE if any(row.reasons for row in rows) else SUCCESS
    _write_page(study, sweep, live, rows, slides)
    study.set(CLOSED, [live.id, state])
    _log(rows, sweep, live)
    live.set_tags({"bench.state": "ok", "bench.trials": str(len(trials)), "bench.reason": f"{len(trials)} trials"})
    live.finish()
    console.print(table)
    artifacts = f"bench ui   # run {live.id}: study.html, best.yaml, trials.csv, figures"
    console.print(artifacts, soft_wrap=True)
    option = f" --storage {request.storage}" if request.storage else ""
    repeat = f"bench sweep best {study.name}{option} > best.yaml && bench run --config best.yaml   # repeat the winner"
    console.print(repeat, soft_wrap=True)
    left = sweep.file.trials - sum(trial.state not in ("waiting", "running") for trial in trials)
    if left > 0 and not study.early_end():
        console.print(f"{left} of {sweep.file.trials} trials are left: run the same command to resume")
    return MISTAKE if any(row.reasons for row in rows) else SUCCESS


def _write_page(study: Study, sweep: Sweep, live: LiveRun, rows: Sequence[Setting], slides: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_study(Path(folder), study, sweep, rows, slides)
        live.artifacts(Path(folder))


def _log(rows: Sequence[Setting], sweep: Sweep, live: LiveRun) -> None:
    """Log the closing table as metrics of the study's run; those of single seeds have the seed as their step."""
    for row in rows:
        name = "winner" if row.name.startswith("winner") else "first"
        names = [objective.metric for objective in sweep.file.objectives]
        validation = dict(zip(names, row.trial.values, strict=False))
        for constraint in sweep.file.constraints:
            if constraint.text in row.trial.bounded:
                validation[constraint.metric] = row.trial.bounded[constraint.text]
        for metric in sweep.file.measured:
            if metric in validation:
                live.log(f"{name}/validation/{metric}", validation[metric])
            values = row.test.get(metric, ())
            if values:
                live.log(f"{name}/test/{metric}", float(np.mean(values)))
            for seed, value in zip(sweep.file.seeds, values, strict=False):
                live.log(f"{name}/test_of_seed/{metric}", value, seed)
