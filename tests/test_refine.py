"""`bench refine`: one's own slides and rough outlines in, refined outlines out; and everything that cannot be meant."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_slide_files import CELL, SIZE, box, rough, write_outline, write_slide
from PIL import Image
from typer.testing import CliRunner

import benchmark
from benchmark.annotations import read_annotation
from benchmark.applying.annotation_files import FORMATS, SUFFIXES, format_of
from benchmark.applying.given_slides import given_slides
from benchmark.applying.own_layout import OwnLayout, OwnOptions, open_slide
from benchmark.applying.refine_plan import made_ready
from benchmark.applying.refined_slide import summed_up
from benchmark.applying.refiners import refiner
from benchmark.applying.score_tiff import write_score_tiff
from benchmark.cli import app
from benchmark.errors import AnnotationError, BenchError, ConfigError, DataError
from benchmark.method import Prediction
from benchmark.slides import Grid, ScoreMap, Slide, write_pyramid
from benchmark.slides.facts import slide_facts
from benchmark.tracking.store import Tracker

QUICK = {"cell": CELL}
SMOKE = {**QUICK, "bags": 60, "round_bags": 20}


def refine(slides, annotation, out, **given):
    """Without training: the annotation itself is the refined one."""
    return benchmark.refine(slides, annotation, out, **{"method": "coarse", "settings": QUICK, "track": False, **given})


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_slide(tmp_path / "in" / "slide.tif")


@pytest.fixture
def outline(tmp_path: Path) -> Path:
    return write_outline(tmp_path / "in" / "slide.geojson")


@pytest.mark.parametrize("kind", FORMATS)
def test_the_refined_file_has_the_format_given_and_gives_the_same_mask(slide: Path, tmp_path: Path, kind: str) -> None:
    file = write_outline(tmp_path / f"drawn{SUFFIXES[kind]}", kind=kind)
    assert format_of(file) == kind
    done = refine(slide, file, tmp_path / "out", settings={**QUICK, "positive": "tumor"})
    [one] = done.slides.values()
    assert format_of(one.file) == kind and one.file.suffix == SUFFIXES[kind]
    again = read_annotation(one.file, size=SIZE)
    np.testing.assert_array_equal(again.labels(one.grid) > 0, one.mask)
    assert one.mask.any() and not one.mask.all()


def test_another_format_is_written_when_it_is_asked_for(slide: Path, outline: Path, tmp_path: Path) -> None:
    done = refine(slide, outline, tmp_path / "out", format="asap")
    assert format_of(done.slides["slide"].file) == "asap"
    with pytest.raises(ConfigError, match="expected one of geojson, asap"):
        refine(slide, outline, tmp_path / "out2", format="qupath")


def test_the_command_writes_everything_and_keeps_a_run(slide: Path, outline: Path, tmp_path: Path, store: str) -> None:
    words = ["refine", str(slide), "--annotation", str(outline), "--out", "out", "--preset", "smoke", "--store", store]
    settings = [word for key, value in SMOKE.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *words, *settings], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    names = {"slide.refined.geojson", "slide.scores.tif", "slide.overlay.jpg", "refined.html", "refined.csv"}
    assert names <= {path.name for path in Path("out").iterdir()}
    page = Path("out/refined.html").read_text(encoding="utf-8")
    assert "Cells doubted most" in page and "mm²" in page and page.count("data:image/jpeg") >= 2
    row = pd.read_csv("out/refined.csv").iloc[0]
    assert row["before"] == pytest.approx(448 * 384 * 0.25 / 1e6)
    tracker = Tracker(store)
    [run] = tracker.runs("own-slides")
    assert run.status == "FINISHED" and run.tag("method") == "lcmil" and run.tag("state") == "ok"
    assert run.metrics["refine/changed"] == pytest.approx(row["changed"])
    assert tracker.download(run, "refined.html", tmp_path / "copy")
    assert run.name == "lcmil smoke on slide" and f"run {run.id[:8]}" in done.stdout
    shown = CliRunner().invoke(app, ["show", run.id[:8], "slide", "--store", store, "--out", "shown.png"])
    assert shown.exit_code == 0, shown.output
    with Image.open("shown.png") as picture, Image.open("out/slide.overlay.jpg") as drawn:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(drawn))
    wrong = CliRunner().invoke(app, ["show", run.id[:8], "slid", "--store", store])
    assert isinstance(wrong.exception, ConfigError) and f"bench show {run.id[:8]} slide" in str(wrong.exception)


def test_the_score_map_lies_over_its_slide(tmp_path: Path) -> None:
    grid = Grid.regular((1000, 700), 50)
    values = np.linspace(0, 1, grid.rows * grid.cols, dtype=np.float32).reshape(grid.shape)
    values[0, 0] = np.nan
    write_score_tiff(tmp_path / "scores.tif", ScoreMap(grid, values), (1000, 700), 0.25)
    facts = slide_facts(tmp_path / "scores.tif", "scores")
    assert facts.vendor == "generic-tiff" and len(facts.levels) == 2
    assert facts.size == (167, 117) and facts.mpp == pytest.approx(0.25 * 6), "a pixel stands for 6 px of the slide"
    pixels = Slide("scores", tmp_path / "scores.tif", "p").read(0, 0, *facts.size)[..., 0]
    x, y = grid.centres
    at_centres = pixels[(y / 6).astype(int)][:, (x / 6).astype(int)]
    np.testing.assert_array_equal(at_centres, np.where(np.isnan(values), 0, 1 + np.rint(254 * np.nan_to_num(values))))


def test_an_annotation_that_breaks_the_assumption_is_told(slide: Path, outline: Path, tmp_path: Path) -> None:
    layout = OwnLayout(OwnOptions(cell=CELL, tissue_mode="all"))
    ready = made_ready(given_slides([slide])[0], outline, layout)
    grid = layout.evaluation_grid(ready.slide)
    drawn = ready.annotation.labels(grid) > 0

    def warnings(mask):
        prediction = Prediction(ScoreMap(grid, mask.astype(np.float32)), mask=mask)
        return " ".join(summed_up(ready, prediction, mask, layout, outline).warnings)

    assert warnings(drawn) == ""
    few = drawn & (np.cumsum(drawn).reshape(drawn.shape) <= drawn.sum() * 0.4)
    assert re.search(r"6\d% of the annotated tissue looks unlike the rest of it", warnings(few))
    assert "100% of the tissue outside looks like the annotated" in warnings(np.ones_like(drawn))


def test_areas_and_doubts(slide: Path, outline: Path, tmp_path: Path) -> None:
    layout = OwnLayout(OwnOptions(cell=CELL, tissue_mode="all"))
    ready = made_ready(given_slides([slide])[0], outline, layout)
    grid = layout.evaluation_grid(ready.slide)
    scores = np.full(grid.shape, 0.05, np.float32)
    scores[3:9, 3:8] = 0.9
    scores[5, 9] = 0.49
    done = summed_up(ready, Prediction(ScoreMap(grid, scores)), scores > 0.5, layout, outline)
    cell = (CELL * 0.5) ** 2 / 1e6
    wanted = {"before": 42, "after": 30, "added": 0, "removed": 12, "tissue": grid.rows * grid.cols}
    assert {name: round(done.figures[name] / cell) for name in wanted} == wanted and done.unit == "mm²"
    first = done.doubts[0]
    assert (first.x, first.y, first.annotated, first.refined) == (9 * CELL + 32, 5 * CELL + 32, True, False)


def test_plain_pictures_and_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pixels = np.full((256, 256, 3), 180, np.uint8)
        pixels[:128, :128] = (120, 40, 140)
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
        write_outline(tmp_path / "drawn" / f"{name}.geojson", box(0, 0, 160, 128))
    settings = {"cell": 32, "tissue_mode": "all"}
    done = refine(tmp_path / "in", tmp_path / "drawn", tmp_path / "out", settings=settings)
    assert list(done.slides) == ["a", "b"] and {one.unit for one in done.slides.values()} == {"cells"}


def test_a_mask_beside_its_slide_is_its_annotation_and_no_slide(tmp_path: Path) -> None:
    write_slide(tmp_path / "in" / "slide.tif")
    write_outline(tmp_path / "in" / "slide.png", kind="label-image")
    [one] = refine(tmp_path / "in", tmp_path / "in", tmp_path / "out").slides.values()
    assert (one.id, one.annotation.name) == ("slide", "slide.png") and one.mask.any()


def test_a_label_image_is_not_traced_to_see_whether_it_was_moved(slide: Path, tmp_path: Path, monkeypatch) -> None:
    file = write_outline(tmp_path / "drawn.png", kind="label-image")

    def traced(self):
        raise AssertionError("traced")

    monkeypatch.setattr("benchmark.annotations.LabelImage.polygons", traced)
    ready = made_ready(given_slides([slide])[0], file, OwnLayout(OwnOptions(cell=CELL)))
    assert ready.shift == (0.0, 0.0) and ready.annotation.labels(Grid.regular(SIZE, CELL)).any()


def test_a_label_image_that_would_fill_the_memory_is_refused_first(slide: Path, tmp_path: Path, monkeypatch) -> None:
    file = write_outline(tmp_path / "drawn.png", kind="label-image")
    monkeypatch.setattr("benchmark.applying.annotation_files.LARGEST", SIZE[0] * SIZE[1] // 16)
    assert refine(slide, file, tmp_path / "out").slides
    with pytest.raises(DataError, match=r"cells of 63 px would have(.|\n)*--set cell=64"):
        refine(slide, file, tmp_path / "out2", settings={"cell": 63})
    assert refine(slide, file, tmp_path / "out3", settings={"cell": 63}, format="geojson").slides


def test_two_slides_of_one_name_keep_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_slide(tmp_path / folder / "slide.tif")
        write_outline(tmp_path / "drawn" / folder / "slide.geojson")
    slides = [tmp_path / "one" / "slide.tif", tmp_path / "two" / "slide.tif"]
    done = refine(slides, tmp_path / "drawn", tmp_path / "out")
    assert list(done.slides) == ["one/slide", "two/slide"]
    assert len(list((tmp_path / "out").glob("*.refined.geojson"))) == 2
    write_outline(tmp_path / "flat" / "slide.geojson")
    with pytest.raises(DataError, match="none of the 2 slides"):
        refine(slides, tmp_path / "flat", tmp_path / "out2")


def test_an_unreadable_slide_among_many_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    write_slide(tmp_path / "in" / "good.tif")
    (tmp_path / "in" / "bad.tif").write_bytes(b"II*\0 no slide")
    for name in ("good", "bad"):
        write_outline(tmp_path / "drawn" / f"{name}.geojson")
    done = refine(tmp_path / "in", tmp_path / "drawn", tmp_path / "out")
    assert list(done.slides) == ["good"] and "bad.tif" in done.failed["bad"]
    assert "not refined" in (tmp_path / "out" / "refined.csv").read_text()


REFUSED = {
    "no overlap": (box(0, 0, 100, 100), "do not overlap: its outlines lie on glass"),
    "another slide": (box(100, 100, 5000, 4000), "it was drawn in other pixels"),
    "all": (box(0, 0, *SIZE), r"encloses all \d+ tissue cells"),
    "between cells": (box(300, 300, 310, 310), "between the centres of the cells"),
}


@pytest.mark.parametrize(("drawn", "told"), REFUSED.values(), ids=REFUSED)
def test_annotations_from_which_nothing_can_be_learnt(slide: Path, tmp_path: Path, drawn, told: str) -> None:
    with pytest.raises(DataError, match=told):
        refine(slide, write_outline(tmp_path / "drawn.geojson", drawn), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_annotation_of_nothing(slide: Path, tmp_path: Path) -> None:
    file = tmp_path / "drawn.geojson"
    file.write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(AnnotationError, match="outlines nothing of the positive class"):
        refine(slide, file, tmp_path / "out")


def test_a_slide_without_resolution_asks_for_it(tmp_path: Path, outline: Path) -> None:
    slide = write_slide(tmp_path / "in" / "bare.tif", mpp=None)
    with pytest.raises(DataError, match=r"does not state its microns per pixel(.|\n)*--mpp"):
        refine(slide, outline, tmp_path / "out", settings={})
    done = refine(slide, outline, tmp_path / "out", settings={}, mpp=1.0)
    assert done.slides["bare"].grid.width == 64 and "as told" in done.slides["bare"].notes[0]


def test_nothing_of_the_users_is_replaced(slide: Path, outline: Path, tmp_path: Path) -> None:
    out = tmp_path / "in"
    before = outline.read_bytes()
    with pytest.raises(ConfigError, match=r"is not empty(.|\n)*--force"):
        refine(slide, outline, out)
    done = refine(slide, outline, out, force=True)
    assert outline.read_bytes() == before
    assert {path.name for path in done.written} == {path.name for path in out.iterdir()} - {slide.name, outline.name}


def test_a_full_disk_is_told_as_one(slide: Path, outline: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x.tif")

    monkeypatch.setattr("benchmark.applying.refine_slides.write_score_tiff", full)
    with pytest.raises(ConfigError, match=r"cannot write to .*out: No space left on device"):
        refine(slide, outline, tmp_path / "out")


def test_only_refiners_refine(slide: Path, outline: Path, tmp_path: Path) -> None:
    assert refiner(None).name == "lcmil"
    with pytest.raises(ConfigError, match="topk-mil does not refine annotations: it learns from image labels"):
        refine(slide, outline, tmp_path / "out", method="topk-mil", settings={})
    with pytest.raises(ConfigError, match="no such field|neither"):
        refine(slide, outline, tmp_path / "out", settings={"bagz": 3})


def test_one_file_for_several_slides_and_files_that_are_not_there(slide: Path, outline: Path, tmp_path: Path) -> None:
    other = write_slide(tmp_path / "in" / "other.tif")
    with pytest.raises(DataError, match="one file for several slides"):
        refine([slide, other], outline, tmp_path / "out")
    with pytest.raises(BenchError, match="does not exist"):
        refine(tmp_path / "absent.tif", outline, tmp_path / "out")
    with pytest.raises(BenchError, match="does not exist"):
        refine(slide, tmp_path / "absent.geojson", tmp_path / "out")


def test_outlines_go_back_to_where_the_viewer_counts_from(slide: Path, tmp_path: Path, monkeypatch) -> None:
    def scanned(given, mpp):
        opened, facts, notes = open_slide(given, mpp)
        return opened, replace(facts, bounds=(64, 128, 900, 600)), notes

    monkeypatch.setattr("benchmark.applying.refine_plan.open_slide", scanned)
    file = write_outline(tmp_path / "drawn.geojson", rough().moved(-64, -128))
    done = refine(slide, file, tmp_path / "out", settings={**QUICK, "origin": "bounds"})
    [one] = done.slides.values()
    np.testing.assert_array_equal(one.mask, rough().labels(one.grid) > 0)
    again = read_annotation(one.file, size=SIZE)
    np.testing.assert_array_equal(again.moved(64, 128).labels(one.grid) > 0, one.mask)


@pytest.mark.realdata
def test_a_real_slide_gains(shared_data: Path, tmp_path: Path) -> None:
    """`idc` pasted into a TIFF, its simulated coarse annotation as GeoJSON: F1 rises by 0.03."""
    from benchmark.dataset import Split
    from benchmark.registry import datasets

    kind = datasets().load("idc")
    dataset = kind(shared_data / "idc", kind.Options())
    [slide] = dataset.slides(Split.TEST)
    write_pyramid(tmp_path / "14082.tif", [slide.read(0, 0, *slide.size)], slide.size, mpp=slide.mpp)
    file = write_outline(tmp_path / "14082.geojson", dataset.coarse(slide))
    done = refine(tmp_path / "14082.tif", file, tmp_path / "out", method="lcmil", preset="quick", settings={})
    [one] = done.slides.values()
    grid = dataset.evaluation_grid(slide)
    tissue, truth = dataset.tissue(slide, grid), dataset.truth(slide).labels(grid) > 0

    def f1(path):
        mask = tissue & (read_annotation(path, size=slide.size).labels(grid) > 0)
        return 2 * (mask & truth).sum() / (mask.sum() + (truth & tissue).sum())

    assert one.grid.width == 32 and f1(one.file) > f1(file) + 0.03


def test_a_damaged_slide_is_named_once_with_what_to_do(tmp_path):
    (tmp_path / "cut.svs").write_bytes(b"II*\0" + bytes(100))
    with pytest.raises(DataError) as told:
        open_slide(given_slides([tmp_path / "cut.svs"])[0], None)
    assert told.value.what.count("slide 'cut'") == 1
    assert "copy the file again" in told.value.fix
