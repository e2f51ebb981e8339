"""One run: open the data, fit, score, measure, and keep everything in the tracking store."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from rich.console import Console

from benchmark.config import RunSpec
from benchmark.context import Context
from benchmark.dataset import Split
from benchmark.errors import BenchError
from benchmark.metrics.suite import Summary, summarise
from benchmark.resources import Meter
from benchmark.running.artifacts import write_artifacts
from benchmark.running.completeness import completeness
from benchmark.running.console import RunReporter
from benchmark.running.device import choose_device, prepare
from benchmark.running.evaluate import Evaluation, Examination, evaluate
from benchmark.running.job import Job
from benchmark.running.result import RunResult
from benchmark.seeds import seed_of
from benchmark.supervision import Ledger, Supervision
from benchmark.tracking import DatasetInput, LiveRun, StoredRun, Tracker

State = Literal["ok", "finished before", "failed", "not applicable"]

TABLE = "per_slide.table.json"

REFINER_SEES_LABELS = "the method is given the coarse annotation of the test slides, which tells positive units apart"


@dataclass(frozen=True)
class Outcome:
    """How one run ended."""

    spec: RunSpec
    state: State
    reason: str = ""
    run_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: Exception | None = None
    rows: Sequence[Mapping[str, Any]] = ()
    """One per test slide, as `Summary.per_slide`."""


def run_one(job: Job, tracker: Tracker, console: Console, *, force: bool) -> Outcome:
    """Do one run, unless its identity is finished already. Errors mark the stored run FAILED and are raised."""
    reason = type(job.method).not_applicable(job.dataset)
    if reason is not None:
        return Outcome(job.spec, "not applicable", reason)
    with _alone(job, console):
        return _run_alone(job, tracker, console, force=force)


@contextmanager
def _alone(job: Job, console: Console) -> Iterator[None]:
    """Keep two processes from doing the same run at once: the second waits, then finds it finished."""
    (job.cache / "runs").mkdir(parents=True, exist_ok=True)
    lock = FileLock(job.cache / "runs" / f"{job.identity}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print("  another process is doing this run, waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _run_alone(job: Job, tracker: Tracker, console: Console, *, force: bool) -> Outcome:
    spec = job.spec
    tracker.reap(job.experiment)
    stored = None if force else tracker.finished(job.experiment, job.identity)
    if stored is not None:
        rows = stored_rows(tracker, stored)
        return Outcome(spec, "finished before", run_id=stored.id, metrics=stored.metrics, rows=rows)
    if spec.expected_data not in (None, job.data_digest):
        console.print("  note: the data differ from those that this configuration was made with", highlight=False)
    device = choose_device(spec.device)
    prepare(device, seed_of("run", spec.seed))
    began = time.perf_counter()
    live = tracker.start(
        experiment=job.experiment,
        description=f"{type(job.dataset).card.title}. One run per method, parameters and seed.",
        name=job.title,
        params=job.stored_params(),
        tags=job.tags(device),
        dataset=DatasetInput(spec.dataset, str(job.dataset.root), job.data_digest, job.profile()),
    )
    with _ended(live), _terminable():
        summary, folder = _work(job, live, device, console)
        live.artifacts(folder)
        shutil.rmtree(folder)
        live.finish()
    seconds = time.perf_counter() - began
    spreads = {f"{name}.std": spread for name, spread in summary.spreads.items()}
    return Outcome(spec, "ok", "", live.id, {**summary.values, **spreads}, seconds, rows=summary.per_slide)


def _work(job: Job, live: LiveRun, device: str, console: Console) -> tuple[Summary, Path]:
    ledger, reporter, examination = Ledger(), RunReporter(console, live), Examination(job.dataset)
    context = Context(
        geometry=job.dataset,
        folder=job.cache / "stages",
        ledger=ledger,
        seed=job.spec.seed,
        device=device,
        data_digest=job.data_identity,
        reporter=reporter,
        examiner=examination,
        features=job.cache / "features",
    ).bind(job.method)
    with Meter() as fitting:
        job.method.fit(job.view(Split.TRAIN, ledger), job.view(Split.VALIDATION, ledger), context)
    folder = fresh_folder(job.cache / "runs" / job.identity)
    with Meter() as scoring:
        validation, test = _score(job, ledger, context, folder)
    hidden = {"image/*": REFINER_SEES_LABELS} if Supervision.COARSE in job.method.supervision else {}
    seed = seed_of("bootstrap", job.spec.seed)
    summary = summarise(test.evidence, validation=validation.evidence, hidden=hidden, seed=seed)
    for row in summary.per_slide:
        row["note"] = test.notes.get(row["slide"])
    complete = completeness(job.dataset, Split.TEST, test)
    summary.facts["completeness"] = complete.text
    result = RunResult(
        job, summary, ledger, context.records, reporter.history, examination.results(), fitting, scoring, complete
    )
    live.log_metrics(result.numbers())
    live.set_tags(complete.tags())
    if summary.absent:
        live.set_tags({"bench.absent": ", ".join(sorted(summary.absent))})
    live.describe(result.headline())
    write_artifacts(folder, result, test.evidence)
    return summary, folder


def _score(job: Job, ledger: Ledger, context: Context, folder: Path) -> tuple[Evaluation, Evaluation]:
    """Evidence of the validation slides (whose labels may be asked for) and of the test slides (sealed)."""
    parts = []
    for split, keep in ((Split.VALIDATION, None), (Split.TEST, folder)):
        slides = job.dataset.slides(split)
        labels = job.labels(split, ledger)
        parts.append(evaluate(job.method, job.dataset, slides, labels, context, what=str(split), keep=keep))
    return parts[0], parts[1]


def stored_rows(tracker: Tracker, stored: StoredRun) -> list[dict[str, Any]]:
    """The rows per slide of a finished run; none when its table is not to be had."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = tracker.download(stored, TABLE, Path(folder))
            table = json.loads(found[0].read_text()) if found else {"columns": [], "data": []}
    except (BenchError, OSError, ValueError):
        return []
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def fresh_folder(folder: Path) -> Path:
    """An empty folder of our own in the cache; what an earlier attempt left there goes."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


@contextmanager
def _ended(live: LiveRun) -> Iterator[None]:
    """Never leave a run RUNNING: what goes wrong is written into the store, then raised."""
    try:
        yield
    except KeyboardInterrupt:
        live.end("KILLED", "interrupted; the same command goes on from the last checkpoint")
        raise
    except Exception as error:
        reason = error.what if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        live.end("FAILED", reason)
        raise


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that a stopped job ends as KILLED and can go on later."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
