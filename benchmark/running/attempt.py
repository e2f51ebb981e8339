"""One run: open the data, fit, score, measure, and keep everything in the tracking store."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from filelock import FileLock, Timeout
from rich.console import Console

from benchmark.audit import AuditReport, audit, declared_encoders
from benchmark.config import RunSpec
from benchmark.context import Context, Reporter
from benchmark.dataset import Split
from benchmark.effort import mean_over_slides
from benchmark.metrics.calibrated import Kind
from benchmark.metrics.calibration_report import calibrate
from benchmark.metrics.subgroups import Column, by_column
from benchmark.metrics.suite import Summary, summarise
from benchmark.resources import Meter
from benchmark.running.applicable import not_applicable
from benchmark.running.appraise import Appraiser
from benchmark.running.completeness import completeness, incomplete, left_aside
from benchmark.running.console import RunReporter
from benchmark.running.delivery import Delivery, deliver, kept
from benchmark.running.delivery import keep as keep_result
from benchmark.running.device import choose_device, prepare
from benchmark.running.evaluate import Evaluation, Examination, evaluate
from benchmark.running.headlines import HEADLINES
from benchmark.running.heat import fitted, reheated
from benchmark.running.job import Job, experiment_note, reopen_job
from benchmark.running.outcome import ElsewhereError, Outcome
from benchmark.running.result import RunResult
from benchmark.running.run_files import write_artifacts
from benchmark.running.states import STOPPED, reason_of, state_of
from benchmark.running.task import Channel, Task
from benchmark.seeds import seed_of
from benchmark.signals import terminable
from benchmark.storage import whole_file
from benchmark.stored import NUMBERS
from benchmark.supervision import Ledger, Supervision
from benchmark.tracking.artifacts import slide_rows, whole_run
from benchmark.tracking.offline_store import open_store
from benchmark.tracking.owner import JOB, machine
from benchmark.tracking.store import DatasetInput, LiveRun, StoredRun, Tracker
from benchmark.two_sets import Elsewhere

WAIT_SECONDS = 2.0
"""Between two looks at a run that another process is doing."""

REFINER_SEES_LABELS = "the method is given the coarse annotation of the test slides, which tells positive units apart"

EXPERT_SEES_SLIDE = "the expert is asked about the test slides themselves, which tells positive units apart"


@dataclass(frozen=True)
class Way:
    """How to do a run.

    `force`: even if it is finished. `wait`: for another process that is doing it; else raise `ElsewhereError`.
    `opened` is given the id of the stored run as soon as there is one. `surveyed`: the store was surveyed just before,
    so only what changed since has to be looked up.
    """

    force: bool = False
    wait: bool = True
    surveyed: bool = False
    opened: Callable[[str], None] = lambda run: None


def run_task(task: Task, channel: Channel, *, force: bool) -> Outcome:
    """Do one run in the process that was started for it; a `Work`."""
    tracker = open_store(task.store, cache=task.cache / "tracking")
    way = Way(force=force, wait=False, surveyed=True, opened=channel.opened)
    return run_one(reopen_job(task.spec, task.cache, task.known), tracker, channel.console, way)


def run_one(job: Job, tracker: Tracker, console: Console, way: Way) -> Outcome:
    """Do one run, unless its identity is finished. Errors mark the stored run FAILED and are raised."""
    reason = not_applicable(job.method, job.dataset)
    if reason is not None:
        return Outcome(job.spec, "not applicable", reason)
    while True:
        try:
            with _alone(job, console, way):
                return _run_alone(job, tracker, console, way)
        except ElsewhereError:
            if not way.wait:
                raise
            time.sleep(WAIT_SECONDS)


@contextmanager
def _alone(job: Job, console: Console, way: Way) -> Iterator[None]:
    """Hold the run's lock, so that processes that share a cache never do the same run at once."""
    (job.cache / "runs").mkdir(parents=True, exist_ok=True)
    lock = FileLock(job.cache / "runs" / f"{job.identity}.lock")
    holder = job.cache / "runs" / f"{job.identity}.holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not way.wait:
            raise ElsewhereError(_held_by(holder)) from None
        console.print(f"  {_held_by(holder)} is doing this run; waiting for it")
        lock.acquire()
    try:
        with whole_file(holder) as temporary:
            temporary.write_text(f"process {os.getpid()} on {machine()}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _held_by(holder: Path) -> str:
    """Whose lock it is, in words."""
    with suppress(OSError, UnicodeDecodeError):
        return holder.read_text(encoding="utf-8")
    return "another process"


def _run_alone(job: Job, tracker: Tracker, console: Console, way: Way) -> Outcome:
    spec = job.spec
    if not way.surveyed or os.environ.get(JOB):  # a job that was started again left its first run open
        tracker.reap(job.experiment)
    if not way.surveyed:
        done = None if way.force else tracker.finished(job.experiment, job.identity)
        if done is not None:
            return finished_before(spec, tracker, done)
    if spec.expected_data not in (None, job.data_digest):
        console.print("  note: the data are not those this configuration was made with")
    device = choose_device(spec.device)
    prepare(device, seed_of("run", spec.seed))
    began = time.perf_counter()
    live = tracker.start(
        experiment=job.experiment,
        description=experiment_note(type(job.dataset)),
        name=job.title,
        params=job.stored_params(),
        tags=job.tags(device),
        dataset=DatasetInput(spec.dataset, str(job.dataset.root), job.data_digest, job.profile()),
    )
    way.opened(live.id)
    with kept_open(live):
        done = _others(job, tracker, live, way)
        if done is not None:
            return finished_before(spec, tracker, done)
        home = job.cache / "undelivered" / job.identity
        delivery = None if way.force else kept(home)
        if delivery is None:
            delivery = _work(job, live, device, console, home)
            deliver(live, delivery, home, logged=True)
        else:
            console.print("  storing a result that was computed before")
            deliver(live, delivery, home, logged=False)
    seconds = time.perf_counter() - began
    return Outcome(spec, "ok", "", live.id, delivery.numbers, seconds, rows=delivery.rows)


def _others(job: Job, tracker: Tracker, live: LiveRun, way: Way) -> StoredRun | None:
    """Make sure that no other process does this run on the same store: the one that opened it first does it.

    Returns the finished run if another has just finished it. Raises `ElsewhereError` if another is doing it.
    """
    rivals = tracker.rivals(job.experiment, job.identity, live.id)
    done = None if way.force or rivals else tracker.finished(job.experiment, job.identity)
    if not rivals and done is None:
        return None
    live.abandon()
    tracker.withdraw(live.id)
    if rivals:
        raise ElsewhereError(f"process {rivals[0].tag('pid')} on {rivals[0].tag('host')}")
    return done


def finished_before(spec: RunSpec, tracker: Tracker, done: StoredRun) -> Outcome:
    """The outcome of a run that an earlier command finished."""
    whole, rows = whole_run(tracker, done), slide_rows(tracker, done)
    return Outcome(spec, "finished before", run_id=done.id, metrics=whole.metrics, rows=rows)


def _work(job: Job, live: LiveRun, device: str, console: Console, home: Path) -> Delivery:
    """Fit, score, measure, draw; returns what to store, with all files kept at `home`."""
    ledger, reporter, examination = Ledger(), RunReporter(console, live), Examination(job.seen)
    appraiser = Appraiser(job.seen, job.dataset.slides(Split.TEST), job.data_identity)
    context = context_of(job, ledger, reporter, device, examination, appraiser)
    for line in incomplete(job.dataset, Split.TRAIN, Split.VALIDATION):
        reporter.say(line)
    if job.allotment is not None:
        reporter.say(f"budget {job.allotment.spending.text}: {job.allotment.notes}")
    leaks = audit(job.dataset, encoders=declared_encoders(job.method), cache=job.cache)
    if isinstance(job.dataset, Elsewhere):
        said = [f"{what}: {value}" for what, value in job.dataset.told.items()]
        for line in (*said, *(f"{finding.check}: {finding.text}" for finding in leaks.warnings)):
            reporter.say(line)
    with Meter() as fitting:
        job.method.prepare(*job.learnt_and_scored, context)
        job.method.fit(job.view(Split.TRAIN, ledger), job.view(Split.VALIDATION, ledger), context)
    folder = fresh_folder(job.cache / "runs" / job.identity)
    with Meter() as scoring:
        validation, test, heat, cold = _score(job, ledger, context, folder)
    for line in cold:
        reporter.say(line)
    for name, value, step in mean_over_slides(reporter.history, [slide.id for slide in job.slides(Split.TEST)]):
        reporter.log(name, value, step)
    seed = seed_of("bootstrap", job.spec.seed)
    summary = summarise(
        test.evidence,
        validation=validation.evidence,
        hidden=hidden_of(job),
        classes=job.dataset.classes,
        seed=seed,
    )
    groups = _groups(job, test, summary, seed)
    for row in summary.per_slide:
        row["note"] = test.notes.get(row["slide"])
    reading = reading_notes(job)
    of_slide: dict[str, list[str]] = {}
    for _, slide, note in reading:
        of_slide.setdefault(slide, []).append(note)
    for row in summary.per_slide:
        row["reading"] = "; ".join(of_slide.get(str(row["slide"]), [])) or None
    complete = completeness(job.dataset, Split.TEST, test)
    summary.facts["completeness"] = complete.text
    summary.facts.update(left_aside(job.dataset, test))
    if isinstance(job.dataset, Elsewhere):
        summary.facts.update(job.dataset.told)
    if complete.missing:
        reporter.say(complete.text)
    if reading:
        slides = f"{len(of_slide)} slides" if len(of_slide) > 1 else "1 slide"
        reporter.say(f"{len(reading)} notes on reading {slides}, in reading_notes.csv: {verify_command(job)}")
    history, examined = reporter.history, examination.results()
    calibration = calibrate(test.evidence, absent=no_probability_of(job), temperatures=heat, notes=cold, seed=seed)
    result = RunResult(
        job,
        summary,
        ledger,
        context.records,
        history,
        examined,
        fitting,
        scoring,
        complete,
        reading,
        calibration,
        groups,
    )
    write_artifacts(folder, result, test.evidence)
    (folder / "audit.json").write_text(json.dumps(leaks.facts(), indent=1) + "\n", encoding="utf-8")
    return keep_result(folder, _delivery(result, leaks), home)


def _groups(job: Job, test: Evaluation, summary: Summary, seed: int) -> list[Column]:
    """The figures of subgroups; the rows per slide are told their groups, as `group/COLUMN`."""
    facts = {slide.id: job.dataset.subgroups(slide) for slide in job.slides(Split.TEST)}
    names, classes = tuple(HEADLINES), job.dataset.classes
    groups = by_column(test.evidence, facts, names, hidden=hidden_of(job), classes=classes, seed=seed)
    for row in summary.per_slide:
        row.update({f"group/{column.name}": facts[row["slide"]].get(column.name) or None for column in groups})
    return groups


def reading_notes(job: Job) -> list[tuple[str, str, str]]:
    """What was passed over, mended or supposed while the slides of a run were read: (split, slide, note)."""
    return [
        (str(split), slide.id, note)
        for split in Split
        for slide in job.dataset.slides(split)
        for note in job.dataset.reading_notes(slide)
    ]


def verify_command(job: Job) -> str:
    """The command that lists what reading the data of a run came upon."""
    dataset = job.dataset.cohorts[1] if isinstance(job.dataset, Elsewhere) else job.dataset
    return f"bench data verify {dataset.name} --data {shlex.quote(str(dataset.root))}"


def context_of(
    job: Job,
    ledger: Ledger,
    reporter: Reporter,
    device: str,
    examination: Examination,
    appraiser: Appraiser | None = None,
) -> Context:
    """The surroundings of a method in this job. A trial has no `appraiser`: nothing of it may depend on test slides."""
    return Context(
        geometry=job.seen,
        folder=job.cache / "stages",
        ledger=ledger,
        seed=job.spec.seed,
        device=device,
        data_digest=job.training_digest,
        reporter=reporter,
        examiner=examination,
        features=job.cache / "features",
        appraiser=appraiser,
    ).bind(job.method)


def hidden_of(job: Job) -> dict[str, str]:
    """Metrics that must not be shown for this method, with the reason."""
    if not job.method.transductive():
        return {}
    return {"image/*": REFINER_SEES_LABELS if Supervision.COARSE in job.method.supervision else EXPERT_SEES_SLIDE}


def no_probability_of(job: Job) -> dict[Kind, str]:
    """Levels at which calibration does not apply, with the reason."""
    hidden = {"unit": hidden_of(job)["image/*"]} if job.method.transductive() else {}
    return cast(dict[Kind, str], {**job.method.no_probability(), **hidden})


def _delivery(result: RunResult, leaks: AuditReport) -> Delivery:
    summary = result.summary
    tags = {**result.complete.tags(), "bench.state": "ok", "bench.audit": leaks.tag}
    if summary.absent:
        tags["bench.absent"] = ", ".join(sorted(summary.absent))
    tags["bench.numbers"] = NUMBERS
    tags["bench.reading_notes"] = str(len(result.reading_notes))
    return Delivery(
        numbers=result.numbers(),
        tags=tags,
        note=result.headline(),
        history=result.history,
        rows=summary.per_slide,
    )


def _score(
    job: Job, ledger: Ledger, context: Context, folder: Path
) -> tuple[Evaluation, Evaluation, dict[Kind, float], list[str]]:
    """Evidence of the validation slides (whose labels may be asked for) and of the test slides (sealed).

    With `--calibrate` both at the temperatures that come third, fitted on the first; then why one of them is lacking.
    """
    slides, labels = job.slides(Split.VALIDATION), job.labels(Split.VALIDATION, ledger)
    validation = evaluate(job.method, job.dataset, slides, labels, context, what=str(Split.VALIDATION))
    heat, cold = fitted(validation.evidence, no_probability_of(job)) if job.spec.calibrate else ({}, [])
    if heat:
        validation.evidence[:] = [reheated(slide, heat) for slide in validation.evidence]
    slides, labels = job.slides(Split.TEST), job.labels(Split.TEST, ledger)
    what = str(Split.TEST)
    test = evaluate(job.method, job.dataset, slides, labels, context, what=what, keep=folder, temperatures=heat)
    return validation, test, heat, cold


def fresh_folder(folder: Path) -> Path:
    """An empty folder in the cache; what an earlier attempt left there is deleted."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


@contextmanager
def kept_open(live: LiveRun) -> Iterator[None]:
    """While a run is at work: SIGTERM ends it like Ctrl-C, and how it ends is stored."""
    with _ended(live), terminable():
        yield


@contextmanager
def _ended(live: LiveRun) -> Iterator[None]:
    """Never leave a run RUNNING: store what went wrong, then raise it."""
    try:
        yield
    except ElsewhereError:
        raise
    except KeyboardInterrupt as error:
        live.end("KILLED", STOPPED, state_of(error))
        raise
    except BaseException as error:
        live.end("FAILED", reason_of(error), state_of(error))
        raise
