"""One trial: fit on the training slides, score the validation slides. Nothing here can ask for a test slide."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.metrics.rows import rows
from benchmark.metrics.suite import SlideEvidence, summarise
from benchmark.resources import Meter
from benchmark.running.attempt import context_of, hidden_of, kept_open
from benchmark.running.console import RunReporter
from benchmark.running.device import choose_device, prepare
from benchmark.running.evaluate import Evaluation, Examination, Scored, evaluate
from benchmark.running.job import Job, experiment_note, reopen_job
from benchmark.running.outcome import Outcome
from benchmark.running.result import costs_of, labels_of, metric_name
from benchmark.running.run_files import draw_overlays
from benchmark.running.task import Channel, Task
from benchmark.seeds import seed_of
from benchmark.supervision import Ledger
from benchmark.tracking.offline_store import open_store
from benchmark.tracking.store import DatasetInput, LiveRun, Tracker

T = TypeVar("T")
RESAMPLES = 20
"""Bootstrap draws: a trial needs values, not intervals."""
PICTURE_SIDE = 540
"""Pixels of the longer side of a part of a trial's pictures."""


@dataclass(frozen=True)
class TrialTask:
    """What the process of a trial is told.

    `parent`: the study's stored run. `watch`: the curve that may prune; `slidewise`: it is a metric, and its value of
    each validation slide a point of the curve. `overlays`: of how many validation slides a picture goes into the folder
    `pictures`, evenly from the worst to the best.
    """

    study: str
    number: int
    parent: str
    watch: str | None = None
    slidewise: bool = False
    overlays: int = 0
    pictures: Path | None = None


def experiment_of(job: Job) -> str:
    """Studies have an experiment of their own, so that no trial stands among the results."""
    return f"{job.experiment}-sweeps"


def trial_task(task: Task, channel: Channel, *, trial: TrialTask) -> Outcome:
    """Do one trial in the process that was started for it; a `benchmark.running.task.Work`."""
    tracker = open_store(task.store, cache=task.cache / "tracking")
    job = reopen_job(task.spec, task.cache, task.known)
    return run_trial(job, tracker, channel.console, trial, channel.opened, lambda point: channel.curve(*point))


def run_trial(
    job: Job,
    tracker: Tracker,
    console: Console,
    task: TrialTask,
    opened: Callable[[str], None],
    tell: Callable[[tuple[int, float]], None],
) -> Outcome:
    """Do one trial as a run under its study's. Its metrics are those of the validation slides.

    `tell` is given every point of the curve `task.watch`. Raises `DataError` when there are no validation slides.
    """
    device = choose_device(job.spec.device)
    prepare(device, seed_of("run", job.spec.seed))
    began = time.perf_counter()
    live = tracker.start(
        experiment=experiment_of(job),
        description=experiment_note(type(job.dataset)),
        name=f"trial {task.number}",
        params=job.stored_params(),
        tags={
            **job.trial_tags(device),
            "mlflow.parentRunId": task.parent,
            "bench.study": task.study,
            "bench.trial": str(task.number),
        },
        dataset=DatasetInput(job.spec.dataset, str(job.dataset.root), job.data_digest, job.profile()),
    )
    opened(live.id)
    with kept_open(live):
        reporter = _Watched(RunReporter(console, live), None if task.slidewise else task.watch, tell)
        with tempfile.TemporaryDirectory() as folder:
            keep = Path(folder) if task.overlays and task.pictures is not None else None
            metrics, table = _validation(job, live, reporter, device, _slides_told(job, task, tell), keep)
            if keep is not None and task.pictures is not None:
                _draw(job, keep, table, task.overlays, task.pictures)
        live.log_metrics({f"validation/{name}": value for name, value in metrics.items()})
        live.set_tags({"bench.state": "ok"})
        live.finish()
    return Outcome(job.spec, "ok", "", live.id, metrics, time.perf_counter() - began)


def _slides_told(job: Job, task: TrialTask, tell: Callable[[tuple[int, float]], None]) -> Scored | None:
    """What tells of each slide's value of the watched metric; a metric that is hidden stays hidden."""
    watch = task.watch
    if not task.slidewise or watch is None:
        return None
    if any(fnmatchcase(watch, pattern) for pattern in hidden_of(job)):
        return None

    def scored(number: int, evidence: SlideEvidence) -> None:
        value = rows([evidence])[0].get(watch)
        if value is not None:
            tell((number, float(value)))

    return scored


def _draw(job: Job, scored: Path, table: Sequence[dict[str, Any]], limit: int, folder: Path) -> None:
    """Draw validation slides, and put the pictures where the command that started the trial finds them."""
    drawn = draw_overlays(scored, job, Split.VALIDATION, table, limit=limit, side=PICTURE_SIDE)
    folder.mkdir(parents=True, exist_ok=True)
    for path in drawn.values():
        shutil.copyfile(path, folder / path.name)


def _validation(
    job: Job, live: LiveRun, reporter: _Watched, device: str, scored: Scored | None, keep: Path | None
) -> tuple[Mapping[str, float], Sequence[dict[str, Any]]]:
    """What the run would be on the validation slides: metrics, labels used, cost; and one row per slide."""
    slides = job.dataset.slides(Split.VALIDATION)
    if not slides:
        what = f"{job.spec.place} has no validation slides, so nothing can be tuned on them"
        raise DataError(what, fix=f"bench info {job.spec.dataset}   # options for the split")
    ledger = Ledger()
    context = context_of(job, ledger, reporter, device, Examination(job.dataset))
    with Meter() as fitting:
        job.method.prepare(job.slides(Split.TRAIN), slides, context)
        job.method.fit(job.view(Split.TRAIN, ledger), job.view(Split.VALIDATION, ledger), context)
    with Meter() as scoring:
        labels = job.labels(Split.VALIDATION, ledger)
        found = evaluate(job.method, job.dataset, slides, labels, context, what="validation", scored=scored, keep=keep)
        _require(found, job)
    summary = summarise(found.evidence, hidden=hidden_of(job), resamples=RESAMPLES, seed=0)
    metrics = {metric_name(name): value for name, value in summary.values.items()}
    numbers = {**metrics, **labels_of(ledger), **costs_of(context.records, fitting, scoring)}
    return numbers, summary.per_slide


def _require(found: Evaluation, job: Job) -> None:
    if not found.evidence:
        first = next(iter(found.unreadable.values()), "")
        raise DataError(f"none of the validation slides of {job.spec.place} can be used; the first: {first}")


class _Watched:
    """A reporter that tells of one curve."""

    def __init__(self, reporter: RunReporter, watch: str | None, tell: Callable[[tuple[int, float]], None]) -> None:
        self._reporter, self._watch, self._tell = reporter, watch, tell

    def log(self, name: str, value: float, step: int | None) -> None:
        """Take one number."""
        self._reporter.log(name, value, step)
        if name == self._watch and step is not None:
            self._tell((step, value))

    def say(self, text: str) -> None:
        """Show one line."""
        self._reporter.say(text)

    def track(self, items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
        """Pass the items on and show progress."""
        return self._reporter.track(items, description, total)
