"""From a request to a session: the slide opened, the method in place, the journal read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from benchmark.annotating.files import export, exported, marks_of, require_exportable, write_answers
from benchmark.annotating.journal import Event, Given, Journal, Mark, Record
from benchmark.annotating.learner import Learner
from benchmark.annotating.reviewing import Session
from benchmark.annotating.steps import Steps, Stepwise
from benchmark.config import RunRequest
from benchmark.context import SilentReporter
from benchmark.dataset import Split
from benchmark.errors import ConfigError
from benchmark.expert import RecordedExpert
from benchmark.provenance import code_digest
from benchmark.registry import methods
from benchmark.running.attempt import context_of
from benchmark.running.device import choose_device, prepare
from benchmark.running.evaluate import Examination
from benchmark.running.job import Job, open_job
from benchmark.running.plan import plan
from benchmark.seeds import seed_of
from benchmark.supervision import Budget, Labels, Ledger, Supervision

if TYPE_CHECKING:
    from benchmark.slides import Slide

Say = Callable[[str], None]
JOURNAL, ANSWERS, KEYS, ROUNDS = "journal.jsonl", "answers.jsonl", "keys.json", "rounds"


@dataclass(frozen=True)
class Annotated:
    """An open session with all around it. `request`: of the run that it becomes."""

    session: Session
    slide: Slide
    job: Job
    request: RunRequest
    folder: Path

    @property
    def classes(self) -> Sequence[str]:
        """As the method sees them."""
        return self.job.seen.classes

    def export(self) -> dict[str, Path]:
        """The annotation as it stands, see `files.export`."""
        return export(self.session, self.folder, self.slide.id, self.classes)

    def recorded(self) -> RunRequest:
        """The request of the run that replays the answers, which are written down for it."""
        path, record = (self.folder / ANSWERS).absolute(), self.session.record
        grid = self.session.steps.grid
        write_answers(path, self.slide.id, grid, self.classes, record.examples, record.answers)
        others = [text for text in self.request.settings if _name(text) != "expert_answers"]
        return replace(self.request, settings=(*others, f"method.expert_answers={json.dumps(str(path))}"))


def for_one_slide(request: RunRequest) -> RunRequest:
    """The request with the parameters by which its method annotates one slide; what was asked for otherwise stays.

    Raises `ConfigError` for a method that no person can be the expert of, and for several methods, seeds or settings.
    """
    name = str(request.method)
    kind = methods().load(name.partition(":")[0])
    alone: Mapping[str, Any] | None = getattr(kind, "alone", None)
    if alone is None:
        able = [known for known in methods().names() if hasattr(methods().load(known), "alone")]
        raise ConfigError(f"{name} asks no expert step by step", fix=f"--method NAME, one of {', '.join(able)}")
    own = {_name(text) for text in (*request.settings, *name.split(":")[1:])}
    usual = [f"method.{key}={json.dumps(value)}" for key, value in alone.items() if key not in own]
    request = replace(request, settings=(*usual, *request.settings))
    specs = plan(request)
    if len(specs) != 1:
        raise ConfigError(f"a person annotates with one setting at a time, got {len(specs)}")
    return request


def _name(setting: str) -> str:
    """Whose value `name=value` is, without `method.`."""
    return setting.partition("=")[0].strip().removeprefix("method.")


@contextmanager
def opened(
    request: RunRequest, cache: Path, folder: Path, *, who: str, labels: Path | None, reopen: bool, say: Say
) -> Iterator[Annotated]:
    """A session in `folder`, new or resumed, which no other program may open meanwhile.

    `labels`: a file of outlines to begin with. `reopen`: go on with a session that was ended. Raises `BenchError` where
    data, method, folder or file cannot be used, and `BlankSlideError` for a slide without tissue.
    """
    (spec,) = plan(request)
    job = open_job(spec, cache)
    (slide,) = job.slides(Split.TEST)
    device = choose_device(spec.device)
    prepare(device, seed_of("run", spec.seed))
    method = job.method
    assert isinstance(method, Stepwise)
    with _alone(folder):
        if labels is not None:
            _require_kept(labels, folder, slide)
        say(f"reading slide {slide.id} …")
        context = context_of(job, Ledger(), SilentReporter(), device, Examination(job.seen))
        steps = method.steps(slide, context)
        journal = Journal(folder / JOURNAL, _about(job, slide, steps), _fitting(steps))
        rounds = folder / ROUNDS / code_digest(type(job.method))[:12]  # other code takes up no nets of this one
        learner = Learner(steps, _labels(job, slide, steps, rounds), rounds)
        ended = Record.of(journal.events).ended
        if reopen or not ended:
            require_exportable(folder, slide.id)
        if reopen and ended:
            journal.append(Event("reopen", who=who))
        session = Session(steps, journal, learner, who=who, budget=_budget(job))
        if labels is not None:
            _take(session, journal, labels, slide, job, say)
        yield Annotated(session, slide, job, request, folder)


def _about(job: Job, slide: Slide, steps: Steps) -> dict[str, object]:
    spec = job.spec
    return {
        "journal": 1,
        "dataset": spec.dataset,
        "slide": slide.id,
        "method": spec.method,
        "params": spec.params.model_dump(mode="json"),
        "seed": spec.seed,
        "data": job.data_digest,
        "grid": steps.grid.digest,
        "classes": list(job.seen.classes),
    }


def _fitting(steps: Steps) -> Callable[[Mark], bool]:
    """Whether a mark lies on a patch with tissue and has a class that can be answered."""
    cells, labels = set(map(tuple, steps.places.tolist())), {label for label, _ in steps.choices}
    return lambda mark: mark[:2] in cells and mark[2] in labels


def _labels(job: Job, slide: Slide, steps: Steps, folder: Path) -> Callable[[Sequence[Mark]], Labels]:
    """Labels of the slide as a run that replays these examples has them."""

    def labels(examples: Sequence[Mark]) -> Labels:
        given = {(row, col): Given(label, 0.0, 0.0, "") for row, col, label in examples}
        path = folder / "examples.jsonl"
        write_answers(path, slide.id, steps.grid, job.seen.classes, given, {})
        return Labels(
            job.seen,
            [slide],
            job.method.supervision,
            Ledger(),
            owner=job.method.name,
            budgets=job.method.budgets(),
            sealed=True,
            expert=RecordedExpert(path, job.seen.classes),
        )

    return labels


def _budget(job: Job) -> int | None:
    limit = job.method.budgets().get(Supervision.REVIEW)
    if isinstance(limit, Budget):
        given = [most for most in (limit.total, limit.per_slide) if most is not None]
        return min(given, default=None)
    return limit


def _require_kept(labels: Path, folder: Path, slide: Slide) -> None:
    """Refuse to write the session's outlines in the place of those that it begins with."""
    if labels.resolve() in {path.resolve() for path in exported(folder, slide.id).values()}:
        raise ConfigError(f"--labels {labels} is where the session writes its outlines", fix="--out ANOTHER_FOLDER")


def _take(session: Session, journal: Journal, path: Path, slide: Slide, job: Job, say: Say) -> None:
    """Outlines as the first marks of a session; a session that has begun has taken them, or does without."""
    if journal.events:
        say(f"{path.name}: not read again, this session has begun")
        return
    meanings = str(getattr(job.spec.options, "classes", None) or "")
    examples, answers = marks_of(path, session.steps, slide, job.seen.classes, meanings)
    if examples:
        session.take("example", examples, path.name)
    if answers:
        session.take("answer", answers, path.name)
    say(f"{path.name}: {len(examples)} examples, {len(answers)} answers kept for when they are asked for")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        lock.acquire(timeout=0)
    except Timeout:
        what = f"another bench annotate has this session open: {folder}"
        raise ConfigError(what, fix="use its page, or --out ANOTHER_FOLDER") from None
    except OSError as error:
        raise ConfigError(f"cannot write the session to {folder}: {error.strerror}", fix="--out FOLDER") from error
    try:
        yield
    finally:
        lock.release()
