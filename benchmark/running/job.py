"""A run whose data are open and whose identity is known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.budgets.allot import allot
from benchmark.budgets.allotment import Allotment
from benchmark.budgets.within import within_budget
from benchmark.config import SYNTHETIC, RunSpec
from benchmark.datahome import find_root
from benchmark.dataset import Dataset, Split
from benchmark.digest import content_digest
from benchmark.errors import DataError
from benchmark.expert import create_expert
from benchmark.few_slides import few_slides
from benchmark.identity import digest_of, facts_of
from benchmark.method import Method
from benchmark.metrics.suite import SCHEMA
from benchmark.metrics.temperature import TEMPERATURES
from benchmark.one_slide import one_slide
from benchmark.provenance import code_digest, code_version
from benchmark.registry import datasets, methods
from benchmark.run_target import Target
from benchmark.running.budgeted import budget_facts, budget_tags
from benchmark.running.plan import SYNTHETIC_SEED, TARGET_SEED
from benchmark.running.synthetic import synthetic_root
from benchmark.supervision import Labels, Ledger, View
from benchmark.two_classes import TwoClassView, seen_by
from benchmark.two_sets import Elsewhere, elsewhere, require_another

if TYPE_CHECKING:
    from benchmark.slides import Slide


@dataclass(frozen=True)
class Job:
    """A run whose data are open and whose identity is known."""

    spec: RunSpec
    method: Method
    dataset: Dataset
    data_digest: str
    """Of the files."""
    data_identity: str
    """Of the files, how they are read (options) and by which code."""
    identity: str
    cache: Path
    allotment: Allotment | None = None
    """What the run's budget comes to; the dataset is then as far as it pays."""
    trained_on: str = ""
    """Of the data that the method learns from, where it is tested on others: a run on their own test part has it as
    `data_identity`, so the stages of one serve the other."""

    @property
    def seen(self) -> Dataset | TwoClassView:
        """The data as the method sees them: with two classes, unless it tells more apart."""
        return seen_by(self.method, self.dataset)

    @property
    def experiment(self) -> str:
        """Experiment = dataset, or the two of them; miniatures have their own, so they never mix with real data."""
        name = self.dataset.name if self.spec.target is None else f"{self.dataset.name}-to-{self.spec.target.dataset}"
        return f"{name}-synthetic" if self.dataset.synthetic else name

    @property
    def title(self) -> str:
        """A name a person can read."""
        return self.spec.title

    @property
    def known(self) -> Known:
        """What another process needs to open this job without reading the data's files again."""
        return Known(
            self.dataset.root, self.data_digest, self.data_identity, self.identity, self.trained_on, self.tested_at
        )

    @property
    def tested_at(self) -> Path | None:
        """The folder of the other dataset that a run is tested on."""
        return self.dataset.cohorts[1].root if isinstance(self.dataset, Elsewhere) else None

    @property
    def row(self) -> str:
        """Equal for the runs of one method with the same parameters, whatever the seed and the data."""
        further = [name for name in ("refit", "calibrate") if getattr(self.spec, name)]
        budget = [["budget", self.spec.budget.text]] if self.spec.budget else []
        return digest_of([self.spec.method, facts_of(self.spec.params), *further, *budget])

    @property
    def training_digest(self) -> str:
        """Of all that the stages of a method see of the data."""
        facts = self.allotment.facts if self.allotment else []
        more = [*(["refit"] if self.spec.refit else []), *([["budget", *facts]] if facts else [])]
        learnt = self.trained_on or self.data_identity
        return digest_of([learnt, *more]) if more else learnt

    def slides(self, split: Split) -> Sequence[Slide]:
        """The slides of one split; when the run is a refit, those of validation are training slides."""
        if not self.spec.refit or split is Split.TEST:
            return self.dataset.slides(split)
        if split is Split.VALIDATION:
            return []
        return [*self.dataset.slides(Split.TRAIN), *self.dataset.slides(Split.VALIDATION)]

    @property
    def learnt_and_scored(self) -> tuple[Sequence[Slide], Sequence[Slide]]:
        """The training slides, and those of validation and test."""
        return self.slides(Split.TRAIN), [*self.slides(Split.VALIDATION), *self.slides(Split.TEST)]

    def labels(self, split: Split, ledger: Ledger) -> Labels:
        """The metered labels of one split; those of the test split are sealed."""
        return Labels(
            self.seen,
            self.slides(split),
            self.method.supervision,
            ledger,
            owner=self.method.name,
            budgets=self.method.budgets(),
            sealed=split is Split.TEST,
            expert=create_expert(self.method.expert(), self.seen, self.spec.seed),
            spending=None if self.allotment is None else self.allotment.spending,
        )

    def view(self, split: Split, ledger: Ledger) -> View:
        """Slides and labels of one split, as `Method.fit` gets them."""
        return View(self.slides(split), self.labels(split, ledger))

    def stored_params(self) -> dict[str, str]:
        """Resolved parameters and options, flat, for the tracking store."""
        params = {key: str(value) for key, value in self.spec.params.model_dump(mode="json").items()}
        options = {f"dataset.{key}": str(value) for key, value in self.spec.options.model_dump(mode="json").items()}
        if self.spec.target is not None:
            own = self.spec.target.options.model_dump(mode="json")
            options |= {f"test.{key}": str(value) for key, value in own.items()}
        return {**params, **options, "seed": str(self.spec.seed)}

    def tags(self, device: str) -> dict[str, str]:
        """What runs are filtered by."""
        tags = {
            "bench.method": self.spec.method,
            "bench.dataset": self.spec.dataset,
            "bench.supervision": self.method.track(),
            "bench.preset": self.spec.preset,
            "bench.seed": str(self.spec.seed),
            "bench.variant": self.spec.variant,
            "bench.refit": "true" if self.spec.refit else "",
            "bench.settings": self.spec.settings,
            "bench.row": self.row,
            "bench.board": self.data_identity,
            "bench.identity": self.identity,
            "bench.synthetic_slides": str(self.spec.synthetic_slides) if SYNTHETIC in self.spec.places else "",
            "bench.data": "" if self.spec.data == SYNTHETIC else str(self.dataset.root),
            "bench.test_data": str(self.tested_at or "") if SYNTHETIC not in self.spec.places[1:] else SYNTHETIC,
            "bench.trained_on": self.trained_on,
            "bench.target": self.spec.target.label if self.spec.target else "",
            "bench.slide": self.spec.slide or "",
            "bench.asked_device": "" if self.spec.device == "auto" else self.spec.device,
            "bench.data_kind": "synthetic" if self.dataset.synthetic else "real",
            "bench.data_digest": self.data_digest,
            "bench.code": code_version(),
            "bench.metrics_schema": SCHEMA,
            "bench.slides_drawn": str(self.spec.slides or ""),
            **budget_tags(self.spec),
            "bench.classes": ",".join(self.dataset.classes),
            "bench.device": device,
            "bench.python": ".".join(map(str, sys.version_info[:3])),
        }
        return {name: value for name, value in tags.items() if value}

    def trial_tags(self, device: str) -> dict[str, str]:
        """The tags of a trial. It is not a result: nothing ranks it or counts it as finished."""
        own = {"bench.row", "bench.board", "bench.identity", "bench.metrics_schema"}
        return {name: value for name, value in self.tags(device).items() if name not in own}

    def profile(self) -> dict[str, Any]:
        """The sizes of the splits."""
        return {f"{split}_slides": len(self.dataset.slides(split)) for split in Split}

    @property
    def too_little(self) -> str:
        """Why the run's budget is too small to learn anything with; empty where it is not."""
        return "" if self.allotment is None else self.allotment.short


