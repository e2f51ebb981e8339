"""Means over slides, before and after refinement, and the paired test: published vectors and figures by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.errors import PredictionError
from benchmark.metrics.segmentation import Confusion
from benchmark.metrics.statistics import stars
from benchmark.metrics.suite import SCHEMA, gather, metric_info, summarise

TRUTH = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
COARSE = [1, 1, 0, 0, 1, 0, 0, 0, 0, 0]
REFINED = [1, 0, 1, 0, 0, 1, 0, 0, 0, 0]


def slide(name, truth, coarse, refined, *, patient=None, subset=None, **more):
    """One slide of 1 × n cells whose mask is `refined`; the scores say the opposite."""
    mask = np.array([refined], bool)
    return gather(
        name,
        patient or name,
        truth=np.array([truth], np.int8),
        scores=np.where(mask, 0.1, 0.9).astype(np.float32),
        mask=mask,
        coarse=None if coarse is None else np.array([coarse], np.int8),
        unit_labels=np.array([1], np.int8),
        unit_scores=np.array([0.5], np.float32),
        subset=subset,
        **more,
    )


def test_the_published_vector():
    one = slide("s", TRUTH, COARSE, REFINED)
    assert one.annotation == one.cells == Confusion(tp=2, fp=1, fn=2, tn=5)
    summary = summarise([one])
    expected = {"accuracy": 0.7, "tpr": 0.5, "ppv": 2 / 3, "f1": 4 / 7}
    for name, value in expected.items():
        assert summary.values[f"slide/{name}"] == summary.values[f"coarse/{name}"] == pytest.approx(value)
    (row,) = summary.per_slide
    before = {name: row[f"coarse_{name}"] for name in (*expected, "npv")}
    assert before == pytest.approx({**expected, "npv": 5 / 7})
    assert (summary.values["slide/cleaned"], row["refine/cleaned"]) == pytest.approx((200 / 3, 200 / 3))
    assert (summary.values["slide/mis_modified"], row["refine/mis_modified"]) == pytest.approx((200 / 7, 200 / 7))
    assert row["valid"] is True


def test_the_mask_replaces_the_threshold_where_there_is_a_score():
    scores = np.array([[0.9, 0.1, math.nan, 0.5]], np.float32)
    given = {
        "truth": np.ones((1, 4), np.int8),
        "unit_labels": np.ones(1, np.int8),
        "unit_scores": np.ones(1, np.float32),
    }
    own = gather("s", "p", scores=scores, mask=np.array([[False, True, True, True]]), **given)
    assert own.cells == Confusion(tp=2, fn=1) and own.unscored == 1
    assert gather("s", "p", scores=scores, **given).cells == Confusion(tp=1, fn=2)
    with pytest.raises(PredictionError, match="slide 's': expected a mask of bool, got int64"):
        gather("s", "p", scores=scores, mask=np.ones((1, 4), int), **given)
    with pytest.raises(PredictionError, match="slide 's': expected mask of shape"):
        gather("s", "p", scores=scores, mask=np.ones((2, 4), bool), **given)


def test_the_annotation_is_compared_on_scored_tissue_only():
    tissue = np.array([[True] * 5 + [False] * 5])
    one = slide("s", TRUTH, COARSE, REFINED, tissue=tissue)
    assert one.annotation == Confusion(tp=2, fp=1, fn=2, tn=0)
    assert one.annotation.tp + one.annotation.fn == one.cells.tp + one.cells.fn


def test_every_slide_counts_once_and_undefined_ones_are_named():
    nothing_found = slide("b", [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0])
    large = slide("a", [1] * 30 + [0] * 10, [1] * 20 + [0] * 20, [1] * 30 + [0] * 10)
    empty = slide("c", [0, 0], [0, 1], [0, 0])
    summary = summarise([large, nothing_found, empty])
    assert summary.values["slide/accuracy"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert summary.spreads["slide/accuracy"] == pytest.approx(np.std([1, 0.5, 1], ddof=1))
    assert summary.values["slide/tpr"] == pytest.approx((1 + 0) / 2)
    assert summary.values["slide/f1"] == pytest.approx((1 + 0) / 2)
    assert summary.values["slide/ppv"] == 1.0 and "slide/ppv" not in summary.spreads
    assert summary.facts["slide/ppv:undefined"] == "2 of 3 slides have no value: no cell was predicted positive"
    assert summary.facts["slide/tpr:undefined"].startswith("1 of 3 slides have no value")
    assert "slide/accuracy:undefined" not in summary.facts
    assert summary.values["coarse/tpr"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert [row["valid"] for row in summary.per_slide] == [False, True, False]


def test_a_mean_that_no_slide_has_is_absent_with_the_reason():
    absent = summarise([slide("a", [0, 0], [0, 0], [0, 0])]).absent
    assert absent["slide/f1"] == "on every slide: no cell is positive, neither in the truth nor in the prediction"
    assert absent["coarse/ppv"] == "on every slide: nothing is annotated"
    assert absent["slide/cleaned"] == "on every slide: the coarse annotation has no wrong cell"
    assert summarise([slide("a", [0, 1], None, [0, 1])]).absent["coarse/f1"] == "1 of 1 slides lack a coarse annotation"


def rates(hits, size=100):
    """Slides whose accuracy is hits / size."""
    return [
        slide(f"s{i}", [1] * size, [1] * size, [1] * hit + [0] * (size - hit), patient=f"p{i}")
        for i, hit in enumerate(hits)
    ]


def test_the_interval_of_a_mean_is_that_of_theory():
    hits = np.random.default_rng(0).integers(20, 81, 60)
    low, high = summarise(rates(hits), resamples=4000).intervals["slide/accuracy"]
    error = hits.std() / 100 / np.sqrt(60)
    middle = hits.mean() / 100
    assert (low, high) == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=0.01)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2**6 - 1), st.integers(0, 2**6 - 1), st.integers(0, 2**6 - 1)), min_size=1))
def test_accuracy_after_follows_from_what_was_cleaned_and_broken(masks):
    """acc_after = acc_before + cleaned (1 − acc_before) − mis_modified acc_before, slide by slide (Table I)."""
    slides = [
        slide(f"s{i}", *([int(bit) for bit in f"{number:06b}"] for number in trio)) for i, trio in enumerate(masks)
    ]
    for row in summarise(slides, resamples=10).per_slide:
        before = row["coarse_accuracy"]
        cleaned, broken = ((row[f"refine/{name}"] or 0) / 100 for name in ("cleaned", "mis_modified"))
        assert row["pixel/accuracy"] == pytest.approx(before + cleaned * (1 - before) - broken * before)


def changed(count=12):
    """Slides of 40 cells, half of them positive; the coarse annotation misses i of them, the prediction one."""
    truth = [1] * 20 + [0] * 20
    return [slide(f"s{i}", truth, [0] * i + [1] * (20 - i) + [0] * 20, [0] + [1] * 19 + [0] * 20) for i in range(count)]


def test_the_paired_test_is_that_of_scipy_on_the_slides_own_values():
    summary = summarise(changed())
    rows = summary.per_slide
    for name, after, before in (
        ("refine/f1_p", "pixel/f1", "coarse_f1"),
        ("refine/accuracy_p", "pixel/accuracy", "coarse_accuracy"),
    ):
        differences = np.round([row[after] - row[before] for row in rows], 12)
        expected = stats.wilcoxon(differences[differences != 0]).pvalue
        assert summary.values[name] == pytest.approx(expected)
        assert metric_info(name).direction == "none"
    assert summary.facts["refine/f1_p:test"].endswith("over 12 slides, 11 of which change")
    assert "**" in summary.facts["refine/f1_p:test"]


def test_no_test_without_a_change():
    summary = summarise([slide("a", TRUTH, COARSE, COARSE), slide("b", TRUTH, REFINED, REFINED)])
    assert summary.absent["refine/f1_p"] == "no slide has an F1 that differs from that of the coarse annotation"


@pytest.mark.parametrize(
    ("p", "expected"),
    [(0.0501, ""), (0.05, "*"), (0.01, "**"), (1e-3, "***"), (1e-4, "****"), (0.002, "**"), (0, "****")],
)
def test_stars(p, expected):
    assert stars(p) == expected


# --- valid and invalid annotations


def mixed():
    usable = [slide(f"v{i}", TRUTH, COARSE, TRUTH, subset="A") for i in range(3)]
    useless = [slide("i0", TRUTH, [0] * 4 + [1] * 6, COARSE, subset="A"), slide("i1", TRUTH, [0] * 10, COARSE)]
    return usable, useless


def test_valid_and_invalid_annotations_are_reported_apart_beside_the_subsets():
    usable, useless = mixed()
    summary = summarise([*usable, *useless])
    for name, part in (("valid", usable), ("invalid", useless)):
        alone = summarise(part)
        for metric in ("slide/f1", "pixel/miou", "coarse/accuracy"):
            assert summary.values[f"{metric}@{name}"] == alone.values[metric]
        assert summary.spreads[f"slide/f1@{name}"] == alone.spreads["slide/f1"]
    assert "slide/f1@A" in summary.values
    text = summary.facts["coarse annotations"]
    assert text == "3 of 5 are valid (PPV and NPV on tissue cells above 0.5), 2 are not"
    assert "paired tests" not in summary.facts
    siblings = [slide(f"s{i}", TRUTH, COARSE, TRUTH, patient="p") for i in range(3)]
    assert "not independent" in summarise(siblings).facts["paired tests"]


def test_one_kind_alone_is_not_split():
    usable, useless = mixed()
    for part in (usable, useless):
        assert not {name for name in summarise(part).values if "valid" in name}
    assert not {name for name in summarise([slide("a", TRUTH, None, TRUTH)]).values if "valid" in name}


def test_hidden_means_lose_value_spread_and_fact():
    usable, useless = mixed()
    summary = summarise([*usable, *useless], hidden={"slide/*": "not here"})
    assert not {name for name in (*summary.values, *summary.spreads, *summary.facts) if name.startswith("slide/")}
    assert summary.absent["slide/f1@valid"] == "not here"


def test_new_names_change_the_schema_and_formulas_raise_its_number():
    assert SCHEMA.startswith("2-")
