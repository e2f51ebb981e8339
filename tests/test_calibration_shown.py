"""Calibration of a set of slides, and how leaderboard, report and figures show it."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.metrics.at_sensitivity import some_patients
from benchmark.metrics.calibrated import level_of, score_sums
from benchmark.metrics.calibration_report import CALIBRATION, DecisionCurve, calibrate
from benchmark.metrics.classification import clopper_pearson, spec_at_sensitivity
from benchmark.metrics.net_benefit import net_benefit
from benchmark.metrics.statistics import patient_draws, percentile_interval
from benchmark.metrics.suite import METRICS, gather
from benchmark.metrics.threshold_stability import resampled_thresholds, threshold_stability
from benchmark.reporting import calibration_figures, style
from benchmark.reporting.command import run_command
from benchmark.reporting.leaderboard.build_leaderboard import Filters, build_leaderboard
from benchmark.reporting.leaderboard.calibration_sheets import calibration_sheets
from benchmark.reporting.report.threshold_chart import spreads, threshold_chart, words
from benchmark.running.calibration_part import calibration_part
from benchmark.running.heat import fitted
from benchmark.stored import StoredRun


def cohort(slides=40, patients=None, units=1, seed=0):
    """Slides with `units` units each, whose scores are too sure."""
    rng, made = np.random.default_rng(seed), []
    for index in range(slides):
        truth = (rng.random((6, 6)) < 0.4).astype(np.int8)
        scores = np.clip(truth * 0.5 + rng.random((6, 6)) * 0.5, 0, 1).astype(np.float32)
        labels = (rng.random(units) < 0.5).astype(np.int8) if units > 1 else np.array([index % 2], np.int8)
        own = np.clip(labels * 0.3 + rng.random(units) * 0.7, 0, 1).astype(np.float32)
        patient = f"p{index % (patients or slides)}"
        made.append(gather(f"s{index}", patient, truth=truth, scores=scores, unit_labels=labels, unit_scores=own))
    return made


def test_a_level_is_its_formulas_with_intervals_over_patients():
    slides = cohort()
    level = level_of(slides, "unit", seed=4)
    labels = np.array([slide.unit_labels[0] for slide in slides])
    scores = np.array([slide.unit_scores[0] for slide in slides], float)
    assert level.values["brier"] == pytest.approx(np.mean((scores - labels) ** 2), abs=1e-12)
    draws = patient_draws(40, 1000, 4)
    by_hand = percentile_interval(draws @ (scores - labels) ** 2 / 40)
    assert level.intervals["brier"] == pytest.approx(by_hand, abs=1e-12)
    assert [bin_.count for bin_ in level.bins] == [7, 7, 6, 7, 7, 6]
    first = np.argsort(scores, kind="stable")[:7]
    assert level.bins[0].score == pytest.approx(scores[first].mean(), abs=1e-12)
    assert (level.bins[0].low, level.bins[0].high) == clopper_pearson(int(labels[first].sum()), 7)
    assert 0 < level.values["ece_chance"] < level.values["ece"] + 0.2
    cells = level_of(slides, "cell", seed=4)
    assert sum(bin_.count for bin_ in cells.bins) == 40 * 36 and "ece_chance" not in cells.values
    assert level_of(slides, "cell", seed=4) == cells


def test_what_has_no_calibration_says_why():
    slides = cohort(6)
    wrong = gather("x", "p", truth=None, scores=slides[0].unit_scores[None], unit_labels=[1], unit_scores=[1.5])
    assert (
        score_sums([*slides, wrong], "unit")
        == "1 of 7 unit scores are no numbers in [0, 1], so they are no probabilities"
    )
    assert score_sums([*slides, wrong], "cell") == "1 of 7 slides lack a fine annotation"
    assert score_sums([], "cell") == "there are no slides"
    found = calibrate(slides, absent={"unit": "the expert sees the slide"})
    assert found.levels["unit"].absent == found.decision == found.stability == "the expert sees the slide"
    assert not [name for name in found.numbers() if name.startswith("calibration/unit")]
    part = calibration_part(found, {})
    assert "units: not applicable, the expert sees the slide" in part.notes and part.summary.startswith("ECE of cells")


def test_scores_that_separate_the_validation_slides_have_no_temperature():
    slides = [replace(slide, unit_scores=0.2 + 0.3 * slide.unit_labels.astype(np.float32)) for slide in cohort(6)]
    temperatures, notes = fitted(slides, {})
    why = "the validation scores separate the classes: the best one is below 0.05"
    assert not temperatures and notes == [f"no temperature of {kind}: {why}" for kind in ("units", "cells")]


def test_the_decision_curve_is_of_slides_with_a_band_over_patients():
    slides = cohort(30, patients=10)
    curve = calibrate(slides, seed=1).decision
    assert isinstance(curve, DecisionCurve)
    labels = [slide.unit_labels[0] for slide in slides]
    scores = [slide.unit_scores[0] for slide in slides]
    np.testing.assert_allclose(curve.score, net_benefit(labels, scores), atol=1e-12)
    assert all(low <= value <= high for low, value, high in zip(curve.low, curve.score, curve.high, strict=True))
    assert (
        calibrate(cohort(8, units=3)).decision == "units are parts of slides, and nobody acts on one of them by itself"
    )


def test_the_threshold_of_a_resample_is_its_lowest_positive():
    rng = np.random.default_rng(3)
    labels, scores = (rng.random(60) < 0.5).astype(int), rng.random(60)
    patients = np.arange(60) % 20
    strata = np.bincount(patients[labels == 1], minlength=20) > 0
    draws = some_patients(strata, 50, 7)
    for row, threshold in zip(draws, resampled_thresholds(labels, scores, patients, draws), strict=True):
        kept = np.repeat(np.arange(60), row[patients].astype(int))
        assert threshold == spec_at_sensitivity(labels[kept], scores[kept]).threshold
    found = threshold_stability(labels, scores, patients, resamples=200, seed=7)
    assert found.threshold == scores[labels == 1].min() <= found.thresholds[0] <= found.thresholds[-1]
    assert found.drawn == round(20**0.7) and 0 <= found.missed < 1
    assert threshold_stability(labels * 0, scores, patients) is None


def test_the_figures_can_be_drawn(tmp_path):
    slides = cohort()
    found = calibrate(slides)
    labels = np.concatenate([slide.unit_labels for slide in slides])
    scores = np.concatenate([slide.unit_scores for slide in slides])
    drawn = {
        "reliability": calibration_figures.reliability(found.levels, {"unit": found.levels["unit"]}, title="t"),
        "decision": calibration_figures.decision(found.decision, title="t"),
        "threshold": calibration_figures.stability(found.stability, labels, scores, title="t"),
    }
    for name, figure in drawn.items():
        style.save(figure, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 8000
    texts = [text.get_text() for axes in drawn["reliability"].axes for text in axes.get_legend().get_texts()]
    assert any(text.startswith("before scaling: ECE") for text in texts)
    assert calibration_figures.reliability(calibrate([]).levels, {}, title="t") is None


def stored(method, seed, brier, threshold):
    tags = {"method": method, "dataset": "tiles", "seed": str(seed), "preset": "quick", "supervision": "image"}
    tags |= {"row": method, "board": "b", "slides": "all", "metrics_schema": "1", "data_kind": "real"}
    numbers = {
        "image/auc": 0.8,
        "calibration/unit_brier": brier,
        "calibration/unit_ece": 0.1,
        "calibration/threshold": threshold,
        "calibration/threshold.low": threshold,
        "calibration/threshold.high": threshold + 0.2,
        "calibration/threshold_missed": 0.1,
        "data/slides_used": 9.0,
        "data/slides_expected": 9.0,
    }
    named = {f"bench.{name}": value for name, value in tags.items()}
    return StoredRun(f"{method}{seed}", method, "FINISHED", numbers, {}, named, "")


def test_a_board_orders_rows_by_brier_score_and_shows_thresholds_over_seeds():
    runs = [stored("worse", 0, 0.3, 0.4), stored("better", 0, 0.1, 0.1), stored("better", 1, 0.2, 0.3)]
    board = build_leaderboard(runs, Filters(), store="s", artifacts=None)
    units, thresholds = calibration_sheets(board)
    assert [line[1] for line in units.groups[0]] == ["better quick", "worse quick"]
    assert units.groups[0][0][4:6] == ("–", "0.150 ± 0.071")
    rows = {line[1]: line[2:] for line in thresholds.groups[0]}
    assert rows["better quick"] == ("2", "0.1", "0.3", "0.2 to 0.4", "10.0%")
    row = next(row for row in board.boards[0].rows if row.method == "better")
    assert [spread.threshold for spread in spreads(row)] == [0.1, 0.3]
    assert words("better", spreads(row)) == "better: 0.1 to 0.3 over 2 seeds; resamples up to 0.5"
    from benchmark.reporting.report.looks import look

    chart = threshold_chart([(look(0), spreads(row))])
    assert len(chart.axes[0].lines) == 4


def test_a_printed_command_says_that_scores_are_scaled():
    command = run_command(
        method="abmil", dataset="glas", preset="quick", seeds=[0], variant="epochs=2 calibrated=temperature"
    )
    assert "--calibrate --set method.epochs=2" in command and "calibrated" not in command


def test_calibration_costs_no_identity_and_is_one_question_at_a_time():
    assert not set(CALIBRATION) & set(METRICS)
    result = CliRunner().invoke(app, ["leaderboard", "--calibration", "--by", "grade"])
    assert "both --by and --calibration are given" in str(result.exception)
