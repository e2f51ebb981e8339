"""The leaderboard: which runs stand together, how they are ranked, and that reading is the same by every way."""

import csv
import io
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from typer.testing import CliRunner

import benchmark
from benchmark.cli import app, main
from benchmark.commands.leaderboard import store_words
from benchmark.config import RunRequest
from benchmark.errors import BenchError, ConfigError
from benchmark.metrics.statistics import holm, wilcoxon
from benchmark.notebook import read_leaderboard
from benchmark.reporting.leaderboard import leaderboard_tables as show
from benchmark.reporting.leaderboard.build_boards import boards
from benchmark.reporting.leaderboard.build_leaderboard import Filters, build_leaderboard
from benchmark.reporting.leaderboard.leaderboard_frame import DTYPES, as_csv
from benchmark.reporting.leaderboard.standings import rank_rows
from benchmark.reporting.leaderboard.standings_model import Leaderboard
from benchmark.reporting.references import Reference
from benchmark.reporting.report.repeat_commands import repeat_command
from benchmark.reporting.report.report_tables import verdict
from benchmark.running import matrix
from benchmark.stored import StoredRun
from benchmark.tracking.store import Tracker

SLIDES = [f"slide{number:02d}" for number in range(20)]


def stored(method, value, *, seed=0, ended=0, metrics=None, **tags):
    """A finished run as the store has it; what matters can be changed."""
    usual = {
        "bench.method": method,
        "bench.dataset": "tiles",
        "bench.supervision": "patch",
        "bench.preset": "quick",
        "bench.seed": str(seed),
        "bench.row": f"row of {method}",
        "bench.board": "data1",
        "bench.slides": "all",
        "bench.complete": "true",
        "bench.data_kind": "real",
        "bench.metrics_schema": "1",
        "bench.code": "1.0",
    }
    numbers = {"pixel/miou": value, "data/slides_used": 20, "data/slides_expected": 20, **(metrics or {})}
    tags = {**usual, **{f"bench.{name}": text for name, text in tags.items()}}
    identity = f"{method}-{seed}-{ended}-{tags['bench.slides']}"
    return StoredRun(identity, method, "FINISHED", numbers, {}, tags, "", ended=ended)


def test_seeds_become_one_row_with_mean_spread_and_interval():
    ends = [{"pixel/miou.low": low, "pixel/miou.high": low + 0.2} for low in (0.3, 0.4, 0.5)]
    runs = [stored("a", value, seed=seed, metrics=ends[seed]) for seed, value in enumerate((0.4, 0.5, 0.6))]
    (board,) = boards(runs, None)
    (row,) = board.rows
    figure = row.figures["pixel/miou"]
    assert row.seeds == (0, 1, 2) and figure.mean == pytest.approx(0.5) and figure.std == pytest.approx(0.1)
    assert (figure.low, figure.high) == (pytest.approx(0.4), pytest.approx(0.6))


def test_the_newest_complete_run_of_a_seed_counts():
    old, new = stored("a", 0.4, ended=1), stored("a", 0.6, ended=2)
    broken = stored("a", 0.9, ended=3, complete="false", slides="some", metrics={"data/slides_used": 19})
    (board,) = boards([broken, new, old], None)
    assert board.rows[0].mean("pixel/miou") == 0.6 and board.complete
    (only,) = boards([broken], None)
    assert not only.complete and "19 of 20 slides, incomplete" in only.title


def test_what_must_not_be_ranked_together_stands_apart():
    base = stored("a", 0.5)
    others = [
        stored("b", 0.5, data_kind="synthetic"),
        stored("b", 0.5, slides="others"),
        stored("b", 0.5, board="data2"),
        stored("b", 0.5, metrics_schema="2"),
    ]
    for other in others:
        assert len(boards([base, other], None)) == 2
    assert len(boards([base, stored("b", 0.5)], None)) == 1


def test_a_preset_that_changed_leaves_its_older_runs_out():
    new, old = stored("a", 0.6, ended=2), stored("a", 0.4, seed=1, ended=1, row="as it was")
    (board,) = boards([new, old], None)
    assert board.rows[0].seeds == (0,) and "older runs with other parameters" in board.notes[0]


