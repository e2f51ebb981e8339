"""Pairwise tests between runs, over the slides that both were scored on."""

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from benchmark.metrics.statistics import holm
from benchmark.reporting.paired import compare, paired_table


def rows(values, *, subset="A", first=0):
    return [{"slide": f"s{first + i}", "subset": subset, "pixel/f1": value} for i, value in enumerate(values)]


def three(count=20):
    rng = np.random.default_rng(0)
    base = rng.uniform(0.4, 0.9, count)
    return {
        "lcmil": rows(base + rng.uniform(0.02, 0.1, count)),
        "dknn": rows(base + rng.normal(0, 0.02, count)),
        "coarse": rows(base),
    }


def text(table):
    console = Console(width=120, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return " ".join(captured.get().split())


def test_pairs_are_those_of_scipy_with_holms_correction():
    runs = three()
    pairs = compare(runs, "pixel/f1")
    assert [(pair.one, pair.other) for pair in pairs] == [("lcmil", "dknn"), ("lcmil", "coarse"), ("dknn", "coarse")]
    values = {label: np.array([row["pixel/f1"] for row in run]) for label, run in runs.items()}
    raw = [stats.wilcoxon(np.round(values[pair.one] - values[pair.other], 12)).pvalue for pair in pairs]
    assert [pair.test.corrected for pair in pairs] == pytest.approx(holm(raw))
    assert pairs[0].test.means == pytest.approx((values["lcmil"].mean(), values["dknn"].mean()))


@pytest.fixture
def few(monkeypatch):
    """Fewer slides than a board takes, to be seen at a glance."""
    monkeypatch.setattr("benchmark.reporting.paired.FEWEST", 1)


def test_only_slides_that_both_have_a_value_for_count_whatever_their_order(few):
    one, other = rows([0.5, 0.6, 0.7, None, 0.9]), rows([0.1, 0.1, 0.1, 0.1, 0.1], first=1)
    (pair,) = compare({"a": one, "b": other[::-1]}, "pixel/f1")
    assert pair.test.pairs == 3
    assert pair.test.means == pytest.approx(((0.6 + 0.7 + 0.9) / 3, 0.1))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (rows([0.5] * 4, subset="B"), "different subsets: A against B"),
        (rows([0.5] * 4, subset=None), "different subsets: A against no subset"),
        (rows([0.5] * 4) + rows([0.5], subset="B", first=9), "different subsets: A against A+B"),
        (rows([0.5] * 4, first=50), "no slide in common"),
        (rows([None, None, None, None]) + rows([0.5], first=60), "no slide with pixel/f1 in both"),
    ],
)
def test_what_must_not_be_compared_is_refused_with_the_reason(other, reason, few):
    runs = {"a": rows([0.5, 0.6, 0.7, 0.8]), "b": other, "c": rows([0.4, 0.5, 0.6, 0.6])}
    pairs = {(pair.one, pair.other): pair for pair in compare(runs, "pixel/f1")}
    assert pairs["a", "b"].test.refused == reason and pairs["a", "b"].test.corrected is None
    assert pairs["a", "c"].test.corrected == pytest.approx(stats.wilcoxon([0.1, 0.1, 0.1, 0.2]).pvalue), (
        "one test, not corrected"
    )
    assert reason in text(paired_table(runs, "pixel/f1"))


def test_the_table_says_how_many_tests_it_corrected_for():
    shown = text(paired_table({**three(), "same": three()["coarse"]}, "pixel/f1"))
    assert "p corrected for 5 tests (Holm)" in shown
    assert "equal on every slide" in shown
    assert "lcmil – dknn" in shown and "****" in shown


def test_no_table_without_two_runs_that_have_the_metric():
    assert paired_table({}, "pixel/f1") is None
    assert paired_table({"a": rows([0.5])}, "pixel/f1") is None
    assert paired_table({"a": rows([0.5]), "b": rows([None])}, "pixel/f1") is None
    assert paired_table({"a": rows([0.5]), "b": rows([0.6])}, "object/f1") is None
