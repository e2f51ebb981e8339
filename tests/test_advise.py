"""`bench advise`: which methods are named for which labels, what their labels cost, and whose figures are shown."""

import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.errors import BenchError
from benchmark.ledger import Supervision
from benchmark.registry import methods
from benchmark.reporting.advice import TASKS, advise, read_labels
from benchmark.reporting.label_cost import read_cost_model
from benchmark.reporting.leaderboard.build_boards import boards
from benchmark.reporting.leaderboard.standings_model import Leaderboard
from benchmark.stored import StoredRun

COST = read_cost_model(None)


def stored(method, value, **tags):
    usual = {
        "method": method,
        "dataset": "glas",
        "preset": "quick",
        "supervision": "patch",
        "board": "x",
        "row": method,
    }
    named = {f"bench.{name}": text for name, text in {**usual, "data_kind": "real", **tags}.items()}
    return StoredRun(f"{method}{value}", method, "FINISHED", {"pixel/miou": value, "cost/seconds": 42.0}, {}, named, "")


def test_only_methods_whose_labels_are_at_hand_are_named():
    for task in TASKS:
        for text in ("slide", "patch", "coarse", "review", "patch,full", "slide,pixel"):
            having = read_labels(text)
            for each in advise(task, having, None, None, COST):
                assert methods().load(each.method).supervision <= having, (task, text, each.method)
    named = [each.method for each in advise("clean", read_labels("coarse"), 20, None, COST)]
    assert {"lcmil", "dknn", "coarse"} <= set(named)
    assert {each.method for each in advise("segment", read_labels("patch"), 20, None, COST)} >= {"oeem", "cam-seg"}
    assert not advise("clean", read_labels("slide"), 20, None, COST)


def test_ones_own_best_real_row_comes_first_and_smoke_counts_for_nothing():
    runs = [
        stored("cam-seg", 0.6),
        stored("ohem", 0.99, preset="smoke"),
        stored("oeem", 0.7),
        stored("oeem", 0.95, data_kind="synthetic", board="y"),
        stored("oeem", 0.99, settings="slides-drawn=3", board="z"),
    ]
    found = advise("segment", frozenset({Supervision.PATCH}), 20, Leaderboard("", tuple(boards(runs, COST))), COST)
    first, second, *others = found
    assert (first.method, first.best, first.seconds, second.method) == ("oeem", "0.700", "42", "cam-seg")
    assert "glas" in first.place and {each.place for each in others} == {"not run yet"}


def test_labels_of_a_slide_are_added_up():
    cheap = replace_minutes(COST, 3.0)
    (each,) = [each for each in advise("classify", read_labels("slide"), 20, None, cheap) if each.method == "abmil"]
    assert each.expert == "60 min for 20 slides"


def test_labels_without_a_price_cost_an_unknown_time():
    unknown = COST.model_copy(update={"reviews": None})
    found = advise("annotate", read_labels("review"), None, None, unknown)
    assert found and all("unknown (reviews)" in each.expert for each in found)


def replace_minutes(cost, minutes):
    return cost.model_copy(update={"image_labels": cost.image_labels.model_copy(update={"minutes": minutes})})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--labels", "cheap"], "expected some of slide, image"),
        (["--labels", "coarse", "--task", "guess"], "expected one of segment"),
        (["--labels", "slide", "--task", "clean"], "no method does clean"),
    ],
)
def test_what_cannot_be_answered_is_said(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = CliRunner().invoke(app, ["advise", *words])
    assert isinstance(done.exception, BenchError) and said in str(done.exception)


def test_the_verb_needs_no_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = CliRunner().invoke(app, ["advise", "--slides", "4", "--labels", "coarse", "--task", "segment"])
    assert done.exit_code == 0 and "lcmil" in done.output and "too few slides (4" in done.output
    assert not list(tmp_path.iterdir()), "asking writes nothing"
