"""Small parts of a run: completeness, stages of single slides added up, the tables of refiners, a method's own mask."""

import io
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from benchmark.config import RunRequest, RunSpec, read_grid
from benchmark.errors import PredictionError, TrackingError
from benchmark.method import Prediction
from benchmark.reporting.run_names import split_settings
from benchmark.run_target import Target
from benchmark.running.closing_table import rerun_commands
from benchmark.running.comparisons import comparisons, refinement_tables
from benchmark.running.completeness import Completeness
from benchmark.running.delivery import kept
from benchmark.running.device import assigned_device, prepare
from benchmark.running.evaluate import AHEAD, Measuring, decision
from benchmark.running.outcome import Outcome
from benchmark.running.plan import plan
from benchmark.running.result import merged
from benchmark.running.run_files import decided
from benchmark.running.states import ends_all, reason_of, state_of
from benchmark.slides import Grid, ScoreMap
from benchmark.stages import StageRecord

GRID = Grid.regular((64, 48), 16)
SLIDE = SimpleNamespace(id="s1")
METHOD = SimpleNamespace(name="own")


def test_completeness_counts_names_and_tells_subsets_apart():
    whole, part = Completeness(("a", "b"), {}), Completeness(("b",), {"a": "it is truncated"})
    assert whole.share == 1 and whole.text == "all 2 slides"
    assert part.numbers() == {"data/slides_expected": 2, "data/slides_used": 1, "data/completeness": 0.5}
    assert "1 of 2" in part.text and "a: it is truncated" in part.text
    assert whole.tags()["bench.slides"] != part.tags()["bench.slides"]
    assert whole.tags()["bench.slides"] == Completeness(("b", "a"), {"c": "gone"}).tags()["bench.slides"]
    assert (whole.tags()["bench.complete"], part.tags()["bench.complete"]) == ("true", "false")


def test_stages_of_single_slides_are_added_up():
    records = [
        StageRecord("encoder", "e", 5.0, 10.0),
        StageRecord("lcmil:a:x", "d1", 1.0, 30.0, reused=True),
        StageRecord("lcmil:b:x", "d2", 2.0, 20.0),
    ]
    encoder, slides = merged(records)
    assert encoder == records[0]
    assert (slides.name, slides.seconds, slides.peak_mib, slides.reused) == ("lcmil", 3.0, 30.0, False)


def test_a_methods_own_mask_overrules_the_half():
    scores = ScoreMap(GRID, np.full(GRID.shape, 0.55, np.float32))
    mask = np.zeros(GRID.shape, bool)
    mask[1, 2] = True
    assert decision(Prediction(scores), scores, METHOD, SLIDE) is None
    np.testing.assert_array_equal(decision(Prediction(scores, mask=mask), scores, METHOD, SLIDE), mask)


def test_a_mask_comes_to_the_evaluation_grid():
    fine = Grid.pixels((64, 48))
    scores = ScoreMap(GRID, np.zeros(GRID.shape, np.float32))
    mask = np.zeros(GRID.shape, bool)
    mask[1, 2] = True
    found = decision(Prediction(scores, mask=mask), scores.on(fine), METHOD, SLIDE)
    assert found.shape == fine.shape and found.sum() == 16 * 16 and found[16:32, 32:48].all()


@pytest.mark.parametrize("mask", [np.zeros((2, 2), bool), np.zeros(GRID.shape, np.float32)])
def test_a_mask_of_another_shape_or_kind_is_refused(mask):
    scores = ScoreMap(GRID, np.zeros(GRID.shape, np.float32))
    with pytest.raises(PredictionError, match="'s1'"):
        decision(Prediction(scores, mask=mask), scores, METHOD, SLIDE)


def test_pictures_show_the_stored_mask_where_there_is_one(tmp_path):
    scores = ScoreMap(GRID, np.full(GRID.shape, 0.7, np.float32))
    assert decided(tmp_path, "s1", scores).all()
    ScoreMap(GRID, np.zeros(GRID.shape, np.float32)).save(tmp_path / "masks" / "s1.png")
    assert not decided(tmp_path, "s1", scores).any()


def outcome(method, values, variant=""):
    spec = RunSpec(method, None, "camelyon16", None, "smoke", 0, "cpu", None, 4, variant)
    rows = [{"slide": f"s{n}", "pixel/f1": value, "pixel/accuracy": value} for n, value in enumerate(values)]
    metrics = {"slide/f1": float(np.mean(values)), "slide/f1.std": 0.1, "slide/cleaned": 71.26}
    return Outcome(spec, "ok", metrics=metrics, rows=rows)


def shown(*tables):
    console = Console(width=160, record=True, file=io.StringIO())
    for table in tables:
        console.print(table)
    return console.export_text()


def test_refiners_get_the_papers_columns():
    text = shown(*refinement_tables([outcome("lcmil", [0.8, 0.9] * 3), outcome("constant", [0.1] * 6)]))
    assert "0.850 ± 0.100" in text and "71.3" in text and "mis-mod. %" in text and "constant" not in text
    assert "± 0" not in shown(*refinement_tables([outcome("lcmil", [0.8] * 5)])), "too few slides"
    assert "on camelyon16" in text and not list(refinement_tables([outcome("constant", [0.1])]))


