"""What every method must keep. Runs with the preset `smoke` on the miniatures of the registered datasets."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.config import resolve
from benchmark.context import Context, SilentReporter
from benchmark.dataset import Dataset, Split
from benchmark.errors import SupervisionError
from benchmark.expert import create_expert
from benchmark.ledger import counter_of
from benchmark.method import Method, Prediction
from benchmark.registry import datasets, methods
from benchmark.running.applicable import not_applicable
from benchmark.running.device import prepare
from benchmark.seeds import seed_of
from benchmark.slides import PatchSet, Slide
from benchmark.supervision import COUNTERS, TRANSDUCTIVE, Labels, Ledger, Supervision, View
from benchmark.testing.datasets import Contract, shared_miniature
from benchmark.two_classes import seen_by

FEW = 2
"""Slides of each split in the test that goes through all datasets."""


class _StopsAfter(SilentReporter):
    """Interrupts the run, as Ctrl-C would, when so many numbers have been logged."""

    def __init__(self, logs: int) -> None:
        super().__init__()
        self._left = logs

    def log(self, name: str, value: float, step: int | None) -> None:
        super().log(name, value, step)
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt


@dataclass(frozen=True)
class Outcome:
    """What came of fitting and of scoring every test slide once: score maps, logged numbers, labels counted."""

    scores: dict[str, NDArray[np.float32]]
    history: list[tuple[str, float, int | None]]
    labels: dict[str, int]


@dataclass
class Trial:
    """A fitted method with what it used and logged."""

    method: Method
    dataset: Dataset
    context: Context
    ledger: Ledger
    reporter: SilentReporter
    outcome: Outcome = field(default_factory=lambda: Outcome({}, [], {}))

    def scores(self) -> dict[str, NDArray[np.float32]]:
        """The score map of every test slide."""
        return {slide.id: self.predict(slide).scores.values for slide in self.dataset.slides(Split.TEST)}

    def predict(self, slide: Slide) -> Prediction:
        """Predict one test slide with sealed labels."""
        return self.method.predict(slide, labels_of(self.method, self.dataset, Split.TEST, self.ledger), self.context)


def labels_of(method: Method, dataset: Dataset, split: Split, ledger: Ledger) -> Labels:
    """The labels of one split as the harness hands them out."""
    return Labels(
        seen_by(method, dataset),
        dataset.slides(split),
        method.supervision,
        ledger,
        owner=method.name,
        budgets=method.budgets(),
        sealed=split is Split.TEST,
        expert=create_expert(method.expert(), seen_by(method, dataset), 0),
    )


def fit(
    kind: type[Method],
    dataset: Dataset,
    folder: Path,
    *,
    seed: int = 0,
    reporter: SilentReporter | None = None,
    most: int | None = None,
) -> Trial:
    """Fit one method with its smoke preset, keeping its stages under `folder`; on `most` slides of a split at most."""
    prepare("cpu", seed)
    ledger, reporter = Ledger(), reporter or SilentReporter()
    method = kind(resolve(kind, "smoke"))
    seen = seen_by(method, dataset)
    context = Context(geometry=seen, folder=folder, ledger=ledger, seed=seed, data_digest="mini", reporter=reporter)
    context.bind(method)
    parts = (Split.TRAIN, Split.VALIDATION)
    views = [View(_some(dataset, split, most), labels_of(method, dataset, split, ledger)) for split in parts]
    method.fit(views[0], views[1], context)
    return Trial(method, dataset, context, ledger, reporter)


def _some(dataset: Dataset, split: Split, most: int | None) -> Sequence[Slide]:
    """The first slides of a split, but one with and one without positive units where there are both."""
    slides = dataset.slides(split)
    if most is None or len(slides) <= most:
        return slides
    labels = [dataset.unit_labels(slide) for slide in slides]
    first = [next((n for n, units in enumerate(labels) if (units == value).any()), 0) for value in (1, 0)]
    chosen = list(dict.fromkeys([*first, *range(len(slides))]))[:most]
    return [slides[number] for number in sorted(chosen)]


def run(
    kind: type[Method], dataset: Dataset, folder: Path, *, seed: int = 0, reporter: SilentReporter | None = None
) -> Trial:
    """`fit`, then score every test slide once. A refiner learns and logs in the second half."""
    trial = fit(kind, dataset, folder, seed=seed, reporter=reporter)
    scores = trial.scores()
    trial.outcome = Outcome(scores, list(trial.reporter.history), trial.ledger.totals())
    return trial


class MethodContract(Contract):
    """Subclass it and set `name`, or override the fixture `component`."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, component: str) -> type[Method]:
        """The method class."""
        return methods().load(component)

    @pytest.fixture(scope="class")
    @classmethod
    def minis(cls, kind: type[Method], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
        """A miniature of every dataset the method can run on, the one of the smallest slides first.

        None at all is a failure, not a skip.
        """
        made = {}
        for name in datasets().names():
            dataset = shared_miniature(datasets().load(name), tmp_path_factory)
            if not_applicable(kind, dataset) is None:
                made[name] = dataset
        assert made, f"{kind.name} is not applicable to any registered dataset"
        return dict(sorted(made.items(), key=lambda item: max(math.prod(s.size) for s in item[1].slides(Split.TEST))))

    @pytest.fixture(scope="class")
    @classmethod
    def trial(
        cls, kind: type[Method], minis: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Trial]:
        """The method fitted on the first dataset, and its scores of the test slides."""
        yield run(kind, next(iter(minis.values())), tmp_path_factory.mktemp("stages"))

    def test_card_presets_and_parameters_are_documented(self, kind: type[Method]) -> None:
        assert kind.card.title and kind.card.citation and kind.card.paper
        assert {"paper", "quick", "smoke"} <= set(kind.presets)
        assert not kind.presets["paper"], "the defaults are the paper's values, so the preset `paper` is empty"
        for preset in kind.presets:
            resolve(kind, preset)
        silent = [name for name, field in kind.Params.model_fields.items() if not field.description]
        assert not silent, f"parameters of {kind.name} without a description: {silent}"

    def test_scores_datasets_of_every_kind(self, kind: type[Method], minis: dict[str, Dataset], tmp_path: Path) -> None:
        for name, dataset in chosen(minis, kind.name).items():
            trial = fit(kind, dataset, tmp_path / name, most=FEW)
            slide = dataset.slides(Split.TEST)[0]
            scores = trial.predict(slide).scores
            assert np.isfinite(scores.values).any(), f"{kind.name} scored nothing on {name}"
            assert scores.on(dataset.evaluation_grid(slide)).values.shape == dataset.evaluation_grid(slide).shape

    def test_uses_just_the_labels_it_declares(self, trial: Trial) -> None:
        used = {Supervision(kind) for kind, _, _ in trial.ledger.entries}
        assert used == set(trial.method.supervision) or used | TRANSDUCTIVE == trial.method.supervision | TRANSDUCTIVE
        tiles = isinstance(trial.dataset.slides(Split.TEST)[0], PatchSet)
        of_tiles = {Supervision.FULL, Supervision.COARSE, Supervision.PIXEL} if tiles else set[Supervision]()
        kinds = {Supervision.PATCH if kind in of_tiles else kind for kind in trial.method.supervision}
        counted = {COUNTERS[kind] for kind in kinds}
        assert {name for name, count in trial.ledger.totals().items() if count} == counted

    def test_announces_the_labels_of_a_slide(self, trial: Trial) -> None:
        given: dict[str, dict[str, int]] = {}
        for (kind, slide, item), amount in trial.ledger.entries.items():
            if kind in (Supervision.IMAGE, Supervision.PATCH, Supervision.FULL):
                counts, counter = given.setdefault(slide, {}), counter_of(kind, item)
                counts[counter] = counts.get(counter, 0) + amount
        slides = {slide.id: slide for split in Split for slide in trial.dataset.slides(split)}
        seen = seen_by(trial.method, trial.dataset)
        announced = {slide: dict(trial.method.label_counts(slides[slide], seen)) for slide in given}
        assert given == announced, "`label_counts` says what budgets in minutes are planned by"
        total = trial.method.review_counts(len(seen.classes)).total
        if total is not None and not trial.method.transductive():
            assert trial.ledger.count(Supervision.REVIEW) <= total, "`review_counts` is what shares are of"

    def test_test_truth_is_sealed(self, trial: Trial) -> None:
        slide = trial.dataset.slides(Split.TEST)[0]
        labels = labels_of(trial.method, trial.dataset, Split.TEST, Ledger())
        for ask in (labels.image, labels.full):
            with pytest.raises(SupervisionError):
                ask(slide)

    def test_same_seed_same_scores(self, kind: type[Method], trial: Trial, tmp_path: Path) -> None:
        again = run(kind, trial.dataset, tmp_path)
        _assert_equal(again.outcome.scores, trial.outcome.scores)

    def test_order_of_slides_does_not_matter(self, trial: Trial) -> None:
        slides = trial.dataset.slides(Split.TEST)
        backwards = {slide.id: trial.predict(slide).scores.values for slide in reversed(slides)}
        _assert_equal(backwards, trial.outcome.scores)

    def test_state_makes_a_twin(self, kind: type[Method], trial: Trial) -> None:
        twin = kind(resolve(kind, "smoke"))
        twin.restore(trial.method.state(), trial.context)
        slide = trial.dataset.slides(Split.TEST)[0]
        labels = labels_of(twin, trial.dataset, Split.TEST, Ledger())
        twin_scores = twin.predict(slide, labels, trial.context).scores.values
        np.testing.assert_array_equal(twin_scores, trial.predict(slide).scores.values)

    def test_finished_stages_are_reused(self, kind: type[Method], trial: Trial) -> None:
        folder = trial.context._stages.folder
        again = run(kind, trial.dataset, folder)
        assert all(record.reused for record in again.context.records)
        _assert_same(again.outcome, trial.outcome)

    def test_interrupted_run_goes_on_to_the_same_scores(self, kind: type[Method], trial: Trial, tmp_path: Path) -> None:
        logs = len(trial.outcome.history)
        for share in (1, 2):
            stop = max(1, share * logs // 3)
            if logs:
                with pytest.raises(KeyboardInterrupt):
                    run(kind, trial.dataset, tmp_path / str(share), reporter=_StopsAfter(stop))
            resumed = run(kind, trial.dataset, tmp_path / str(share))
            _assert_same(resumed.outcome, trial.outcome)


def chosen(minis: dict[str, Dataset], method: str) -> dict[str, Dataset]:
    """One dataset of every kind, by the method's name, so that the time does not grow with methods times datasets.

    Many methods take turns over the datasets of a kind. All pairs with `BENCH_EVERY_PAIR=1`.
    """
    if os.environ.get("BENCH_EVERY_PAIR"):
        return minis
    kinds: dict[tuple[object, ...], list[str]] = {}
    for name, dataset in minis.items():
        slide = dataset.slides(Split.TEST)[0]
        fine = dataset.evaluation_grid(slide).width == 1
        kinds.setdefault((type(slide), fine, len(dataset.classes) > 2), []).append(name)
    turn = seed_of("datasets of a kind", method)
    return {name: minis[name] for names in kinds.values() for name in [sorted(names)[turn % len(names)]]}


def _assert_same(left: Outcome, right: Outcome) -> None:
    _assert_equal(left.scores, right.scores)
    assert left.history == right.history
    assert left.labels == right.labels


def _assert_equal(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for name, values in left.items():
        np.testing.assert_array_equal(values, right[name], err_msg=name)