def tables(**values):
    """Slide rows by method: a value per slide."""
    return lambda run: DataFrame({"slide": SLIDES, "pixel/miou": values[run.name]})


def test_ranks_follow_from_corrected_tests_and_ties_are_ties():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.4, 0.6, 20)
    values = {"a": base, "b": base + rng.normal(0, 0.01, 20), "c": base - 0.2 + rng.normal(0, 0.01, 20)}
    (board,) = boards([stored(name, float(np.mean(v))) for name, v in values.items()], None)
    board = rank_rows(board, tables(**values), lambda run: DataFrame())
    ranks = {label.split()[0]: standing for label, standing in board.standings["pixel/miou"].items()}
    assert ranks["a"].rank == ranks["b"].rank == 1 and ranks["a"].tied and ranks["a"].text == "1="
    assert ranks["c"].rank == 3 and not ranks["c"].tied and ranks["c"].tested
    expected = holm([wilcoxon(values[x], values[y]).p for x, y in (("a", "b"), ("a", "c"), ("b", "c"))])
    found = {frozenset((t.one.split()[0], t.other.split()[0])): t.p for t in board.tests}
    assert [found[frozenset(pair)] for pair in ("ab", "ac", "bc")] == pytest.approx(expected)


def test_a_row_that_is_better_on_few_slides_by_much_and_worse_on_most_is_a_tie():
    steady = np.linspace(0.5, 0.6, 20)
    values = {"torn": steady + np.r_[0.3, 0.3, np.full(18, -0.01)], "steady": steady, "worse": steady - 0.05}
    (board,) = boards([stored(name, float(np.mean(v))) for name, v in values.items()], None)
    board = rank_rows(board, tables(**values), lambda run: DataFrame())
    test = next(test for test in board.tests if {test.one, test.other} == {"torn quick", "steady quick"})
    assert test.p < 0.05 and (test.difference, test.direction) == (pytest.approx(0.021), -1)
    ranks = {label.split()[0]: standing.text for label, standing in board.standings["pixel/miou"].items()}
    assert ranks == {"torn": "1=", "steady": "1=", "worse": "3"}
    assert verdict(test) == "tie: ranks and mean disagree"


def test_a_row_that_cannot_be_paired_takes_no_rank_from_the_others():
    values = {"a": np.linspace(0.5, 0.6, 20), "b": np.linspace(0.3, 0.4, 20), "lost": np.linspace(0.4, 0.5, 20)}
    (board,) = boards([stored(name, float(np.mean(v))) for name, v in values.items()], None)
    empty = lambda run: DataFrame() if run.name == "lost" else tables(**values)(run)  # noqa: E731
    board = rank_rows(board, empty, lambda run: DataFrame())
    ranks = {label.split()[0]: standing.text for label, standing in board.standings["pixel/miou"].items()}
    assert ranks == {"a": "1", "lost": "(2)", "b": "2"}


def test_tracks_are_never_tested_against_each_other():
    values = {"a": np.linspace(0.4, 0.6, 20), "b": np.linspace(0.1, 0.2, 20)}
    (board,) = boards([stored("a", 0.5), stored("b", 0.15, supervision="full")], None)
    board = rank_rows(board, tables(**values), lambda run: DataFrame())
    assert not board.tests and not board.standings["pixel/miou"], "who is alone in a track has no rank"
    assert list(board.tracks()) == ["full", "patch"]


def test_nothing_is_tested_on_fewer_than_six_slides():
    values = {"a": np.linspace(0.4, 0.6, 5), "b": np.linspace(0.1, 0.2, 5)}
    rows = lambda run: DataFrame({"slide": list("abcde"), "pixel/miou": values[run.name]})  # noqa: E731
    (board,) = boards([stored("a", 0.5), stored("b", 0.15)], None)
    board = rank_rows(board, rows, lambda run: DataFrame())
    assert [test.refused for test in board.tests] == ["too few slides (5, at least 6)"]
    assert [standing.text for standing in board.standings["pixel/miou"].values()] == ["(1)", "(2)"]


