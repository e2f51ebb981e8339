"""CAMELYON16: its layout, its units and its official counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark.dataset import SYNTHETIC_MARK, Split
from benchmark.datasets.tiles.glas import Glas
from benchmark.datasets.wsi.camelyon16 import Camelyon16, plan
from benchmark.datasets.wsi.wsi_options import WsiOptions
from benchmark.errors import DataError
from benchmark.slides.facts import slide_facts


@pytest.fixture
def dataset(miniatures: dict[str, Path]) -> Camelyon16:
    return Camelyon16(miniatures["camelyon16"], WsiOptions())


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
    real = Camelyon16(root, WsiOptions())
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
    missing = Camelyon16(root, WsiOptions()).missing(Split.TEST)
    assert list(missing) == ["test_001"] and "no row in reference.csv" in missing["test_001"]


def test_an_earlier_miniature_is_replaced_and_nothing_of_the_users(dataset: Camelyon16, tmp_path: Path) -> None:
    root = Path(shutil.copytree(dataset.root, tmp_path / "camelyon16"))
    (root / "training/normal/notes.txt").write_text("mine")
    with pytest.raises(DataError, match="training"):
        Camelyon16.synthesize(root, slides=4, seed=0)
    assert (root / "training/normal/notes.txt").read_text() == "mine"
    (root / "training/normal/notes.txt").unlink()
    Camelyon16.synthesize(root, slides=4, seed=0)
    again = Camelyon16(root, WsiOptions())
    assert len(again.cases) == 4 and again.slides(Split.TRAIN) and again.slides(Split.TEST)


@pytest.mark.realdata
def test_composed_slides_of_real_tissue_keep_patients_apart(shared_data: Path, tmp_path: Path) -> None:
    tissue = Glas.tissue_source(shared_data / "glas")
    Camelyon16.synthesize(tmp_path / "composed", slides=6, seed=0, tissue=tissue, side=2048)
    dataset = Camelyon16(tmp_path / "composed", WsiOptions())
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
