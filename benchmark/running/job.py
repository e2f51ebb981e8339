"""A run whose data are open and whose identity is known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config import SYNTHETIC, RunSpec
from benchmark.datahome import find_root
from benchmark.dataset import Dataset, Split
from benchmark.digest import content_digest
from benchmark.expert import create_expert
from benchmark.few_slides import few_slides
from benchmark.identity import digest_of, facts_of
from benchmark.method import Method
from benchmark.metrics.suite import SCHEMA
from benchmark.one_slide import one_slide
from benchmark.provenance import code_digest, code_version
from benchmark.registry import datasets, methods
from benchmark.running.plan import SYNTHETIC_SEED
from benchmark.running.synthetic import synthetic_root
from benchmark.supervision import Labels, Ledger, View
from benchmark.two_classes import TwoClassView, seen_by

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

    @property
    def seen(self) -> Dataset | TwoClassView:
        """The data as the method sees them: with two classes, unless it tells more apart."""
        return seen_by(self.method, self.dataset)

    @property
    def experiment(self) -> str:
        """Experiment = dataset; miniatures have one of their own, so they never mix with real data."""
        return f"{self.dataset.name}-synthetic" if self.dataset.synthetic else self.dataset.name

    @property
    def title(self) -> str:
        """A name a person can read."""
        return self.spec.title

    @property
    def known(self) -> Known:
        """What another process needs to open this job without reading the data's files again."""
        return Known(self.dataset.root, self.data_digest, self.data_identity, self.identity)

    @property
    def row(self) -> str:
        """Equal for the runs of one method with the same parameters, whatever the seed and the data."""
        return digest_of([self.spec.method, facts_of(self.spec.params), *(["refit"] if self.spec.refit else [])])

    @property
    def training_digest(self) -> str:
        """Of all that the stages of a method see of the data."""
        return digest_of([self.data_identity, "refit"]) if self.spec.refit else self.data_identity

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
        )

    def view(self, split: Split, ledger: Ledger) -> View:
        """Slides and labels of one split, as `Method.fit` gets them."""
        return View(self.slides(split), self.labels(split, ledger))

    def stored_params(self) -> dict[str, str]:
        """Resolved parameters and options, flat, for the tracking store."""
        params = {key: str(value) for key, value in self.spec.params.model_dump(mode="json").items()}
        options = {f"dataset.{key}": str(value) for key, value in self.spec.options.model_dump(mode="json").items()}
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
            "bench.synthetic_slides": str(self.spec.synthetic_slides) if self.spec.data == SYNTHETIC else "",
            "bench.data": "" if self.spec.data == SYNTHETIC else str(self.dataset.root),
            "bench.slide": self.spec.slide or "",
            "bench.asked_device": "" if self.spec.device == "auto" else self.spec.device,
            "bench.data_kind": "synthetic" if self.dataset.synthetic else "real",
            "bench.data_digest": self.data_digest,
            "bench.code": code_version(),
            "bench.metrics_schema": SCHEMA,
            "bench.slides_drawn": str(self.spec.slides or ""),
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


@dataclass(frozen=True)
class Known:
    """What the process that planned a run knows of it: where the data lie, and the digests."""

    root: Path
    content: str
    data_identity: str
    identity: str


def reopen_job(spec: RunSpec, cache: Path, known: Known) -> Job:
    """Open a run that was surveyed before. Raises `BenchError` when the data have gone since."""
    dataset = datasets().load(spec.dataset)(known.root, spec.options)
    dataset = dataset if spec.slide is None else one_slide(dataset, spec.slide)
    dataset = dataset if spec.slides is None else few_slides(dataset, spec.slides)
    method = methods().load(spec.method)(spec.params)
    return Job(spec, method, dataset, known.content, known.data_identity, known.identity, cache)


def open_data(spec: RunSpec, cache: Path) -> OpenData:
    """Open the dataset of a run; a miniature is made when it is not there yet.

    Raises `BenchError` when the data cannot be used.
    """
    dataset_class = datasets().load(spec.dataset)
    if spec.data == SYNTHETIC:
        root = synthetic_root(dataset_class, cache, slides=spec.synthetic_slides, seed=SYNTHETIC_SEED)
    else:
        root = find_root(spec.dataset, spec.data)
    dataset = dataset_class(root, spec.options)
    if spec.slide is None:  # slides are opened here, so that data that cannot be used are refused while planning
        dataset.slides(Split.TRAIN)
    content = content_digest(dataset.root, dataset.files())
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
    identity = digest_of(
        {
            "method": spec.method,
            "params": facts_of(spec.params),
            "data": data.identity,
            "seed": spec.seed,
            "metrics": SCHEMA,
            "code": code_digest(method_class),
            **({"refit": True} if spec.refit else {}),
        }
    )
    job = Job(spec, method, data.dataset, data.content, data.identity, identity, cache)
    method.check_classes(job.seen.classes)
    method.check_slides(*job.learnt_and_scored)
    return job