def test_rows_beyond_the_contenders_are_ranked_by_their_mean_and_said_to_be():
    names = [f"m{number}" for number in range(6)]
    values = {name: np.linspace(0.3, 0.5, 20) + place / 100 for place, name in enumerate(names)}
    (board,) = boards([stored(name, float(v.mean())) for name, v in values.items()], None)
    board = rank_rows(board, tables(**values), lambda run: DataFrame(), contenders=3)
    last = board.standings["pixel/miou"]["m0 quick"]
    assert last.rank == 6 and not last.tested and last.text == "(6)"
    assert len(board.tests) == 3


def test_auc_is_compared_by_delong_on_units():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 80)
    good, bad = labels + rng.normal(0, 0.4, 80), labels * 0.2 + rng.normal(0, 1, 80)
    units = {"a": good, "b": bad}
    fetch = lambda run: DataFrame(  # noqa: E731
        {
            "slide": [f"s{n % 8}" for n in range(80)],
            "patient": "p",
            "unit": range(80),
            "label": labels,
            "score": units[run.name],
        }
    )
    (board,) = boards(
        [stored("a", 0.5, metrics={"image/auc": 0.9}), stored("b", 0.5, metrics={"image/auc": 0.6})], None
    )
    board = rank_rows(board, lambda run: DataFrame(), fetch)
    (test,) = [test for test in board.tests if test.metric == "image/auc"]
    assert test.kind == "DeLong, seed 0" and test.pairs == 80 and test.p < 0.01 and test.difference > 0
    assert board.standings["image/auc"]["b quick"].rank == 2


def test_lower_is_better_where_it_is():
    runs = [stored("a", 0.5, metrics={"object/hausdorff": 10.0}), stored("b", 0.5, metrics={"object/hausdorff": 90.0})]
    for run in runs:
        del run.metrics["pixel/miou"]
    (board,) = boards(runs, None)
    near = {"a": np.linspace(5, 15, 20), "b": np.linspace(80, 100, 20)}
    rows = lambda run: DataFrame({"slide": SLIDES, "object/hausdorff": near[run.name]})  # noqa: E731
    board = rank_rows(board, rows, lambda run: DataFrame())
    ranks = {label: standing.rank for label, standing in board.standings["object/hausdorff"].items()}
    assert ranks == {"a quick": 1, "b quick": 2}


@pytest.fixture
def filled(store, miniatures):
    """A store with real runs: two constants and two seeds on a miniature, one failure."""
    common = {"dataset": "glas", "data": str(miniatures["glas"]), "store": store, "device": "cpu", "preset": "smoke"}
    matrix.run_all(RunRequest(method="constant,constant:value=0", seeds=(0, 1), jobs=0, **common))
    matrix.run_all(RunRequest(method="coarse", jobs=0, **common))
    return store


def test_a_real_store_on_every_way_of_showing_it(filled):
    found = read_leaderboard(Tracker(filled), Filters())
    (board,) = found.boards
    assert (
        board.synthetic
        and board.complete
        and {row.label for row in board.rows}
        == {
            "constant smoke",
            "constant value=0.0 smoke",
            "coarse smoke",
        }
    )
    row = next(row for row in board.rows if row.method == "coarse")
    assert row.supervision == "coarse" and row.minutes and "image/auc" not in row.figures
    assert not board.published, "published numbers say nothing about synthetic data"
    text = show.as_markdown(found, Filters(), pairs=True)
    assert "(synthetic)" in text and "| none | " in text and "paired tests" in text
    assert text.endswith("numbers of papers are not shown beside them.\n")
    lines = list(csv.DictReader(io.StringIO(as_csv(found, Filters(metrics=("pixel/miou",))))))
    assert {line["metric"] for line in lines} == {"pixel/miou"} and len(lines) == 3
    content = json.loads(show.as_json(found))
    rows = {line["label"]: line for line in content["boards"][0]["rows"]}
    assert rows["constant smoke"]["figures"]["pixel/miou"]["std"] is not None
    (run,) = [run for run in Tracker(filled).runs("glas-synthetic") if run.tags["bench.method"] == "coarse"]
    shown = next(line for line in lines if line["method"] == "coarse")
    assert float(shown["mean"]) == run.metrics["pixel/miou"] and shown["runs"] == run.id


