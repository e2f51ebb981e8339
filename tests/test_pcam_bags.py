"""Slides composed of PCam tiles: lesions of adjacent tiles, tiles of one split only, bad input."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage

from benchmark.audit.checks import audit
from benchmark.dataset import Split
from benchmark.datasets.wsi.pcam_bags import PcamBags, PcamBagsOptions
from benchmark.errors import DataError
from benchmark.slides import PastedSlide

SMALL = PcamBagsOptions(tiles=25, train_slides=6, validation_slides=2, test_slides=6, lesion_shares="0.01,0.2,0.4")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """60 tiles, 20 of them positive; the class is read off the red channel, the number off the green one."""
    folder = tmp_path / "pcam"
    folder.mkdir()
    rows = ["id,label"]
    for number in range(60):
        pixels = np.zeros((96, 96, 3), np.uint8)
        pixels[..., 0], pixels[..., 1] = 200 if number % 3 == 0 else 50, number
        pixels[:48, :48, 2] = 255
        Image.fromarray(pixels).save(folder / f"t{number}.png")
        rows.append(f"t{number},{int(number % 3 == 0)}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def shown(slide: PastedSlide) -> np.ndarray:
    """Red and green of every tile, rows × cols × 2."""
    return slide.read(0, 0, *slide.size)[48::96, 48::96, :2].astype(int)


def slides(dataset: PcamBags, split: Split) -> list[PastedSlide]:
    return [slide for slide in dataset.slides(split) if isinstance(slide, PastedSlide)]


def test_half_of_the_slides_hold_one_lesion_of_the_chosen_share(root: Path) -> None:
    dataset = PcamBags(root, SMALL)
    for split, number in ((Split.TRAIN, 6), (Split.VALIDATION, 2), (Split.TEST, 6)):
        assert len(slides(dataset, split)) == number
        lesions = []
        for slide in slides(dataset, split):
            grid = dataset.evaluation_grid(slide)
            truth = dataset.truth(slide).labels(grid)
            np.testing.assert_array_equal(truth > 0, shown(slide)[..., 0] == 200, err_msg="truth is what tiles say")
            assert grid.shape == (5, 5) and dataset.tissue(slide, grid).all()
            assert ndimage.label(truth)[1] == dataset.unit_labels(slide)[0, 0] == int(truth.any())
            lesions.append(int(truth.sum()))
        assert lesions == [1, 0, 5, 0, 10, 0][:number]


def test_no_tile_is_in_two_splits_and_repeats_are_turned(root: Path) -> None:
    dataset = PcamBags(root, SMALL)
    tiles = {split: {g for slide in slides(dataset, split) for g in shown(slide)[..., 1].ravel()} for split in Split}
    assert not tiles[Split.TRAIN] & tiles[Split.TEST] and not tiles[Split.VALIDATION] & tiles[Split.TRAIN]
    assert not tiles[Split.VALIDATION] & tiles[Split.TEST]
    [validation] = slides(dataset, Split.VALIDATION)[:1]
    uses = Counter((piece.name, piece.turns, piece.mirrored) for piece in validation.pieces)
    assert max(Counter(piece.name for piece in validation.pieces).values()) > 1 and max(uses.values()) == 1
    corners = validation.read(0, 0, *validation.size)[24::48, 24::48, 2].reshape(5, 2, 5, 2)
    assert (corners.astype(int).sum(axis=(1, 3)) == 255).all()
    assert len({tuple(corner.ravel()) for corner in corners.transpose(0, 2, 1, 3).reshape(25, 4)}) == 4, "turned"


def test_the_same_options_give_the_same_slides_and_others_other_ones(root: Path) -> None:
    first, again = (PcamBags(root, SMALL).slides(Split.TEST)[0] for _ in range(2))
    assert first == again
    other = PcamBags(root, SMALL.model_copy(update={"split_seed": 1})).slides(Split.TEST)[0]
    assert isinstance(first, PastedSlide) and isinstance(other, PastedSlide) and first.arrangement and other != first


def test_it_says_that_patients_are_unknown_and_tiles_used_again(root: Path) -> None:
    dataset = PcamBags(root, SMALL)
    notes = " ".join(dataset.reading_notes(dataset.slides(Split.TEST)[0]))
    assert "patients unknown" in notes and "used again" in notes and "0.97 µm/px supposed" in notes
    report = dataset.verify()
    assert report.ok and report.facts["patients"] is None
    assert any("no tile names its patient" in finding.text for finding in report.findings)


def test_the_audit_tells_a_tile_that_two_splits_share(root: Path) -> None:
    def leaks() -> list[str]:
        return [finding.text for finding in audit(PcamBags(root, SMALL)).findings if finding.ok is False]

    assert not [text for text in leaks() if "in more than one split under different names" in text]
    train, test = (PcamBags(root, SMALL).pools[split, False][0] for split in (Split.TRAIN, Split.TEST))
    (root / test).write_bytes((root / train).read_bytes())
    assert [text for text in leaks() if "in more than one split under different names" in text]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("t0,1", "t0 appears twice"),
        ("t99,1", r"1 tiles of .*labels\.csv are not there: t99"),
        ("t1,tumour", r"labels\.csv, line 62: id 't1', label 'tumour'"),
        ("../t1,1", r"line 62: id '\.\./t1'"),
    ],
)
def test_rows_that_cannot_be_read_are_named(root: Path, row: str, message: str) -> None:
    with (root / "labels.csv").open("a") as table:
        table.write(row + "\n")
    with pytest.raises(DataError, match=message):
        PcamBags(root, SMALL)


def test_folders_and_tiles_that_cannot_be_used_are_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "x.txt").write_text("")
    with pytest.raises(DataError, match=r"holds no labels\.csv"):
        PcamBags(tmp_path / "none", SMALL)
    Image.new("RGB", (128, 128)).save(root / "t1.png")
    (root / "t2.png").write_bytes(b"no image")
    faults = [finding.text for finding in PcamBags(root, SMALL).verify().findings if finding.ok is False]
    assert any("t1.png has 128×128 px" in fault for fault in faults) and any("t2.png" in fault for fault in faults)
    (root / "labels.csv").write_text("id,label\nt3,1\nt1,0\n" + "".join(f"t{3 * n + 4},0\n" for n in range(18)))
    dataset = PcamBags(root, SMALL)
    with pytest.raises(DataError, match="1 positive tiles are too few: none is left"):
        dataset.slides(Split.TRAIN)


def test_a_tile_that_is_there_twice_is_refused(root: Path) -> None:
    (root / "train").mkdir()
    twin = root / "train" / "t1.tif"
    Image.new("RGB", (96, 96)).save(twin)
    with pytest.raises(DataError, match=r"holds both t1\.png and train/t1\.tif"):
        PcamBags(root, SMALL)
    twin.unlink()
    PcamBags(root, SMALL)


@pytest.mark.parametrize("shares", ["2", "0.1;0.2", "", "0.1,-0.2", "nan"])
def test_shares_that_are_none_are_refused(shares: str) -> None:
    with pytest.raises(ValidationError, match="shares between 0 and 1"):
        PcamBagsOptions(lesion_shares=shares)


@pytest.mark.realdata
def test_the_real_tiles(shared_data: Path) -> None:
    dataset = PcamBags(shared_data / "pcam", PcamBagsOptions())
    assert [len(dataset.slides(split)) for split in Split] == [60, 20, 40]
    slide = slides(dataset, Split.TEST)[4]
    assert slide.size == (1920, 1920) and dataset.truth(slide).labels(dataset.evaluation_grid(slide)).sum() == 80
    assert sum(map(len, dataset.pools.values())) == 2367
