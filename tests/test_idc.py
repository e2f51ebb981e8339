"""Breast slides pasted of released patches: the official layout, one patient, bad input, the real slide."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.dataset import Split
from benchmark.datasets.wsi.idc import Idc, IdcOptions
from benchmark.errors import DataError
from benchmark.methods.cleaning.coarse import Coarse
from benchmark.methods.mil.topk_mil import TopkMil
from benchmark.running.applicable import not_applicable
from benchmark.slides import PastedSlide


def patch(folder: Path, patient: str, x: int, y: int, label: int, grey: int, size: tuple[int, int] = (50, 50)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{patient}_idx5_x{x}_y{y}_class{label}.png"
    Image.fromarray(np.full((size[1], size[0], 3), grey, np.uint8)).save(path)
    return path


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """One patient in one folder, 3 × 2 cells from (101, 51) on; no patch at the lower left."""
    root = tmp_path / "idc"
    for number, (col, row) in enumerate([(0, 0), (1, 0), (2, 0), (1, 1), (2, 1)]):
        patch(root, "8863", 101 + 50 * col, 51 + 50 * row, int(col == 2), 40 + 20 * number)
    return root


def test_patches_lie_where_their_names_say_and_glass_is_between(flat: Path) -> None:
    dataset = Idc(flat, IdcOptions())
    [slide] = dataset.slides(Split.TEST)
    assert isinstance(slide, PastedSlide) and slide.size == (150, 100) and slide.patient == "8863"
    np.testing.assert_array_equal(slide.read(0, 0, 150, 100)[25::50, 25::50, 0], [[40, 60, 80], [255, 100, 120]])
    assert slide.read(140, 90, 20, 20)[-1, -1].tolist() == [0, 0, 0], "black beyond the slide"
    np.testing.assert_array_equal(slide.read(0, 0, 150, 100, downsample=50)[..., 0], [[40, 60, 80], [255, 100, 120]])
    grid = dataset.evaluation_grid(slide)
    assert grid.shape == (2, 3)
    np.testing.assert_array_equal(dataset.truth(slide).labels(grid), [[0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(dataset.tissue(slide, grid), [[1, 1, 1], [0, 1, 1]])
    assert dataset.patch_grid(slide).width == 100


def test_one_patient_is_a_test_slide_and_serves_refiners_alone(flat: Path) -> None:
    dataset = Idc(flat, IdcOptions())
    assert [len(dataset.slides(split)) for split in Split] == [0, 0, 1]
    assert not_applicable(Coarse, dataset) is None
    assert "learns from train slides, and idc has none" in str(not_applicable(TopkMil, dataset))
    report = dataset.verify()
    assert report.ok and any("no train and no validation slides" in finding.text for finding in report.findings)


def test_what_the_files_do_not_say_is_said(flat: Path) -> None:
    dataset = Idc(flat, IdcOptions())
    patch(flat, "8863", 201, 101, 1, 120, size=(49, 50))
    notes = " ".join(dataset.reading_notes(dataset.slides(Split.TEST)[0]))
    assert "4 µm/px supposed" in notes and "glass is supposed" in notes and "1 patches are smaller than 50 px" in notes
    other = Idc(flat, IdcOptions(mpp=2.0))
    slide = other.slides(Split.TEST)[0]
    assert slide.mpp == 2.0 and "2 µm/px supposed (--set dataset.mpp)" in " ".join(other.reading_notes(slide))
    assert slide.read(149, 60, 1, 1)[0, 0, 0] == 255, "what a small patch does not cover is glass"


def test_patients_in_folders_by_class_are_split_by_patient(tmp_path: Path) -> None:
    root = tmp_path / "IDC_regular_ps50_idx5"
    for number in range(10):
        patient = str(9000 + number)
        for col in range(3):
            patch(root / patient / str(col % 2), patient, 1 + 50 * col, 1, col % 2, 90)
    dataset = Idc(tmp_path, IdcOptions(test=0.4, validation=0.2))
    parts = {split: {slide.patient for slide in dataset.slides(split)} for split in Split}
    assert [len(parts[split]) for split in Split] == [5, 1, 4] and len(set.union(*parts.values())) == 10
    assert [len(Idc(tmp_path, IdcOptions(test=1)).slides(split)) for split in Split] == [0, 0, 10]


def test_the_coarse_annotation_follows_its_seed(tmp_path: Path) -> None:
    for row, col in np.ndindex(12, 12):
        inside = 3 <= row < 9 and 2 <= col < 10
        patch(tmp_path / "idc", "1", 1 + 50 * col, 1 + 50 * row, int(inside), 90)

    def drawn(**options: object) -> np.ndarray:
        dataset = Idc(tmp_path / "idc", IdcOptions(**options))
        slide = dataset.slides(Split.TEST)[0]
        return dataset.coarse(slide).labels(dataset.evaluation_grid(slide))

    np.testing.assert_array_equal(drawn(coarse_seed=1), drawn(coarse_seed=1))
    halves = {drawn(coarse_seed=seed).tobytes() for seed in range(6)}
    assert len(halves) > 2, "one region is cut in half by a random line"
    whole = drawn(coarse_halve="never")
    assert whole[3:9, 2:10].all() and 48 < whole.sum() < 144


def overlap(root: Path) -> None:
    patch(root / "copy", "8863", 101, 51, 1, 10)


def between(root: Path) -> None:
    patch(root, "8863", 117, 51, 0, 10)


def far(root: Path) -> None:
    patch(root, "8863", 101 + 50 * 9000, 51, 0, 10)


def misfiled(root: Path) -> None:
    patch(root / "1", "8863", 301, 51, 0, 10)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (overlap, "lie at the same place"),
        (between, r"x117_y51_class0\.png lies between the 50-px cells"),
        (far, "more than 20000 px"),
        (misfiled, "lies in the folder of class 1"),
    ],
)
def test_a_slide_that_cannot_be_pasted_is_named(flat: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(flat)
    patch(flat / "0", "9000", 1, 1, 0, 90)
    dataset = Idc(flat, IdcOptions(test=1))
    assert [slide.id for slide in dataset.slides(Split.TEST)] == ["9000"]
    (why,) = dataset.missing(Split.TEST).values()
    assert re.search(message, why)
    assert not dataset.verify().ok


def test_patches_that_are_too_large_or_broken_are_named(flat: Path) -> None:
    large = patch(flat, "8863", 101, 101, 0, 10, size=(60, 50))
    slide = Idc(flat, IdcOptions()).slides(Split.TEST)[0]
    with pytest.raises(DataError, match=r"y101_class0\.png has 60×50 px; expected at most 50×50"):
        slide.read(0, 0, 10, 10)
    large.write_bytes(b"no image")
    faults = [finding.text for finding in Idc(flat, IdcOptions()).verify().findings if finding.ok is False]
    assert any(large.name in fault for fault in faults) and any("5 of 6 tiles can be read" in fault for fault in faults)


def test_folders_that_are_not_idc_are_refused(flat: Path, tmp_path: Path) -> None:
    Image.new("RGB", (50, 50)).save(flat / "slide_x1_y1.png")
    with pytest.raises(DataError, match=r"1 PNG files that are not named .*slide_x1_y1\.png"):
        Idc(flat, IdcOptions())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match="holds no patch"):
        Idc(tmp_path / "other", IdcOptions())


def test_a_patch_that_a_miniature_lost_is_named(miniatures: dict[str, Path], tmp_path: Path) -> None:
    root = Path(shutil.copytree(miniatures["idc"], tmp_path / "copy"))
    victim = next(root.glob("*/1/*.png"))
    victim.unlink()
    report = Idc(root, IdcOptions()).verify()
    assert any(victim.name in finding.text for finding in report.findings if finding.ok is False)


@pytest.mark.realdata
def test_the_real_slide(shared_data: Path) -> None:
    dataset = Idc(shared_data / "idc", IdcOptions())
    report = dataset.verify()
    assert report.ok and report.facts["tiles"] == 478
    [slide] = dataset.slides(Split.TEST)
    grid = dataset.evaluation_grid(slide)
    tissue, truth = dataset.tissue(slide, grid), dataset.truth(slide).labels(grid) > 0
    assert tissue.sum() == 478 and truth.sum() == 197 and slide.size == (2800, 2350)
    coarse = dataset.coarse(slide).labels(grid) > 0
    agreed = 2 * (truth & coarse & tissue).sum() / (truth.sum() + (coarse & tissue).sum())
    assert 0.6 < agreed < 0.9, "coarse, and not far from the truth"
    row, col = np.argwhere(truth)[0]
    assert slide.read(int(grid.x[col]), int(grid.y[row]), 50, 50).std() > 5, "tissue, not glass"