def test_reading_quickly_and_through_mlflow_gives_the_same(filled, monkeypatch):
    wanted = {"metrics": ("pixel/miou", "labels/", "cost/")}
    tracker = Tracker(filled)
    quick = tracker.stored(**wanted)
    identity = quick[0].tags["bench.identity"]
    quick_one = tracker.stored(experiments=["glas-synthetic"], identities=[identity], **wanted)
    monkeypatch.setattr("benchmark.tracking.store.read_sqlite", lambda *args, **named: None)
    assert tracker.stored(**wanted) == quick
    assert tracker.stored(experiments=["glas-synthetic"], identities=[identity], **wanted) == quick_one
    assert len(quick_one) == 1 and quick_one[0].metrics["pixel/miou"] == quick[0].metrics["pixel/miou"]


def test_published_numbers_stand_beside_ours_with_the_gap():
    reference = Reference(
        paper="Nobody 2020",
        source="Table 1",
        label="A",
        method="a",
        dataset="tiles",
        dataset_title="Tiles",
        subset=None,
        metric="pixel/miou",
        value=0.7,
        spread=None,
        interval=None,
        protocol="official split",
        supervision=None,
        note="",
    )
    from benchmark.reporting.leaderboard.build_leaderboard import _beside, _published
    from benchmark.reporting.leaderboard.leaderboard_tables import _beside as lines_beside

    (board,) = boards([stored("a", 0.6), stored("a", 0.8, preset="paper", row="other")], None)
    beside = _beside(board, reference)
    assert beside.row == "a paper" and beside.gap == pytest.approx(0.1), "the paper's parameters come first"
    assert _beside(board, replace(reference, method="z")).ours is None
    (smoke,) = boards([stored("a", 0.6, preset="smoke")], None)
    assert _beside(smoke, reference).ours is None and _published(board, [reference])[0].ours == pytest.approx(0.8)
    assert not _published(replace(board, settings="slides-drawn=4"), [reference]), "a draw is no result"
    for other in (
        _beside(board, replace(reference, quoted="another paper: 128 px; best epoch on the test images")),
        _beside(replace(board, settings="protocol=patient"), reference),
    ):
        assert other.ours == pytest.approx(0.8) and other.gap is None, "no gap between two protocols"
        assert lines_beside(other, board.names)[-2] == "other protocol"


def test_mean_ranks_over_datasets_keep_real_and_synthetic_apart(monkeypatch):
    from benchmark.reporting.leaderboard.across import mean_ranks

    runs = [
        stored(method, value + 0.1 * place, dataset=f"d{place}", board=f"data{place}", data_kind=kind)
        for kind in ("real", "synthetic")
        for place in range(3)
        for method, value in (("a", 0.5), ("b", 0.4), ("c", 0.3))
    ]
    found = mean_ranks(boards(runs, None))
    assert [ranks.synthetic for ranks in found] == [False, True]
    assert found[0].ranks == {"a quick": 1.0, "b quick": 2.0, "c quick": 3.0} and found[0].datasets == 3
    assert found[0].critical_difference == pytest.approx(2.343 * np.sqrt(3 * 4 / 18), abs=1e-3)
    one = [run for run in runs if not (run.name == "c" and run.tags["bench.dataset"] == "d1")]
    assert set(mean_ranks(boards(one, None))[0].ranks) == {"a quick", "b quick"}, "a row must stand on every board"

    def fold(number, values):
        settings = f"protocol=patient fold={number}"
        return [
            stored(method, value, dataset="d0", board=f"fold{number}", settings=settings) for method, value in values
        ]

    folds = [*fold(1, [("a", 0.1), ("b", 0.9), ("c", 0.0)]), *fold(2, [("a", 0.1), ("b", 0.9), ("c", 0.0)])]
    (real, _) = mean_ranks(boards([*runs, *folds], None))
    assert (real.datasets, len(real.boards)) == (3, 5) and real.critical_difference == found[0].critical_difference
    assert real.ranks == {"a quick": pytest.approx(4 / 3), "b quick": pytest.approx(5 / 3), "c quick": 3.0}
    assert not mean_ranks(boards(folds, None)), "folds of one dataset are no datasets"


