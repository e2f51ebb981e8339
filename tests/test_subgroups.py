"""Figures per group of slides: the same as of these slides alone, the worst group, and columns that make no groups."""

import csv
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from test_leaderboard import stored
from typer.testing import CliRunner

from benchmark.cli import app, main
from benchmark.dataset import SYNTHETIC_MARK, Split
from benchmark.datasets.tiles.glas import Glas
from benchmark.datasets.wsi.slides import Slides
from benchmark.datasets.wsi.tcga_luad import TcgaLuad
from benchmark.errors import ConfigError
from benchmark.metrics.subgroups import FEWEST, MOST, NOT_STATED, Column, Group, by_column, worst
from benchmark.metrics.suite import gather, summarise
from benchmark.reporting.leaderboard.build_boards import Filters, boards
from benchmark.reporting.leaderboard.groups_board import group_lines, grouped
from benchmark.reporting.leaderboard.standings_model import Leaderboard
from benchmark.running.headlines import HEADLINES
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.store import Tracker

NAMES = tuple(HEADLINES)


def cohort(slides=16):
    """Slides of two units; those of odd number are harder."""
    rng, made = np.random.default_rng(0), []
    for index in range(slides):
        truth = np.zeros((12, 12), np.int8)
        truth[2:8, 3 : 5 + index % 5] = 1
        scores = np.clip(truth * 0.5 + 0.25 + rng.normal(0, 0.1 + 0.3 * (index % 2), truth.shape), 0, 1)
        units = np.array([0, 1], np.int8)
        own = np.clip(units * 0.3 + rng.random(2) * 0.6, 0, 1).astype(np.float32)
        made.append(
            gather(
                f"s{index}",
                f"p{index // 2 if index < 8 else index}",
                truth=truth,
                scores=scores.astype(np.float32),
                instances=truth.astype(np.int32),
                unit_labels=units,
                unit_scores=own,
            )
        )
    return made


def facts(slides, column, group):
    return {slide.slide: {column: group(int(slide.slide[1:]))} for slide in slides}


def test_a_group_has_the_figures_and_intervals_of_its_slides_alone():
    slides = cohort()
    (column,) = by_column(slides, facts(slides, "kind", lambda n: "hard" if n % 2 else "easy"), NAMES, seed=3)
    assert [(group.name, group.slides, group.patients) for group in column.groups] == [("easy", 8, 8), ("hard", 8, 8)]
    for group, part in zip(column.groups, (slides[0::2], slides[1::2]), strict=True):
        alone = summarise(part, seed=3)
        shown = [name for name in NAMES if name in alone.values]
        assert {"pixel/miou", "object/f1", "image/auc"} <= set(shown)
        assert dict(group.values) == {name: alone.values[name] for name in shown}
        assert dict(group.intervals) == {name: alone.intervals[name] for name in shown if name in alone.intervals}
    assert worst(column.groups, "pixel/miou").name == "hard"
    assert Column.read("kind", json.loads(json.dumps(column.facts()))) == column


def test_small_groups_and_slides_without_the_fact_are_said_and_never_the_worst():
    slides = cohort()
    known = facts(slides, "centre", lambda n: "A" if n < 6 else "B" if n < 12 else "C" if n == 13 else "")
    (column,) = by_column(slides, known, NAMES)
    assert [(group.name, group.slides) for group in column.groups] == [("A", 6), ("B", 6), ("C", 1), (NOT_STATED, 3)]
    assert all(group.values for group in column.groups)
    assert not column.groups[2].intervals and column.groups[0].intervals
    judged = [group.name for group in column.groups if group.judged]
    assert judged == ["A", "B"] and worst(column.groups, "pixel/miou").name in judged
    lower = [Group("A", FEWEST, 1, {"object/hausdorff": 3.0}), Group("B", FEWEST, 1, {"object/hausdorff": 9.0})]
    assert worst(lower, "object/hausdorff").name == "B"
    assert worst([lower[0], replace(lower[1], slides=FEWEST - 1)], "object/hausdorff") is None


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        (lambda n: "B", "all 24 test slides are 'B', so there is nothing to compare"),
        (lambda n: "", "says nothing of any of the 24 test slides"),
        (lambda n: f"block {n}", f"has 24 values on 24 test slides, more than {MOST}"),
    ],
)
def test_a_column_that_makes_no_groups_says_why(group, reason):
    slides = cohort(24)
    (column,) = by_column(slides, facts(slides, "x", group), NAMES)
    assert not column.groups and reason in column.refused


def test_hidden_figures_stay_hidden_in_groups():
    slides = cohort()
    known = facts(slides, "kind", lambda n: str(n % 2))
    (column,) = by_column(slides, known, NAMES, hidden={"image/*": "given away"})
    assert not any(name.startswith("image/") for group in column.groups for name in group.values)


def test_data_sets_tell_what_their_tables_know(miniatures):
    glas = Glas(miniatures["glas"], Glas.Options())
    slide = glas.slides(Split.TEST)[0]
    case = glas.cases[slide.id]
    assert glas.subgroups(slide) == {"grade": case.grade, "subtype": case.subtype, "part": case.part}
    tcga = TcgaLuad(miniatures["tcga-luad"], TcgaLuad.Options())
    assert dict(tcga.subgroups(tcga.slides(Split.TEST)[0])) == {"site": "05", "section": "diagnostic"}


