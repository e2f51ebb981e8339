"""Instance-level metrics against scikit-learn, and accuracy and F1 of units at Youden's validation threshold."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score

from benchmark.metrics.instance_level import BINS
from benchmark.metrics.ranked import Ranked
from benchmark.metrics.suite import gather, summarise


def slide(name, truth, scores, units=((0, 0.1), (1, 0.9))):
    labels, values = zip(*units, strict=True)
    truth = None if truth is None else np.asarray(truth, np.int8).reshape(1, -1)
    return gather(
        name,
        name,
        truth=truth,
        scores=np.asarray(scores, np.float32).reshape(1, -1),
        unit_labels=np.array(labels, np.int8),
        unit_scores=np.array(values, np.float32),
    )


def cohort(slides=6, cells=900, seed=0, digits=3):
    rng = np.random.default_rng(seed)
    made = []
    for place in range(slides):
        truth = rng.random(cells) < 0.3 * (place % 2)
        scores = np.clip(0.2 * truth + rng.random(cells) * 0.7, 0, 1).round(digits)
        scores[::50] = np.nan
        made.append((f"s{place}", truth, scores))
    return made


@pytest.mark.parametrize("digits", [1, 6])
def test_it_agrees_with_scikit_learn(digits):
    test, held_out = cohort(digits=digits), cohort(seed=1, digits=digits)
    summary = summarise([slide(*one) for one in test], validation=[slide(*one) for one in held_out], resamples=200)

    def pooled(parts):
        truth, scores = (np.concatenate([part[n] for part in parts]) for n in (1, 2))
        known = ~np.isnan(scores)
        return truth[known], scores[known].astype(np.float32)

    truth, scores = pooled(test)
    values = summary.values
    assert values["instance/auc"] == pytest.approx(roc_auc_score(truth, scores))
    assert values["instance/average_precision"] == pytest.approx(average_precision_score(truth, scores))
    precision, recall, _ = precision_recall_curve(truth, scores)
    best = np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    assert values["instance/f1_best"] == pytest.approx(best)
    precision, recall, thresholds = precision_recall_curve(*pooled(held_out))
    f1 = (2 * precision * recall / np.maximum(precision + recall, 1e-12))[:-1]
    threshold = thresholds[len(f1) - 1 - np.argmax(f1[::-1])]
    assert values["instance/threshold_at_val"] == pytest.approx(threshold)
    assert values["instance/f1_at_val"] == pytest.approx(f1_score(truth, scores >= threshold))
    assert values["instance/f1_at_val"] <= values["instance/f1_best"]
    for name in ("auc", "average_precision", "f1_at_val"):
        low, high = summary.intervals[f"instance/{name}"]
        assert low < values[f"instance/{name}"] < high
    assert "upper bound" in summary.facts["instance/f1_best:threshold"]


def test_many_distinct_scores_are_rounded_and_change_little():
    rng = np.random.default_rng(0)
    truth = rng.random(200_000) < 0.2
    scores = (rng.random(truth.size) ** 4 * (0.5 + 0.5 * truth)).astype(np.float32)
    ranked = Ranked.of(truth, scores, np.ones(truth.size, bool))
    assert ranked.values.size < 65_536 < np.unique(scores).size
    assert (ranked.positive.sum(), ranked.negative.sum()) == (truth.sum(), (~truth).sum())
    summary = summarise([slide("a", truth, scores), slide("b", truth[::-1], scores[::-1] ** 2)], resamples=50)
    known, both = np.append(truth, truth), np.append(scores, scores**2)
    assert summary.values["instance/auc"] == pytest.approx(roc_auc_score(known, both), abs=1e-4)
    low, high = summary.intervals["instance/auc"]
    assert low < summary.values["instance/auc"] < high + 1 / BINS


def test_what_is_missing_has_a_reason():
    blank = [slide("a", [0, 0, 0], [0.1, 0.2, 0.3]), slide("b", [0, 0, 0], [0.5, 0.2, 0.3])]
    absent = summarise(blank, validation=blank, resamples=10).absent
    assert "one class" in absent["instance/auc"]
    assert "no cell of the validation slides is positive" in absent["instance/f1_at_val"]
    assert "no scored cell is positive" in absent["instance/f1_best"]
    mixed = summarise([blank[0], slide("c", None, [0.1])], resamples=10)
    assert "1 of 2 slides lack a fine annotation" in mixed.absent["instance/auc"]
    untold = summarise(blank, validation=[slide("c", None, [0.1])], resamples=10)
    assert "no validation slide has a fine annotation" in untold.absent["instance/f1_at_val"]


def test_units_at_the_threshold_of_youden_on_validation():
    """The vector of the sheet as validation and, moved by one unit, as test."""
    labels, scores = [1, 1, 1, 0, 0, 0, 0, 0], [0.9, 0.6, 0.3, 0.5, 0.3, 0.2, 0.1, 0.05]
    held_out = [slide("v", [1], [0.5], list(zip(labels, scores, strict=True)))]
    same = summarise(
        [slide("t", [1], [0.5], list(zip(labels, scores, strict=True)))], validation=held_out, resamples=10
    )
    assert same.values["image/threshold_at_youden"] == pytest.approx(0.6)
    assert same.values["image/accuracy_at_youden"] == 0.875
    assert same.values["image/f1_at_youden"] == pytest.approx(0.8)
    assert same.values["image/specificity_at_100"] == pytest.approx(0.6)
    moved = summarise([slide("t", [1], [0.5], [(1, 0.59), (0, 0.6)])], validation=held_out, resamples=10)
    assert moved.values["image/accuracy_at_youden"] == 0 and moved.values["image/f1_at_youden"] == 0
    one_class = summarise(held_out, validation=[slide("v", [1], [0.5], [(0, 0.2)])], resamples=10)
    assert "one class" in one_class.absent["image/f1_at_youden"]