def test_failures_are_listed_until_they_are_mended(store, miniatures):
    tracker = Tracker(store)
    tags = stored("lost", 0.0, state="timed out", reason="stopped after 5 s", variant="V=2").tags
    tracker.record(experiment="tiles", description="t", name="lost", tags=tags)
    (failure,) = read_leaderboard(tracker, Filters()).failures
    assert failure.state == "timed out" and failure.label == "lost V=2 quick"
    assert failure.command == "bench run --method lost --dataset tiles --preset quick --seeds 0 --set method.V=2"


def test_the_command_of_a_row_does_the_same_run_again(filled, tmp_path, monkeypatch):
    found = read_leaderboard(Tracker(filled), Filters(), tests=False, options=store_words(filled))
    (board,) = found.boards
    row = next(row for row in board.rows if row.method == "coarse")
    words = shlex.split(repeat_command(board, row, found.options))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'another.db'}")
    with pytest.raises(SystemExit) as ended:
        main([*words[1:], "--jobs", "0"])
    assert not ended.value.code and not (tmp_path / "another.db").exists()
    again = [run for run in Tracker(filled).stored() if run.tag("method") == "coarse" and run.status == "FINISHED"]
    assert len(again) == 2 and len({run.tag("identity") for run in again}) == 1
    assert shlex.join(words[words.index("--data") :]) == (
        f"--data {board.rows[0].runs[0].tag('data')} --device cpu --store {filled} --force"
    )


def test_printed_commands_name_no_password():
    assert store_words("postgresql://me:secret@host/runs") == ["--store", "postgresql://host/runs"]
    assert store_words(None) == []


def test_the_command_line(filled, tmp_path):
    run = CliRunner().invoke
    result = run(app, ["leaderboard", "--store", filled])
    assert result.exit_code == 0 and "constant value=0.0" in result.output and "rank" in result.output
    out = tmp_path / "board.md"
    assert run(app, ["leaderboard", "--store", filled, "--format", "markdown", "--out", str(out)]).exit_code == 0
    assert out.read_text().startswith("### glas")
    for words, error in (
        (["--metric", "pixel/miuo"], "did you mean 'pixel/miou'"),
        (["--metric", "auc"], "did you mean 'image/auc' or 'instance/auc'"),
        (["--tag", "device"], "--tag"),
        (["--method", "nobody"], "no run"),
        (["--out", str(tmp_path / "no" / "x.csv"), "--format", "csv"], "no folder"),
        (["--store", f"sqlite:///{tmp_path}/none.db"], "no runs are stored yet"),
    ):
        failed = run(app, ["leaderboard", "--store", filled, *words])
        assert isinstance(failed.exception, BenchError) and error in str(failed.exception), (words, failed.exception)


def test_an_empty_store_is_filled_by_a_run_not_by_dropping_filters(store):
    for words, fix in (([], "bench run "), (["--dataset", "glas"], "bench leaderboard ")):
        failed = CliRunner().invoke(app, ["leaderboard", "--store", store, *words])
        assert isinstance(failed.exception, BenchError) and failed.exception.fix.startswith(fix), words


def test_numbers_that_are_not_in_the_store_are_read_from_the_runs_file(tmp_path):
    """Old runs have all in the store; where the file of a new one is lost, the board says so and keeps the rest."""
    (tmp_path / "metrics.json").write_text(json.dumps({"numbers": {"pixel/miou.low": 0.4, "pixel/miou.high": 0.6}}))
    runs = [stored("a", 0.5, numbers="metrics.json"), stored("b", 0.5)]

    class Here:
        def fetch(self, run, path):
            return [tmp_path / path] if (tmp_path / path).exists() else []

    def board():
        (only,) = build_leaderboard(runs, Filters(), store="", artifacts=Here(), published=[], tests=False).boards
        return only, [(row.method, row.figures["pixel/miou"].low) for row in only.rows]

    only, lows = board()
    assert sorted(lows, key=str) == [("a", 0.4), ("b", None)] and not only.notes
    (tmp_path / "metrics.json").unlink()
    only, lows = board()
    assert sorted(lows) == [("a", None), ("b", None)]
    assert only.notes[0].startswith("1 runs without intervals and figures of subsets; the first: Run ")