def experiment_note(dataset: type[Dataset]) -> str:
    """What the tracking store says about the experiment of a dataset."""
    title = dataset.card.title
    return (
        f"{title} ({dataset.card.licence}). One run per method, parameters and seed.\n\n"
        "Compare with the columns `pixel/…` (cells), `image/…` (units), `slide/…` (means over slides), `labels/…` "
        '(what was annotated) and `cost/…`. `tags."bench.state"` says how a run ended and `bench.reason` why; '
        f"`bench leaderboard --dataset {dataset.name}` ranks them."
    )


@dataclass(frozen=True)
class OpenData:
    """A dataset that could be opened, with its digests: the same for every method and seed."""

    dataset: Dataset
    content: str
    """Digest of the files."""
    identity: str
    """Digest of the files, how they are read (options) and by which code."""
    trained_on: str = ""
    """The same of the train set alone, where another set tests."""


@dataclass(frozen=True)
class Known:
    """What the process that planned a run knows of it: where the data lie, and the digests."""

    root: Path
    content: str
    data_identity: str
    identity: str
    trained_on: str = ""
    tested_at: Path | None = None


def reopen_job(spec: RunSpec, cache: Path, known: Known) -> Job:
    """Open a run that was surveyed before. Raises `BenchError` when the data have gone since."""
    dataset = datasets().load(spec.dataset)(known.root, spec.options)
    dataset = dataset if spec.slide is None else one_slide(dataset, spec.slide)
    dataset = dataset if spec.slides is None else few_slides(dataset, spec.slides)
    if spec.target is not None:
        assert known.tested_at is not None
        other = datasets().load(spec.target.dataset)(known.tested_at, spec.target.options)
        other = other if spec.slides is None else few_slides(other, spec.slides)
        dataset = elsewhere(dataset, other, dict(spec.target.classes), as_is=spec.target.as_is)
    method = methods().load(spec.method)(spec.params)
    digests = (known.content, known.data_identity, known.identity)
    job = Job(spec, method, dataset, *digests, cache, trained_on=known.trained_on)
    return _as_far_as_paid(job, _allotted(spec, method, dataset))


