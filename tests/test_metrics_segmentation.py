"""Cell-level and refinement metrics: published vectors, scikit-learn, and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.metrics import segmentation as seg
from benchmark.metrics.refinement import RefinementEvidence, accuracy_gain, cleaned, is_valid, mis_modified
from benchmark.metrics.segmentation import Confusion

law = settings(deadline=None)  # the first call imports scikit-learn or SciPy

counts = st.builds(Confusion, *[st.integers(0, 1000)] * 4)
masks = arrays(bool, (4, 5))
ALL = (
    seg.iou,
    seg.iou_background,
    seg.miou,
    seg.dice,
    seg.dice_from_miou,
    seg.f1_macro,
    seg.tpr,
    seg.ppv,
    seg.npv,
    seg.accuracy,
)


def mask(*rows):
    return np.array(rows, bool)


def test_vector_p_of_oeem():
    truth = mask([0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1])
    cells = Confusion.of(truth, mask([0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 0]))
    assert seg.iou_background(cells) == pytest.approx(0.571429, abs=2e-6)
    assert seg.iou(cells) == pytest.approx(0.625, abs=2e-6)
    assert seg.miou(cells) == pytest.approx(0.598214, abs=2e-6)
    assert seg.dice_from_miou(cells) == pytest.approx(0.748603, abs=2e-6)
    assert seg.f1_macro(cells) == pytest.approx(0.748252, abs=2e-6)


@pytest.mark.parametrize(
    ("miou", "dice"), [(65.34, 79.04), (69.61, 82.08), (75.64, 86.13), (77.56, 87.36), (86.84, 92.96)]
)
def test_vector_q_of_oeem(miou, dice):
    assert round(100 * seg.dice_of(miou / 100), 2) == dice


def test_vector_metrics_of_lcmil():
    truth = mask(1, 1, 1, 1, 0, 0, 0, 0, 0, 0)
    coarse = mask(1, 1, 0, 0, 1, 0, 0, 0, 0, 0)
    refined = mask(1, 0, 1, 0, 0, 1, 0, 0, 0, 0)
    for predicted in (coarse, refined):
        cells = Confusion.of(truth, predicted)
        assert cells == Confusion(tp=2, fp=1, fn=2, tn=5)
        values = [metric(cells) for metric in (seg.accuracy, seg.tpr, seg.ppv, seg.npv, seg.dice)]
        assert values == pytest.approx([0.7, 0.5, 0.666667, 0.714286, 0.571429], abs=2e-6)
    evidence = RefinementEvidence.of(truth, coarse, refined)
    assert cleaned(evidence) == pytest.approx(66.6667, abs=2e-4)
    assert mis_modified(evidence) == pytest.approx(28.5714, abs=2e-4)
    assert accuracy_gain(evidence) == 0


def test_whole_slide_counts_of_lcmil():
    before, after = Confusion(6994, 1552, 2356, 24479), Confusion(8885, 390, 465, 25641)
    gain = 0.881269 * (1 - seg.accuracy(before)) - 0.012423 * seg.accuracy(before)
    assert seg.accuracy(after) - seg.accuracy(before) == pytest.approx(gain, abs=2e-6)


@pytest.mark.parametrize(
    ("ppv", "npv", "valid"),
    [(0.51, 0.51, True), (0.5, 0.9, False), (0.9, 0.4, False), (None, 0.9, False), (0.9, None, False)],
)
def test_vector_validity_of_lcmil(ppv, npv, valid):
    assert is_valid(ppv, npv) is valid


def test_undefined_is_none_and_not_zero():
    nothing_predicted = Confusion(tp=0, fp=0, fn=3, tn=5)
    assert seg.ppv(nothing_predicted) is None
    assert seg.tpr(nothing_predicted) == 0
    nothing_there = Confusion(tn=5)
    assert [metric(nothing_there) for metric in (seg.iou, seg.miou, seg.dice, seg.tpr)] == [None] * 4
    assert seg.accuracy(nothing_there) == 1
    assert [metric(Confusion()) for metric in ALL] == [None] * len(ALL)
    perfect = RefinementEvidence.of(mask(1, 0), mask(1, 0), mask(1, 1))
    assert (cleaned(perfect), mis_modified(perfect)) == (None, 50)


def test_only_cells_inside_count():
    truth, predicted, where = mask(1, 1, 0, 0), mask(1, 0, 1, 0), mask(0, 1, 1, 0)
    assert Confusion.of(truth, predicted, where) == Confusion(tp=0, fp=1, fn=1, tn=0)
    assert RefinementEvidence.of(truth, truth, predicted, where) == RefinementEvidence(right=2, broken=2)


def test_many_sums_at_once_give_the_same_as_one_by_one():
    pieces = [Confusion(3, 1, 2, 9), Confusion(tn=4), Confusion(1, 0, 0, 0)]
    columns = Confusion.columns(pieces)
    for metric in ALL:
        expected = [np.nan if value is None else value for value in map(metric, pieces)]
        np.testing.assert_array_equal(metric.many(columns), expected)


@law
@given(masks, masks, masks)
def test_against_scikit_learn(truth, predicted, where):
    from sklearn import metrics as sk

    y, p = truth[where], predicted[where]
    cells = Confusion.of(truth, predicted, where)
    assert cells == Confusion(*(int(np.sum((y == a) & (p == b))) for a, b in ((1, 1), (0, 1), (1, 0), (0, 0))))
    if not (y | p).any() or (y & p).all():
        return
    options = {"labels": [0, 1], "zero_division": 0}
    assert seg.iou(cells) == pytest.approx(sk.jaccard_score(y, p, zero_division=0))
    assert seg.miou(cells) == pytest.approx(sk.jaccard_score(y, p, average="macro", **options))
    assert seg.f1_macro(cells) == pytest.approx(sk.f1_score(y, p, average="macro", **options))
    assert seg.dice(cells) == pytest.approx(sk.f1_score(y, p, zero_division=0))
    assert seg.accuracy(cells) == pytest.approx(sk.accuracy_score(y, p))
    if y.any() and p.any():
        assert seg.tpr(cells) == pytest.approx(sk.recall_score(y, p))
        assert seg.ppv(cells) == pytest.approx(sk.precision_score(y, p))


@law
@given(masks, masks)
def test_swapping_the_classes_keeps_the_symmetric_metrics(truth, predicted):
    cells, swapped = Confusion.of(truth, predicted), Confusion.of(~truth, ~predicted)
    for metric in (seg.miou, seg.dice_from_miou, seg.f1_macro, seg.accuracy):
        assert metric(cells) == metric(swapped)
    assert seg.iou(cells) == seg.iou_background(swapped)
    assert seg.ppv(cells) == seg.npv(swapped)


@law
@given(counts)
def test_macro_f1_never_exceeds_dice_from_miou(cells):
    if seg.miou(cells) is not None:
        assert seg.f1_macro(cells) <= seg.dice_from_miou(cells) + 1e-12
        assert seg.dice_from_miou(cells) == pytest.approx(seg.dice_of(seg.miou(cells)))


@law
@given(counts, counts)
def test_pooling_adds_counts(one, other):
    pooled = one + other
    assert (pooled.tp, pooled.fp, pooled.fn, pooled.tn) == (
        one.tp + other.tp,
        one.fp + other.fp,
        one.fn + other.fn,
        one.tn + other.tn,
    )


@law
@given(masks, masks, masks, masks)
def test_identity_of_the_refinement(truth, coarse, refined, where):
    before, after = Confusion.of(truth, coarse, where), Confusion.of(truth, refined, where)
    evidence = RefinementEvidence.of(truth, coarse, refined, where)
    if not where.any():
        assert accuracy_gain(evidence) is None
        return
    share = seg.accuracy(before)
    gain = (cleaned(evidence) or 0) / 100 * (1 - share) - (mis_modified(evidence) or 0) / 100 * share
    assert seg.accuracy(after) == pytest.approx(share + gain)
    assert accuracy_gain(evidence) == pytest.approx(100 * gain, abs=1e-9)