@pytest.fixture
def own(miniatures, tmp_path):
    """A folder of one's own with three more columns: two groups and a gap, one value, another value for each."""
    root = tmp_path / "mine"
    shutil.copytree(miniatures["slides"], root)
    (root / SYNTHETIC_MARK).unlink()
    with (root / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows):
        row.update(grade="high" if number % 2 else "low", scanner="A", centre="" if number % 3 == 0 else "X")
        row["split"] = "test" if number > 3 else "train"
        row["patient"] = f"p{number}"
    with (root / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


def ended(words):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main(words)
    return end.value.code


def test_only_the_seeds_that_keep_groups_are_counted_and_the_others_named(tmp_path):
    file = tmp_path / "groups.json"
    column = Column("grade", (Group("high", 10, 10, {"image/auc": 0.9}), Group("low", 10, 10, {"image/auc": 0.5})))
    file.write_text(json.dumps({"grade": column.facts()}))
    runs = [stored(name, 0.5, seed=seed) for name in "ab" for seed in range(3)]
    keeps = lambda run, path: [file] if run.name == "a" and run.tag("seed") == "2" else []  # noqa: E731
    found = Leaderboard("", tuple(boards(runs, None)))
    (board,) = grouped(found, SimpleNamespace(fetch=keeps), "grade")
    assert [row.row.seeds for row in board.rows] == [(2,)]
    assert board.notes == ("a quick: no groups are kept of seed 0, 1", "b quick: no groups are kept of seed 0, 1, 2")
    assert next(group_lines([board], "grade", Filters()))["seeds"] == "2"
    nobody = SimpleNamespace(fetch=lambda run, path: [])
    theirs = [replace(run, tags={**run.tags, "bench.published_in": "theirs"}) for run in runs]
    for each, told in ((runs, "runs of earlier versions keep none"), (theirs, "a published board keeps no groups")):
        with pytest.raises(ConfigError, match=told):
            grouped(Leaderboard("", tuple(boards(each, None))), nobody, "grade")


def test_seeds_are_joined_by_the_names_of_their_groups(tmp_path):
    """The columns of the data were corrected between two seeds: C was a part of A."""
    kept = ({"A": (0.9, 10), "B": (0.5, 10)}, {"B": (0.4, 10), "C": (0.1, 10)})
    for seed, own in enumerate(kept):
        groups = tuple(Group(name, size, size, {"image/auc": value}) for name, (value, size) in own.items())
        (tmp_path / str(seed)).write_text(json.dumps({"centre": Column("centre", groups).facts()}))
    files = SimpleNamespace(fetch=lambda run, path: [tmp_path / run.tag("seed")])
    found = Leaderboard("", tuple(boards([stored("a", 0.5, seed=seed) for seed in range(2)], None)))
    (board,) = grouped(found, files, "centre")
    assert [(group.name, group.values) for group in board.rows[0].groups] == [("B", {"image/auc": 0.45})]
    assert board.notes == ("a quick: left out are groups that are not of the same slides in all seeds: A, C",)
    fewer = Column("centre", (Group("B", 9, 9, {"image/auc": 0.4}),))
    (tmp_path / "1").write_text(json.dumps({"centre": fewer.facts()}))
    with pytest.raises(ConfigError, match="--by centre: left out are groups .* in all seeds: A, B"):
        grouped(found, files, "centre")


def test_the_manifest_the_run_and_the_leaderboard_agree(own, store, capsys):
    dataset = Slides(own, Slides.Options())
    test = dataset.slides(Split.TEST)
    assert dict(dataset.subgroups(test[0])).keys() == {"grade", "scanner", "centre"}
    run = ["run", "--method", "constant", "--dataset", "slides", "--data", str(own), "--preset", "smoke", "--jobs", "0"]
    assert ended([*run, "--seeds", "0,1"]) == 0
    tracker = Tracker(store)
    stored = tracker.stored()[0]
    with StoreArtifacts(tracker) as artifacts:
        page = artifacts.fetch(stored, "summary.html")[0].read_text()
        table = artifacts.fetch(stored, "per_slide.csv")[0].read_text()
    assert "Subgroups" in page and "scanner: all 5 test slides are &#39;A&#39;" in page and "(not stated)" in page
    assert "group/grade" in table.splitlines()[0] and NOT_STATED not in table
    capsys.readouterr()
    cli = CliRunner()
    shown = cli.invoke(app, ["leaderboard", "--by", "grade", "--format", "markdown"]).output
    lines = [[cell.strip() for cell in line.split("|")] for line in shown.splitlines() if line.startswith("|")]
    assert [line[3] for line in lines[2:]] == ["high (only 2)", "low (only 3)"] and lines[2][2] == "2"
    assert ", incomplete" not in shown and "by grade" in shown
    rows = json.loads(cli.invoke(app, ["leaderboard", "--by", "grade", "--format", "json"]).output)
    assert {(row["group"], row["slides"]) for row in rows} == {("high", 2), ("low", 3)}
    text = cli.invoke(app, ["leaderboard", "--by", "grade", "--format", "csv"]).output
    assert len(list(csv.DictReader(text.splitlines()))) == len(rows)
    assert NOT_STATED in cli.invoke(app, ["leaderboard", "--by", "centre", "--format", "csv"]).output
    for column, told in (
        ("grad", "no such column; did you mean 'grade'? the data of these runs have: grade, scanner, centre"),
        ("scanner", "all 5 test slides are 'A'"),
    ):
        assert ended(["leaderboard", "--by", column]) == 2
        error = " ".join(capsys.readouterr().err.split())
        assert told in error and "Traceback" not in error