def _allotted(spec: RunSpec, method: Method, dataset: Dataset) -> Allotment | None:
    """What the budget of a run comes to; None where it has none."""
    if spec.budget is None:
        return None
    return allot(spec.budget, dict(spec.label_minutes), method, dataset, spec.seed)


def _as_far_as_paid(job: Job, allotment: Allotment | None) -> Job:
    """The same run with the data that its budget pays; all of them where it has none, or one that is too small."""
    if allotment is None:
        return job
    if allotment.short:
        return replace(job, allotment=allotment)
    return replace(job, allotment=allotment, dataset=within_budget(job.dataset, allotment, job.spec.seed))


def open_data(spec: RunSpec, cache: Path) -> OpenData:
    """Open the dataset of a run; a miniature is made when it is not there yet.

    Raises `BenchError` when the data cannot be used.
    """
    if spec.target is not None:
        return _open_both(spec, spec.target, cache)
    return _open_one(spec, cache, SYNTHETIC_SEED)


def _open_both(spec: RunSpec, target: Target, cache: Path) -> OpenData:
    """The dataset of a run with the test part of its target. Both are opened as they would be alone."""
    own = replace(spec, target=None)
    other = replace(own, dataset=target.dataset, options=target.options, data=target.data)
    # Miniatures of one seed are painted alike, and a model would be tested on the tissue that it learnt from.
    trained, tested = _open_one(own, cache, SYNTHETIC_SEED), _open_one(other, cache, TARGET_SEED)
    require_another(trained.dataset, tested.dataset, (trained.content, tested.content))
    dataset = elsewhere(trained.dataset, tested.dataset, dict(target.classes), as_is=target.as_is)
    facts = [trained.identity, tested.identity, sorted(target.classes), target.as_is]
    return OpenData(dataset, digest_of([trained.content, tested.content]), digest_of(facts), trained.identity)


def _open_one(spec: RunSpec, cache: Path, seed: int) -> OpenData:
    dataset_class = datasets().load(spec.dataset)
    if spec.data == SYNTHETIC:
        root = synthetic_root(dataset_class, cache, slides=spec.synthetic_slides, seed=seed)
    else:
        root = find_root(spec.dataset, spec.data)
    dataset = dataset_class(root, spec.options)
    if spec.slide is None:  # slides are opened here, so that data that cannot be used are refused while planning
        dataset.slides(Split.TRAIN)
    content = content_digest(dataset.root, dataset.files(), remember=True)
    code = code_digest(dataset_class)
    facts = [spec.dataset, facts_of(spec.options), content, code]
    if spec.slides is None:
        return OpenData(dataset, content, digest_of(facts))
    return OpenData(few_slides(dataset, spec.slides), content, digest_of([*facts, spec.slides]))


def open_job(spec: RunSpec, cache: Path, data: OpenData | None = None) -> Job:
    """Open method and data and compute the run's identity. Raises `BenchError` when either cannot be used."""
    method_class = methods().load(spec.method)
    data = data or open_data(spec, cache)
    method = method_class(spec.params)
    if spec.slide is not None:
        data = OpenData(one_slide(data.dataset, spec.slide), data.content, digest_of([data.identity, spec.slide]))
    allotment = _allotted(spec, method, data.dataset)
    identity = digest_of(
        {
            "method": spec.method,
            "params": facts_of(spec.params),
            "data": data.identity,
            "seed": spec.seed,
            "metrics": SCHEMA,
            "code": code_digest(method_class),
            **({"refit": True} if spec.refit else {}),
            **({"calibrate": TEMPERATURES} if spec.calibrate else {}),
            **budget_facts(spec, allotment),
        }
    )
    digests = (data.content, data.identity, identity)
    job = _as_far_as_paid(Job(spec, method, data.dataset, *digests, cache, trained_on=data.trained_on), allotment)
    method.check_classes(job.seen.classes)
    method.check_slides(*job.learnt_and_scored)
    if spec.calibrate and not job.slides(Split.VALIDATION):
        what = f"--calibrate: {spec.place} has no validation slides here, on which temperatures are fitted"
        raise DataError(what, fix=f"bench info {spec.dataset}   # options for the split; or drop --calibrate")
    return job
