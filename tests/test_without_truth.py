"""Slides of which only images, or images and rough outlines, are known: what can run does, and says what is lacking."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_slide_files import CELL, write_outline, write_slide

from benchmark.cli import main
from benchmark.config import RunRequest
from benchmark.dataset import Split
from benchmark.datasets.wsi.slides import Slides
from benchmark.errors import DataError
from benchmark.methods.cleaning.coarse import Coarse
from benchmark.methods.cleaning.lcmil import Lcmil
from benchmark.methods.constant import Constant
from benchmark.methods.mil.topk_mil import TopkMil
from benchmark.running.applicable import not_applicable
from benchmark.running.matrix import run_all
from benchmark.stored import score_maps, slide_rows, with_numbers
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.store import Tracker


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two slides in a manifest that knows their patients and nothing else; a rough outline of the first."""
    folder = tmp_path / "mine"
    for name in ("a", "b"):
        write_slide(folder / f"{name}.tif")
    write_outline(tmp_path / "rough" / "a.geojson")
    (folder / "manifest.csv").write_text("slide,patient\na.tif,one\nb.tif,two\n")
    return folder


def drawn(root: Path) -> dict[str, object]:
    return {"coarse": "drawn", "coarse_path": str(root.parent / "rough"), "cell": CELL}


def opened(root: Path, **options: object) -> Slides:
    return Slides(root, Slides.Options.model_validate(options))


def test_nothing_but_images(root: Path) -> None:
    dataset = opened(root)
    assert [len(dataset.slides(split)) for split in Split] == [0, 0, 2]
    slide = dataset.slides(Split.TEST)[0]
    assert not dataset.labelled(slide) and not dataset.annotated(slide) and not dataset.roughly_annotated(slide)
    with pytest.raises(DataError, match="is without a label and has no annotation"):
        dataset.truth(slide)
    assert not_applicable(Constant, dataset) is None
    assert "no positive test slide is annotated" in str(not_applicable(Lcmil, dataset))
    assert "learns from train slides, and slides has none" in str(not_applicable(TopkMil, dataset))


def test_a_rough_outline_is_enough_for_refiners(root: Path) -> None:
    dataset = opened(root, **drawn(root))
    assert [dataset.roughly_annotated(slide) for slide in dataset.slides(Split.TEST)] == [True, False]
    assert not_applicable(Lcmil, dataset) is None and not_applicable(Coarse, dataset) is None


def test_a_run_without_truth_is_ok_with_outputs_and_the_reason(root: Path, store: str, tmp_path: Path) -> None:
    settings = tuple(f"dataset.{key}={value}" for key, value in drawn(root).items())
    request = RunRequest(
        method="coarse", dataset="slides", data=str(root), preset="smoke", settings=settings, store=store, jobs=0
    )
    assert run_all(request) == 0
    tracker = Tracker(store)
    [run] = tracker.runs("slides")
    assert run.status == "FINISHED" and run.tag("state") == "ok"
    with StoreArtifacts(tracker) as artifacts:
        figures = with_numbers(artifacts, run).metrics
        assert {name for name in figures if name.startswith(("pixel/", "image/", "slide/", "coarse/"))} == {
            "pixel/coverage"
        }
        assert set(score_maps(artifacts, run)) == {"a"}
        assert [row["units"] for row in slide_rows(artifacts, run)] == [0]
        [page] = artifacts.fetch(run, "summary.html")
    told = page.read_text(encoding="utf-8")
    assert "1 slides: a: neither label nor annotation" in told and "1 of 1 slides lack a fine annotation" in told
    assert "1 of 2 slides" in told


def test_labelled_slides_keep_their_figures_beside_those_without(root: Path, store: str) -> None:
    write_slide(root / "c.tif")
    (root / "manifest.csv").write_text(
        "slide,patient,label,split\na.tif,one,,test\nb.tif,two,tumor,test\nc.tif,three,normal,test\n"
    )
    request = RunRequest(
        method="constant", dataset="slides", data=str(root), settings=(f"dataset.cell={CELL}",), store=store, jobs=0
    )
    assert run_all(request) == 0
    tracker = Tracker(store)
    [run] = tracker.runs("slides")
    assert run.metrics["image/auc"] == 0.5
    with StoreArtifacts(tracker) as artifacts:
        assert {row["slide"]: row["units"] for row in slide_rows(artifacts, run)} == {"a": 0, "b": 1, "c": 1}


def test_verify_says_which_methods_can_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "verify", "slides", "--data", str(root)]
    settings = [word for key, value in drawn(root).items() for word in ("--set", f"{key}={value}")]
    with pytest.raises(SystemExit) as ended:
        main([*words, *settings])
    told = capsys.readouterr().out
    assert not ended.value.code, told
    able = next(line for line in told.splitlines() if line.startswith("methods that can run: "))
    assert {"lcmil", "dknn", "constant"} <= set(able.removeprefix("methods that can run: ").split(", "))
    assert any("topk-mil" in line and "learns from train slides" in line for line in told.splitlines())
    assert "2 without a label: they have outputs and no figures" in " ".join(told.split())
