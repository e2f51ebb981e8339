from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as reference

from benchmark.metrics import multiclass, segmentation
from benchmark.metrics.evidence import Embedded, SlideEvidence, gather, uncounted
from benchmark.metrics.retrieval import neighbour_hits
from benchmark.metrics.segmentation import Confusion
from benchmark.metrics.suite import summarise

NAMES = ("ADI", "STR", "TUM", "LYM")


def maps(seed: int, cells: int = 200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, cells)
    return truth, np.where(rng.random(cells) < 0.6, truth, rng.integers(0, classes, cells))


@pytest.mark.parametrize("classes", [4, 3])  # with 3, the last class is nowhere
def test_formulas_agree_with_scikit_learn(classes: int) -> None:
    truth, predicted = maps(1, classes=classes)
    matrix = multiclass.confusion_matrix(truth, predicted, 4)
    labels = list(range(4))
    np.testing.assert_array_equal(matrix, reference.confusion_matrix(truth, predicted, labels=labels))
    assert float(multiclass.accuracy(matrix)) == pytest.approx(reference.accuracy_score(truth, predicted))
    kinds = {"labels": labels, "zero_division": 1.0}
    for own, other in (
        (multiclass.f1_per_class, reference.f1_score),
        (multiclass.jaccard_per_class, reference.jaccard_score),
    ):
        np.testing.assert_allclose(own(matrix), other(truth, predicted, average=None, **kinds))
    expected = reference.f1_score(truth, predicted, average="macro", **kinds)
    assert float(multiclass.f1_macro(matrix)) == pytest.approx(expected)
    expected = reference.jaccard_score(truth, predicted, average="macro", **kinds)
    assert float(multiclass.jaccard_macro(matrix)) == pytest.approx(expected)
    assert np.isnan(multiclass.f1_macro(np.zeros((4, 4), np.int64)))


def test_worked_example_of_two_classes() -> None:
    counts = Confusion(tp=80, fp=10, fn=20, tn=890)
    assert segmentation.f1_macro_or_one(counts) == pytest.approx(0.912765, abs=1e-6)
    assert segmentation.jaccard_macro_or_one(counts) == pytest.approx(0.847332, abs=1e-6)
    assert segmentation.f1_macro_or_one(Confusion(tn=5)) == 1.0
    assert segmentation.f1_macro_or_one(Confusion()) is None


def slide(number: int, **more: object) -> SlideEvidence:
    truth, predicted = maps(number)
    binary = (truth == 2).astype(np.int8)[None]
    evidence = gather(
        f"s{number}",
        f"p{number}",
        truth=binary,
        scores=(predicted == 2).astype(np.float32)[None],
        unit_labels=binary[0],
        unit_scores=np.zeros(truth.size, np.float32),
    )
    return replace(evidence, classes=multiclass.confusion_matrix(truth, predicted, 4), **more)


def test_classes_are_pooled_reported_per_class_and_per_slide() -> None:
    slides = [slide(number) for number in range(3)]
    summary = summarise(slides, classes=NAMES, resamples=50)
    truth, predicted = (np.concatenate(parts) for parts in zip(*map(maps, range(3)), strict=True))
    assert summary.values["class/accuracy"] == pytest.approx(np.mean(truth == predicted))
    assert summary.values["class/f1/TUM"] == pytest.approx(reference.f1_score(truth == 2, predicted == 2))
    assert summary.values["class/f1/TUM"] == pytest.approx(summary.values["pixel/f1"])
    low, high = summary.intervals["class/f1_macro"]
    assert low < summary.values["class/f1_macro"] < high
    assert summary.classes == list(NAMES) and np.array(summary.confusion).sum() == truth.size
    own = maps(1)
    assert summary.per_slide[1]["class/accuracy"] == pytest.approx(np.mean(own[0] == own[1]))


def test_a_slide_that_nobody_counts_takes_no_figure_over_classes_from_the_others() -> None:
    slides = [slide(number) for number in range(3)]
    units = {"unit_labels": np.array([1], np.int8), "unit_scores": np.array([0.9], np.float32)}
    gap = uncounted("gap", "gap", scores=np.zeros((1, 4), np.float32), **units)
    alone, beside = (summarise(each, classes=NAMES, resamples=50) for each in (slides, [*slides, gap]))
    figures = {name: value for name, value in alone.values.items() if name.startswith("class/")}
    assert figures and figures.items() <= beside.values.items()
    assert beside.confusion == alone.confusion and "class/f1_macro" in beside.intervals


def test_why_there_are_no_figures_over_classes() -> None:
    two = summarise([slide(0)], classes=("normal", "tumour"), resamples=10)
    assert "two classes" in two.absent["class/accuracy"] and not two.confusion
    binary = summarise([replace(slide(0), classes=None)], classes=NAMES, resamples=10)
    assert "positive class alone" in binary.absent["class/f1_macro"]
    assert binary.values["pixel/f1"] == summarise([slide(0)], classes=NAMES, resamples=10).values["pixel/f1"]
    assert "no embeddings" in binary.absent["retrieval/p_at_10"]


def test_retrieval_is_leave_one_out_over_all_slides() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    values = labels[:, None] * 1.5 + rng.normal(0, 1, (60, 4))
    halves = [Embedded(values[half::2], labels[half::2].astype(np.int64)) for half in (0, 1)]
    slides = [slide(number, embedded=own) for number, own in enumerate(halves)]
    summary = summarise(slides, classes=NAMES, resamples=10)
    from sklearn.neighbors import NearestNeighbors

    joined, known = np.concatenate([own.values for own in halves]), np.concatenate([own.labels for own in halves])
    nearest = NearestNeighbors(n_neighbors=11).fit(joined).kneighbors(joined, return_distance=False)[:, 1:]
    right = known[nearest] == known[:, None]
    by_class = [right[known == label] for label in range(3)]
    mean, perfect = (np.mean([f(part) for part in by_class]) for f in (np.mean, lambda part: part.all(axis=1).mean()))
    assert summary.values["retrieval/p_at_10"] == pytest.approx(mean) and 0.5 < mean < 1
    assert summary.values["retrieval/perfect_p_at_10"] == pytest.approx(perfect) and perfect < mean
    assert "60 cells" in summary.facts["retrieval/p_at_10:queries"]


def test_ties_among_neighbours_go_to_the_lower_index() -> None:
    points = np.zeros((15, 2))
    labels = np.array([0] * 10 + [1] * 5)
    assert neighbour_hits(points, labels)[0] == 9  # the ten first others: nine of class 0 and item 10
    assert neighbour_hits(points, labels)[12] == 0