def test_refiners_are_compared_pair_by_pair():
    low, high = np.linspace(0.1, 0.5, 12), np.linspace(0.3, 0.9, 12)
    tables = list(comparisons([outcome("coarse", low), outcome("lcmil", high), outcome("constant", low)]))
    text = shown(*tables)
    assert len(tables) == 2 and "coarse – lcmil" in text and "constant" not in text and "seed 0" in text


def test_a_grid_splits_at_commas_that_belong_to_no_value():
    assert read_grid("V=2,4,8") == ("V", [2, 4, 8])
    assert read_grid("scales=[1, 1.5]") == ("scales", [[1, 1.5]])
    assert read_grid("scales=[1,2],[3]") == ("scales", [[1, 2], [3]])
    assert read_grid("name='a,b',c") == ("name", ["a,b", "c"])
    assert read_grid("x=1") == ("x", [1])


def test_the_command_for_the_failed_ones_does_exactly_them():
    specs = [
        RunSpec("oeem", None, "glas", None, "quick", seed, "auto", "synthetic", 6, "weighting=none", "target=malignant")
        for seed in (1, 2)
    ]
    (command,) = rerun_commands(specs, RunRequest(timeout="2h", jobs=2))
    assert command == (
        "bench run --method oeem --dataset glas --preset quick --seeds 1,2 --set method.weighting=none "
        "--set dataset.target=malignant --data synthetic --synthetic-slides 6 --timeout 2h"
    )
    assert rerun_commands(specs, RunRequest(timeout="2h", jobs=0)) == [f"{command} --jobs 0"]
    target = Target("slides", SimpleNamespace(), "/theirs", label="slides")
    (moved,) = rerun_commands([replace(specs[0], settings="test=slides", target=target)])
    assert "--test slides" in moved and "--test-data /theirs" in moved
    priced = rerun_commands(specs, RunRequest(timeout="2h", cost_model=Path("prices.yaml")))
    assert priced == [command.replace("--timeout", "--cost-model prices.yaml --timeout")]


def test_the_command_for_the_failed_ones_runs_them_where_they_were():
    spec = RunSpec("oeem", None, "glas", None, "quick", 0, "auto", None, 6)
    usual = "bench run --method oeem --dataset glas --preset quick --seeds 0"
    assert rerun_commands([spec], RunRequest(on=Path("slurm.yml"), workers=4)) == [
        f"{usual} --on slurm.yml --workers 4"
    ]
    for gpus, word in (((0,), "1"), ((0, 1), "0,1"), ((2, 3), "2,3")):
        assert rerun_commands([spec], RunRequest(gpus=gpus)) == [f"{usual} --gpus {word}"]


def test_a_kept_result_that_a_power_cut_emptied_is_none(tmp_path):
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "delivery.json").write_text("")
    assert kept(tmp_path) is None


def test_a_refit_is_a_field_that_names_show_and_commands_repeat():
    spec = RunSpec("oeem", None, "glas", None, "quick", 0, "auto", None, 6, "V=2", refit=True)
    assert spec.variant == "V=2" and spec.title == "oeem refit V=2 quick seed 0"
    (command,) = rerun_commands([spec])
    assert command == "bench run --method oeem --dataset glas --preset quick --seeds 0 --refit --set method.V=2"


def test_labels_round_trip_through_the_command_line():
    asked = RunRequest(method="oeem", dataset="glas", settings=("cam_scales=[1,1.5]", "weighting=none"), preset="smoke")
    (spec,) = plan(asked)
    words = [f"method.{name}={value}" for name, value in split_settings(spec.variant).items()]
    (again,) = plan(RunRequest(method="oeem", dataset="glas", settings=tuple(words), preset="smoke"))
    assert again == spec and spec.variant == "cam_scales=[1.0,1.5] weighting=none"


def test_a_run_computes_in_float32_and_not_in_the_tf32_of_gpus():
    import torch

    torch.backends.cudnn.allow_tf32 = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare("cpu", 0)
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):
        assert {part.fp32_precision for part in (cudnn.conv, cudnn.rnn, products)} == {"ieee"}


def test_jobs_share_the_devices_there_are(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [assigned_device("auto", slot, 3) for slot in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert assigned_device("cpu", 1, 2) == "cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert assigned_device("auto", 1, 2) == assigned_device("auto", 0, 1) == "auto"


@pytest.mark.parametrize(
    "error, state, last",
    [
        (MemoryError(), "out of memory", False),
        (OSError(28, "No space left on device"), "failed", True),
        (TrackingError("the tracking server http://x cannot be reached: no"), "failed", True),
        (TrackingError("several runs start with 'a'"), "failed", False),
        (ValueError("a\nb"), "failed", False),
        (KeyboardInterrupt(), "interrupted", False),
    ],
)
def test_errors_are_told_apart(error, state, last):
    assert (state_of(error), ends_all(error)) == (state, last)
    assert reason_of(error) and "\n" not in reason_of(error)


def test_measuring_keeps_the_order_bounds_what_waits_and_raises_what_went_wrong():
    gate, begun = threading.Event(), []

    def slow(number):
        gate.wait(20)
        begun.append(number)
        return number

    with ThreadPoolExecutor(1) as pool:
        measuring = Measuring(pool)
        for number in range(AHEAD):
            measuring.add(partial(slow, number))
        assert measuring.done == begun == []
        threading.Timer(0.2, gate.set).start()
        measuring.add(partial(slow, AHEAD))
        assert measuring.done[0] == 0 and measuring.finish() == begun == list(range(AHEAD + 1))
        measuring.add(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            measuring.finish()