def test_filters_choose():
    runs = [stored("a", 0.5), stored("b", 0.5, supervision="full"), stored("a", 0.5, preset="paper", device="cuda:0")]
    chosen = lambda **wanted: [run.id for run in runs if Filters(**wanted).admits(run)]  # noqa: E731
    assert len(chosen(methods=("a",))) == 2 and len(chosen(supervision=("full",))) == 1
    assert len(chosen(presets=("paper",))) == 1 and len(chosen(tags=(("device", "cuda:0"),))) == 1
    assert chosen(datasets=("elsewhere",)) == [] and len(chosen()) == 3
    with pytest.raises(ConfigError, match="no metric"):
        Filters(metrics=("nonsense",))


def test_a_notebook_gets_the_runs_and_the_leaderboard_as_data_frames(filled):
    runs = benchmark.results(filled)
    assert len(runs) == 5 and runs.index.name == "run" and runs["seed"].dtype == "Int64"
    assert set(runs["method"]) == {"constant", "coarse"} and runs["synthetic"].all() and (runs["state"] == "ok").all()
    assert str(runs["ended"].dtype) == "datetime64[ms, UTC]" and (runs["ended"] >= runs["started"]).all()
    kept = {run.id: run.metrics for run in Tracker(filled).runs("glas-synthetic")}
    assert runs["pixel/miou"].to_dict() == {run: metrics["pixel/miou"] for run, metrics in kept.items()}
    assert list(benchmark.results(filled, method="coarse", metrics=["pixel/miou"]).columns[-1:]) == ["pixel/miou"]
    board = benchmark.leaderboard("glas", store=filled)
    assert board.dtypes.to_dict() == {name: pd.Series(dtype=dtype).dtype for name, dtype in DTYPES.items()}
    wide = board.pivot_table("mean", ["method", "variant", "preset"], "metric")
    plain = runs.query("variant == '' and method == 'constant'")
    assert wide.loc[("constant", "", "smoke"), "pixel/miou"] == plain["pixel/miou"].mean()
    written = as_csv(read_leaderboard(Tracker(filled), Filters()), Filters())
    text = pd.read_csv(io.StringIO(written), keep_default_na=False)
    assert list(text.columns) == list(board.columns) and len(text) == len(board)
    assert list(map(float, text["mean"])) == list(board["mean"])
    assert benchmark.results(filled, dataset="elsewhere").empty
    assert benchmark.leaderboard("elsewhere", store=filled).empty


def test_the_examples_of_the_notebook_page_run(filled, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", filled)
    text = (Path(__file__).parent.parent / "docs" / "notebook.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    shared = {}
    for block in blocks:
        exec(block.replace('"oeem"', '"constant"'), shared)
    assert len(blocks) > 1 and len(shared["runs"]) == 5
    assert capsys.readouterr().out.count("constant") >= 2


def test_tables_name_a_row_by_what_differs(monkeypatch):
    long = "encoder_weights=/a/long/path/vgg16.pth lr=0.00012345678 batch=2"
    runs = [
        stored("a", 0.5, variant=long, row="1"),
        stored("a", 0.6, variant=f"{long} epochs=4", row="2"),
        stored("b", 0.7, variant=f"batch=2 {long}"[: -len(" batch=2")], row="3"),
    ]
    (board,) = boards(runs, None)
    assert set(board.names.values()) == {"a quick", "a epochs=4 quick", "b quick"}
    text = show.as_markdown(Leaderboard("here", (board,)), Filters(), pairs=False)
    assert "/a/long" not in text
    assert "* all rows: encoder_weights=vgg16.pth, lr=0.0001235, batch=2" in text
