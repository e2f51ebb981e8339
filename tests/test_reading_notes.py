"""What was supposed while slides were read stands in the result: line, column, table, page, tag."""

import csv
import json

import numpy as np
import pytest
import tifffile

from benchmark.cli import main
from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.methods.mil.topk_mil import TopkMil
from benchmark.registry import datasets
from benchmark.running.applicable import not_applicable
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
        main([*words, "--set", "dataset.validation=0", "--set", "dataset.mpp=0.5", "--set", "tissue_mode=rgb"])
    assert end.value.code == 0
    assert "2 notes on reading 2 slides" in capsys.readouterr().out
    run = Tracker(f"sqlite:///{tmp_path}/runs.db").runs("slides")[0]
    assert run.tags["bench.reading_notes"] == "2"
    artifacts = tmp_path / "mlartifacts" / run.id / "artifacts"
    with (artifacts / "reading_notes.csv").open() as file:
        notes = list(csv.DictReader(file))
    assert [(note["split"], note["slide"]) for note in notes] == [("train", "s0"), ("test", "s3")]
    assert notes[0]["note"].startswith("no resolution but objective 20×: 0.5 µm/px taken")
    assert notes[1]["note"] == "no resolution stated: 0.5 µm/px supposed (--set dataset.mpp)"
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
        "no resolution stated: 0.25 µm/px supposed (usual in this dataset; --set dataset.mpp=… gives another)",
    )


def test_a_set_that_mixes_scales_is_an_error_unless_said(tmp_path):
    root = slides(tmp_path / "data", ["|MPP = 0.25", "|MPP = 0.2527", "|MPP = 0.5", "|MPP = 0.25"])
    with pytest.raises(DataError, match=r"3 slides at about 0\.25 µm/px .*1 at up to 0\.5 \(last: s2\)") as refused:
        opened(root).slides(Split.TEST)
    assert "--set scales=mixed" in refused.value.fix
    dataset = opened(root, scales="mixed")
    assert {dataset.cell(slide) for slide in dataset.slides(Split.TEST)} == {128, 256}


def geojson(path, box, name="Tumor"):
    """One outline, given by its left, top, right and lower edge."""
    left, top, right, low = box
    ring = [[left, top], [right, top], [right, low], [left, low], [left, top]]
    properties = {"objectType": "annotation", "classification": {"name": name}}
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))


def annotated(root, box, **options):
    """Four slides; the positive test slide has one outline."""
    slides(root, ["|MPP = 0.5"] * 4)
    geojson(root / "s3.geojson", box, options.pop("name", "Tumor"))
    text = (root / "manifest.csv").read_text().replace("split\n", "split,annotation\n")
    lines = [f"{line},{'s3.geojson' if line.startswith('s3') else ''}" for line in text.splitlines()[1:]]
    (root / "manifest.csv").write_text("\n".join([text.splitlines()[0], *lines]) + "\n")
    return opened(root, **options)


@pytest.mark.parametrize(
    ("box", "where"), [((0, 0, 90, 90), "on glass"), ((392, 392, 400, 400), "between the centres")]
)
def test_a_lesion_in_which_no_tissue_cell_lies_is_said(tmp_path, box, where):
    dataset = annotated(tmp_path / "data", box, cell=64)
    slide = next(slide for slide in dataset.slides(Split.TEST) if slide.id == "s3")
    assert any("no cell of tissue lies" in note and where in note for note in dataset.reading_notes(slide))
    assert any(finding.ok is False and where in finding.text for finding in dataset.verify().findings)


def test_a_lesion_on_tissue_needs_no_word(tmp_path):
    dataset = annotated(tmp_path / "data", (200, 200, 500, 500), cell=64)
    assert not any(dataset.reading_notes(slide) for slide in dataset.slides(Split.TEST))


def test_a_name_with_a_word_of_the_positive_class_is_a_question(tmp_path):
    dataset = annotated(tmp_path / "data", (200, 200, 500, 500), name="Tumour zone edited")
    with pytest.raises(DataError) as refused:
        dataset.truth(dataset.slide("s3"))
    assert "Tumour zone edited=?" in refused.value.fix


@pytest.mark.parametrize("text", ["Stroma=2", "Stroma=0,Fold=7"])
def test_a_class_that_the_set_has_not_is_one_clear_message(tmp_path, text):
    dataset = annotated(tmp_path / "data", (200, 200, 500, 500), classes=text)
    with pytest.raises(DataError, match=r"--set classes: .*expected 0 to 1, ignore or hole \(0 normal, 1 tumor\)"):
        dataset.truth(dataset.slide("s3"))


def test_semicolons_stand_for_commas_in_a_cell():
    from benchmark.annotations import read_classes

    assert read_classes("Stroma=0;Fold=ignore") == read_classes("Stroma=0,Fold=ignore")


def test_a_column_under_another_name_is_to_be_renamed(tmp_path):
    root = slides(tmp_path / "data", ["|MPP = 0.5"] * 4)
    text = (root / "manifest.csv").read_text()
    (root / "manifest.csv").write_text(text.replace("patient,", "PatientID,", 1))
    with pytest.raises(DataError) as refused:
        opened(root)
    assert "rename the column patientid to patient" in refused.value.fix


def test_what_cannot_be_used_is_named_where_one_class_is_left(tmp_path):
    root = slides(tmp_path / "data", ["|MPP = 0.5"] * 4)
    (root / "s1.svs").write_bytes(b"")
    reason = not_applicable(TopkMil, opened(root))
    assert reason is not None and "none is tumor; 1 cannot be used, the first is s1: " in reason


def test_a_refused_slide_comes_with_its_conversion(tmp_path):
    root = slides(tmp_path / "data", ["|MPP = 0.5"] * 4)
    for number in range(4):
        tifffile.imwrite(root / f"s{number}.svs", np.zeros((64, 64, 3), np.uint16), photometric="rgb")
    with pytest.raises(DataError, match=r"16 bits per channel.*vips msb"):
        opened(root).slides(Split.TRAIN)


def test_a_proposed_manifest_never_loses_the_one_that_was_there(tmp_path):
    root = slides(tmp_path / "data", ["|MPP = 0.5"] * 4)
    before = (root / "manifest.csv").read_text()
    for _ in range(2):
        with pytest.raises(SystemExit) as end:
            main(["data", "init", "slides", str(root), "--force"])
        assert end.value.code == 0
    assert (root / "manifest.csv.1").read_text() == before
    assert (root / "manifest.csv.2").is_file()


def test_a_positive_slide_whose_annotation_is_empty_counts_as_one_that_nobody_drew(tmp_path):
    dataset = annotated(tmp_path / "data", (200, 200, 500, 500), name="Normal")
    slide = next(slide for slide in dataset.slides(Split.TEST) if slide.id == "s3")
    assert not dataset.annotated(slide)
    assert any("s3.geojson holds no lesion" in note for note in dataset.reading_notes(slide))
    faults = [finding.text for finding in dataset.verify().findings if finding.ok is False]
    assert any("s3.geojson: the annotation holds no lesion, but the slide is tumor" in fault for fault in faults)
