"""What was supposed while slides were read stands in the result: line, column, table, page, tag."""

import csv
import json

import numpy as np
import pytest
import tifffile

from benchmark.cli import main
from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.registry import datasets
from benchmark.tracking.store import Tracker

GLASS = 243


def write_svs(path, seed, head, side=768):
    """An Aperio slide of tissue on glass whose description ends in `head`."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), GLASS, np.int16)
    image[100:-100, 100:-100] = (200, 120, 170)
    image = (image + rng.integers(-12, 13, image.shape)).clip(0, 255).astype(np.uint8)
    start = f"Aperio Image Library v11.2.1\r\n{side}x{side} [0,0 {side}x{side}] (256x256) JPEG/RGB Q=90"
    options = {"tile": (256, 256), "photometric": "rgb", "metadata": None, "software": False, "compression": "jpeg"}
    tifffile.imwrite(path, image, description=start + head, **options)


def slides(root, heads):
    """A folder `slides` with a manifest: one slide per header, classes and splits in turn."""
    root.mkdir()
    lines = ["slide,patient,label,split"]
    for number, head in enumerate(heads):
        write_svs(root / f"s{number}.svs", number, head)
        label, split = ("normal", "tumor")[number % 2], "train" if number < len(heads) / 2 else "test"
        lines.append(f"s{number}.svs,p{number},{label},{split}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def opened(root, **options):
    kind = datasets().load("slides")
    return kind(root, kind.Options(validation=0, tissue_mode="rgb", **options))


def test_a_run_tells_what_was_supposed_of_its_slides(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    monkeypatch.setenv("COLUMNS", "200")
    root = slides(tmp_path / "data", ["|AppMag = 20", "|MPP = 0.5", "|AppMag = 20|MPP = 0.5", ""])
    words = [
        "run",
        "--method",
        "constant",
        "--dataset",
        "slides",
        "--data",
        str(root),
        "--preset",
        "smoke",
        "--jobs",
        "0",
    ]
    with pytest.raises(SystemExit) as end:
        main([*words, "--set", "dataset.validation=0", "--set", "mpp=0.5", "--set", "tissue_mode=rgb"])
    assert end.value.code == 0
    assert "2 notes on reading 2 slides" in capsys.readouterr().out
    run = Tracker(f"sqlite:///{tmp_path}/runs.db").runs("slides")[0]
    assert run.tags["bench.reading_notes"] == "2"
    artifacts = tmp_path / "mlartifacts" / run.id / "artifacts"
    with (artifacts / "reading_notes.csv").open() as file:
        notes = list(csv.DictReader(file))
    assert [(note["split"], note["slide"]) for note in notes] == [("train", "s0"), ("test", "s3")]
    assert notes[0]["note"].startswith("no resolution but objective 20×: 0.5 µm/px taken")
    assert notes[1]["note"] == "no resolution stated: 0.5 µm/px supposed (--set mpp)"
    table = json.loads((artifacts / "per_slide.table.json").read_text())
    column = table["columns"].index("reading")
    assert [row[column] for row in table["data"]] == [None, notes[1]["note"]]
    page = (artifacts / "summary.html").read_text()
    assert "Notes on reading slides and annotations" in page
    assert "0.5 µm/px supposed" in page


def test_without_a_note_nothing_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    root = slides(tmp_path / "data", ["|MPP = 0.5"] * 4)
    dataset = opened(root)
    assert not any(dataset.reading_notes(slide) for split in Split for slide in dataset.slides(split))


def test_the_usual_resolution_is_the_last_resort_and_said(tmp_path):
    dataset = opened(slides(tmp_path / "data", ["|MPP = 0.26", "|MPP = 0.26", "", "|MPP = 0.26"]))
    slide = dataset.slides(Split.TEST)[0]
    assert slide.mpp == 0.25
    assert dataset.reading_notes(slide) == (
        "no resolution stated: 0.25 µm/px supposed (usual in this data set; --set mpp=… gives another)",
    )


def test_a_set_that_mixes_scales_is_an_error_unless_said(tmp_path):
    root = slides(tmp_path / "data", ["|MPP = 0.25", "|MPP = 0.2527", "|MPP = 0.5", "|MPP = 0.25"])
    with pytest.raises(DataError, match=r"3 slides at about 0\.25 µm/px .*1 at up to 0\.5 \(last: s2\)") as refused:
        opened(root).slides(Split.TEST)
    assert "--set scales=mixed" in refused.value.fix
    dataset = opened(root, scales="mixed")
    assert {dataset.cell(slide) for slide in dataset.slides(Split.TEST)} == {128, 256}
