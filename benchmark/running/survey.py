"""Before a matrix starts: which runs are finished, not applicable, impossible, or to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.config import RunSpec
from benchmark.errors import BenchError
from benchmark.identity import digest_of, facts_of
from benchmark.registry import datasets, methods
from benchmark.running.applicable import not_applicable
from benchmark.running.budgeted import budget_facts, budget_tags
from benchmark.running.delivery import kept
from benchmark.running.job import Job, OpenData, experiment_note, open_data, open_job
from benchmark.running.outcome import Outcome
from benchmark.running.states import reason_of
from benchmark.stored import StoredRun
from benchmark.supervision import Supervision
from benchmark.tracking.artifacts import slide_rows, whole_run
from benchmark.tracking.store import Tracker


@dataclass(frozen=True)
class Prospect:
    """One planned run. `outcome` is set if it need not or cannot be done, `job` if data and method opened."""

    spec: RunSpec
    identity: str
    experiment: str
    job: Job | None = None
    outcome: Outcome | None = None
    before: tuple[StoredRun, ...] = ()
    """Stored runs of this identity, newest first, however they ended."""
    computed: bool = False
    """An earlier attempt computed the result but could not store it."""

    @property
    def waiting(self) -> bool:
        """True when the run is to be done."""
        return self.outcome is None


@dataclass
class Survey:
    """Surveys planned runs, opening every dataset once.

    `lenient`: datasets were chosen by `all`, so those without data are skipped; else their runs have failed.
    """

    cache: Path
    tracker: Tracker
    force: bool
    lenient: bool
    tell: Callable[[str], None] = lambda text: None
    """Hears which data are being opened."""
    _data: dict[str, OpenData | Exception] = field(default_factory=dict)

    def of(self, specs: Sequence[RunSpec]) -> list[Prospect]:
        """One prospect per spec, in their order. Raises `TrackingError` when the store cannot be read."""
        opened = [self._open(spec) for spec in specs]
        known = self._stored(opened)
        return [self._judged(prospect, known.get(prospect.identity, [])) for prospect in opened]

    def _open(self, spec: RunSpec) -> Prospect:
        data: OpenData | Exception | None = None
        try:
            data = self._opened(spec)
            if isinstance(data, Exception):
                raise data
            job = open_job(spec, self.cache, data)
            reason = not_applicable(job.method, job.dataset) if not job.too_little else None
        except Exception as error:  # a plug-in may raise anything, and a slide may be damaged: the others go on
            # Not their contents: a file that cannot be read may be what went wrong.
            asked = [spec.params.model_dump(mode="json"), spec.options.model_dump(mode="json"), *_place(spec)]
            facts = [spec.method, spec.dataset, *asked, spec.seed, *budget_facts(spec).values()]
            told = reason_of(error)
            absent = self.lenient and error is data and isinstance(error, BenchError)
            ended = Outcome(spec, "skipped", told) if absent else Outcome(spec, "failed", told, error=error)
            return Prospect(spec, digest_of(facts), spec.dataset, outcome=ended)
        outcome = None if reason is None else Outcome(spec, "not applicable", reason)
        outcome = Outcome(spec, "skipped", job.too_little) if job.too_little else outcome
        return Prospect(spec, job.identity, job.experiment, job, outcome)

    def _opened(self, spec: RunSpec) -> OpenData | Exception:
        """The data of a run, or why they cannot be used; every dataset is opened once."""
        key = digest_of([spec.dataset, facts_of(spec.options), *_place(spec)])
        if key not in self._data:
            self.tell(f"opening {spec.place}")
            try:
                self._data[key] = open_data(spec, self.cache)
            except Exception as error:
                self._data[key] = error
        return self._data[key]

    def _stored(self, prospects: Sequence[Prospect]) -> dict[str, list[StoredRun]]:
        """Identity → its stored runs. First closes those of dead processes, so that none counts as running."""
        self.tell("reading the store")
        self.tracker.connect()
        experiments = list(dict.fromkeys(prospect.experiment for prospect in prospects))
        for experiment in experiments:
            self.tracker.reap(experiment)
        wanted = [prospect.identity for prospect in prospects]
        known: dict[str, list[StoredRun]] = {}
        for run in self.tracker.stored(experiments=experiments, identities=wanted):
            known.setdefault(run.tags.get("bench.identity", ""), []).append(run)
        return known

    def _judged(self, prospect: Prospect, before: Sequence[StoredRun]) -> Prospect:
        outcome, spec = prospect.outcome, prospect.spec
        finished = [run for run in before if run.status == "FINISHED"]
        done = min(finished, key=lambda run: run.tags.get("bench.preset") != spec.preset, default=None)
        if outcome is None and done is not None and not self.force:
            refines = Supervision.COARSE in methods().load(spec.method).supervision
            rows = slide_rows(self.tracker, done) if refines else []
            metrics, reason = whole_run(self.tracker, done).metrics, _as_another(done, spec)
            outcome = Outcome(spec, "finished before", reason, run_id=done.id, metrics=metrics, rows=rows)
        computed = (
            outcome is None and not self.force and kept(self.cache / "undelivered" / prospect.identity) is not None
        )
        return Prospect(spec, prospect.identity, prospect.experiment, prospect.job, outcome, tuple(before), computed)


def _place(spec: RunSpec) -> list[object]:
    """Where the data are and how many of them are read, as asked."""
    target = [] if spec.target is None else [spec.target.as_file()]
    return [spec.data, spec.synthetic_slides, spec.slides, *target]


def _as_another(done: StoredRun, spec: RunSpec) -> str:
    """What is said of a finished run with the same parameters under another preset, whose rows stand apart."""
    preset = done.tags.get("bench.preset", spec.preset)
    return "" if preset == spec.preset else f"finished as preset {preset}; --force stores it as {spec.preset} too"


def record(prospect: Prospect, outcome: Outcome, tracker: Tracker) -> str | None:
    """Store why a run never started, unless the store has it already; returns the id of the stored run."""
    for run in prospect.before:
        if run.tags.get("bench.state") == outcome.state and run.tags.get("bench.reason") == outcome.reason:
            return run.id
    return tracker.record(
        experiment=prospect.experiment,
        description=experiment_note(datasets().load(prospect.spec.dataset)),
        name=prospect.spec.title,
        tags={**_tags(prospect), "bench.state": outcome.state, "bench.reason": outcome.reason},
    )


def conclude(prospect: Prospect, outcome: Outcome, tracker: Tracker) -> str | None:
    """Store the end of a run whose process could not; returns the id of the stored run."""
    if outcome.run_id is None:
        return record(prospect, outcome, tracker)
    stopped = outcome.state in ("timed out", "interrupted")
    why = {"bench.state": outcome.state, "bench.reason": outcome.reason}
    tracker.conclude(outcome.run_id, "KILLED" if stopped else "FAILED", why)
    return outcome.run_id


def _tags(prospect: Prospect) -> dict[str, str]:
    if prospect.job is not None:
        return prospect.job.tags(prospect.spec.device)
    spec = prospect.spec
    tags = {
        "bench.method": spec.method,
        "bench.dataset": spec.dataset,
        "bench.preset": spec.preset,
        "bench.seed": str(spec.seed),
        "bench.variant": spec.variant,
        "bench.refit": "true" if spec.refit else "",
        "bench.settings": spec.settings,
        "bench.identity": prospect.identity,
        **budget_tags(spec),
        "bench.supervision": _track(spec),
    }
    return {name: value for name, value in tags.items() if value}


def _track(spec: RunSpec) -> str:
    """The method's track, or the kinds of label it declares where it cannot be made."""
    kind = methods().load(spec.method)
    try:
        return kind(spec.params).track()
    except Exception:  # a plug-in may raise anything; its run has failed with the reason
        return "+".join(sorted(kind.supervision)) or "none"
