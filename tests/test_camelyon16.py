"""CAMELYON16: its layout, its units and its official counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.dataset import SYNTHETIC_MARK, Split
from benchmark.datasets.tiles.glas import Glas
from benchmark.datasets.wsi.camelyon16 import Camelyon16, Camelyon16Options, plan
from benchmark.errors import DataError
from benchmark.slides import Slide
from benchmark.slides.facts import slide_facts
from benchmark.tracking.store import Tracker


@pytest.fixture
def dataset(miniatures: dict[str, Path]) -> Camelyon16:
    return Camelyon16(miniatures["camelyon16"], Camelyon16Options())


def test_miniature_has_the_layout_of_the_challenge(dataset: Camelyon16) -> None:
    names = {path.relative_to(dataset.root).as_posix() for path in dataset.root.rglob("*") if path.is_file()}
    planned = plan(9)
    for slide in planned:
        folder = "testing/images" if slide.split is Split.TEST else f"training/{slide.name.partition('_')[0]}"
        assert f"{folder}/{slide.name}.tif" in names
        part = "testing" if slide.split is Split.TEST else "training"
        assert (f"{part}/lesion_annotations/{slide.name}.xml" in names) == slide.lesion
    assert len(names) == 9 + sum(slide.lesion for slide in planned) + 2
    rows = (dataset.root / "testing/reference.csv").read_text().splitlines()
    assert rows == sorted(f"{s.name},{'Tumor' if s.lesion else 'Normal'}" for s in planned if s.split is Split.TEST)
    mark = json.loads((dataset.root / SYNTHETIC_MARK).read_text())
    assert mark["patients"].keys() == {slide.name for slide in planned} and mark["tissue"].startswith("painter")


def test_slides_are_pyramids_with_a_resolution(dataset: Camelyon16) -> None:
    for slide in dataset.slides(Split.TEST):
        facts = slide_facts(slide.path, slide.id)
        assert len(facts.levels) > 1 and facts.size == slide.size
        assert slide.mpp == pytest.approx(facts.mpp) and dataset.cell(slide) == 128


def test_the_label_of_a_unit_is_the_folders_or_the_tables(dataset: Camelyon16) -> None:
    for split in Split:
        for slide in dataset.slides(split):
            assert dataset.unit_labels(slide).tolist() == [[int(bool(dataset.cases[slide.id].lesion))]]
            grid = dataset.evaluation_grid(slide)
            assert (dataset.truth(slide).labels(grid) > 0).any() == bool(dataset.cases[slide.id].lesion)
            assert dataset.unit_grid(slide).shape == (1, 1)
    assert not any(s.id.startswith("test") for s in dataset.slides(Split.TRAIN))


def test_grids_have_one_patch_around_every_cell(dataset: Camelyon16) -> None:
    slide = dataset.slides(Split.TEST)[0]
    cells, patches = dataset.evaluation_grid(slide), dataset.patch_grid(slide)
    assert cells.shape == patches.shape and patches.width == 256
    for own, other in zip(cells.centres, patches.centres, strict=True):
        np.testing.assert_array_equal(own, other)
    assert patches.x[0] == -64, "at 20× the first patch begins half a cell beyond the slide"


def test_verify_compares_with_the_official_counts(dataset: Camelyon16, tmp_path: Path) -> None:
    assert dataset.verify().ok
    root = Path(shutil.copytree(dataset.root, tmp_path / "camelyon16"))
    (root / SYNTHETIC_MARK).unlink()
    real = Camelyon16(root, Camelyon16Options())
    report = real.verify()
    texts = [finding.text for finding in report.findings if finding.ok is False]
    assert "test: 3 slides; the release has 129" in texts and not report.ok
    assert any(text.startswith("390 expected slides are missing: normal_") for text in texts)
    assert len(real.missing(Split.TEST)) == 126 and len(real.missing(Split.TRAIN)) == 264
    assert report.facts["normal_slides"] + report.facts["tumor_slides"] == 6


def test_a_test_slide_without_a_row_is_missing(dataset: Camelyon16, tmp_path: Path) -> None:
    root = Path(shutil.copytree(dataset.root, tmp_path / "camelyon16"))
    table = root / "testing/reference.csv"
    table.write_text("".join(line for line in table.open() if "test_001" not in line))
    missing = Camelyon16(root, Camelyon16Options()).missing(Split.TEST)
    assert list(missing) == ["test_001"] and "no row in reference.csv" in missing["test_001"]


def test_an_earlier_miniature_is_replaced_and_nothing_of_the_users(dataset: Camelyon16, tmp_path: Path) -> None:
    root = Path(shutil.copytree(dataset.root, tmp_path / "camelyon16"))
    (root / "training/normal/notes.txt").write_text("mine")
    with pytest.raises(DataError, match="training"):
        Camelyon16.synthesize(root, slides=4, seed=0)
    assert (root / "training/normal/notes.txt").read_text() == "mine"
    (root / "training/normal/notes.txt").unlink()
    Camelyon16.synthesize(root, slides=4, seed=0)
    again = Camelyon16(root, Camelyon16Options())
    assert len(again.cases) == 4 and again.slides(Split.TRAIN) and again.slides(Split.TEST)


@pytest.fixture
def release(dataset: Camelyon16, tmp_path: Path) -> Path:
    """The miniature as if it were the release: without its mark, its positive test slide called test_114."""
    root = Path(shutil.copytree(dataset.root, tmp_path / "camelyon16"))
    (root / SYNTHETIC_MARK).unlink()
    name = next(slide.name for slide in plan(9) if slide.split is Split.TEST and slide.lesion)
    for file in [*root.rglob(f"{name}.*")]:
        file.rename(file.with_stem("test_114"))
    table = root / "testing/reference.csv"
    table.write_text(table.read_text().replace(name, "test_114"))
    return root


def slide_of(dataset: Camelyon16, name: str) -> Slide:
    return next(slide for split in Split for slide in dataset.slides(split) if slide.id == name)


def run_constant(root: Path, store: Path, *options: str) -> tuple[dict[str, float], list[dict[str, object]], str]:
    """Metrics, rows of the slides, and the summary page of a run of `constant`."""
    words = ["run", "--method", "constant", "--dataset", "camelyon16", "--data", str(root), "--preset", "smoke"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--jobs", "0", *(word for option in options for word in ("--set", option))])
    assert end.value.code == 0
    run = Tracker(f"sqlite:///{store}/runs.db").runs("camelyon16")[0]
    artifacts = store / "mlartifacts" / run.id / "artifacts"
    table = json.loads((artifacts / "per_slide.table.json").read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    numbers = json.loads((artifacts / "metrics.json").read_text())["numbers"]
    return numbers, rows, (artifacts / "summary.html").read_text()


@pytest.mark.parametrize("rule", ["out", "count"])
def test_cells_of_a_partly_annotated_slide_count_where_it_is_said(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    options = () if rule == "out" else ("partly_annotated=count",)
    metrics, rows, page = run_constant(release, tmp_path, *options)
    own = next(row for row in rows if row["slide"] == "test_114")
    assert own["label"] == 1 and own["score"] is not None and "image/auc" in metrics, "the slide's label counts"
    assert any(row["pixel/accuracy"] is not None for row in rows), "those of the other slides are figures"
    assert "not exhaustively annotated" in str(own["reading"])
    if rule == "out":
        assert own["tp"] is None and own["pixel/accuracy"] is None and own["valid"] is None
        assert "pixel/tpr" not in metrics, "no lesion is left to be found"
        assert metrics["pixel/coverage"] == 1
        assert "cells not counted" in page and "1 slides: test_114: not exhaustively annotated" in page
    else:
        assert own["tp"] is not None and "pixel/tpr" in metrics
        assert "cells not counted" not in page


def test_every_annotation_of_a_miniature_is_exhaustive(dataset: Camelyon16) -> None:
    assert all(case.exhaustive for case in dataset.cases.values())


def plus_table(root: Path, changes: dict[str, str | None], head: str = "slide,label") -> Path:
    """A table as CAMELYON+ has it, of the slides there are; `changes`: another label, None for no row."""
    words = {"normal": "negative", "tumor": "macro", "test": "negative"}
    names = sorted(path.stem for path in root.rglob("*.tif"))
    labels = {name: words[name.partition("_")[0]] for name in names} | {"test_114": "micro"} | changes
    path = root.parent / "camelyon+.csv"
    rows = [f"{name},{word}" for name, word in labels.items() if word is not None]
    path.write_text("\n".join([head, *rows, "patient_100_node_0,itc"]) + "\n")
    return path


def test_labels_of_camelyon_plus_replace_those_of_the_release(release: Path) -> None:
    before = Camelyon16(release, Camelyon16Options())
    normal = next(slide.id for slide in before.slides(Split.TEST) if not before.cases[slide.id].lesion)
    tumour = next(slide.id for slide in before.slides(Split.TRAIN) if before.cases[slide.id].lesion)
    gone = next(slide.id for slide in before.slides(Split.TRAIN) if not before.cases[slide.id].lesion)
    table = plus_table(release, {normal: "ITC", tumour: "negative", gone: None})
    after = Camelyon16(release, Camelyon16Options(labels=table, validation=0))

    slide = slide_of(after, normal)
    assert after.unit_labels(slide).item() == 1 and not after.annotated(slide)
    assert after.uncounted(slide) == "nobody outlined its lesion"
    with pytest.raises(DataError, match=f"{normal}.*nobody outlined"):
        after.truth(slide)
    assert after.reading_notes(slide)[0].startswith("label: 'ITC' in camelyon+.csv, line ")
    assert "normal in the release" in after.reading_notes(slide)[0]

    slide = slide_of(after, tumour)
    assert after.unit_labels(slide).item() == 0 and after.truth(slide).count() == 0
    assert after.uncounted(slide) is None
    assert f"its annotation {tumour}.xml is not read" in after.reading_notes(slide)[0]

    assert after.excluded == {gone: "no row in camelyon+.csv: CAMELYON+ took it out"}
    assert gone not in after.missing(Split.TRAIN)
    unchanged = slide_of(after, "test_114")
    assert after.unit_labels(unchanged).item() == 1 and not any("label" in n for n in after.reading_notes(unchanged))
    texts = [finding.text for finding in after.verify().findings]
    assert any(text.startswith("2 slides have another label than in the release: ") for text in texts)
    assert f"the options leave out 1 slides: {gone} ({gone}: no row in camelyon+.csv: CAMELYON+ took it out)" in texts
    assert "camelyon+.csv: 1 rows of other slides are passed over" in texts


def test_what_camelyon_plus_changed_stands_in_the_run(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    before = Camelyon16(release, Camelyon16Options())
    normal = next(slide.id for slide in before.slides(Split.TEST) if not before.cases[slide.id].lesion)
    gone = next(slide.id for slide in before.slides(Split.TRAIN) if not before.cases[slide.id].lesion)
    table = plus_table(release, {normal: "itc", gone: None})
    metrics, rows, page = run_constant(release, tmp_path, f"labels={table}")
    own = next(row for row in rows if row["slide"] == normal)
    assert own["label"] == 1 and own["tp"] is None and "in camelyon+.csv, line" in str(own["reading"])
    assert "pixel/accuracy" in metrics, "the last slide with a known truth"
    assert "left out by options" in page and f"{gone}: no row in camelyon+.csv" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slide,label,size\ntest_001,macro,3\n", "columns that are not known: size; expected slide and label alone"),
        ("name,label\ntest_001,macro\n", "has no column slide; its columns are: name, label"),
        ("slide,label\ntest_001,large\n", "line 2, column label: 'large' is not known; expected negative, itc, micro"),
        ("slide,label\ntest_001,2\n", "'2' is not known"),
        ("slide,label\ntest_001,macro\nTest_001.tif,negative\n", "line 3: test_001 is 'negative', but 'macro' in"),
        ("slide,label\npatient_100_node_0,itc\n", "none of its 1 rows names a slide of CAMELYON16"),
        (b"PK\x03\x04 a workbook", "cannot be read as a table"),
    ],
)
def test_a_table_that_is_not_camelyon_pluss_is_refused(
    release: Path, tmp_path: Path, text: str | bytes, message: str
) -> None:
    table = tmp_path / "labels.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        Camelyon16(release, Camelyon16Options(labels=table))


@pytest.mark.realdata
def test_composed_slides_of_real_tissue_keep_patients_apart(shared_data: Path, tmp_path: Path) -> None:
    tissue = Glas.tissue_source(shared_data / "glas")
    Camelyon16.synthesize(tmp_path / "composed", slides=6, seed=0, tissue=tissue, side=2048)
    dataset = Camelyon16(tmp_path / "composed", Camelyon16Options())
    report = dataset.verify()
    assert report.ok and report.facts["shared_patients"] == 0
    patients = {split: {p for s in dataset.slides(split) for p in s.patient.split("+")} for split in Split}
    assert not patients[Split.TEST] & patients[Split.TRAIN] and not patients[Split.VALIDATION] & patients[Split.TRAIN]
    for slide in dataset.slides(Split.TEST):
        grid = dataset.evaluation_grid(slide)
        tissue_cells = dataset.tissue(slide, grid)
        assert 0.2 < tissue_cells.mean() < 0.95 and max(slide.size) == 2048
        lesion = dataset.truth(slide).labels(grid) > 0
        assert (lesion & tissue_cells).sum() >= 0.8 * lesion.sum()
