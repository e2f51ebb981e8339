from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.dataset import SYNTHETIC_MARK, Split
from benchmark.datasets.tiles.crc import OFFICIAL, TISSUES, Crc, CrcOptions
from benchmark.datasets.tiles.pcam import Pcam, PcamOptions
from benchmark.errors import DataError
from benchmark.slides import PatchSet
from benchmark.supervision import Labels, Ledger, Supervision

TRAIN, TEST = "NCT-CRC-HE-100K", "CRC-VAL-HE-7K"


def copied(miniatures, name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(miniatures[name], tmp_path / "copy"))


def test_official_counts_are_those_of_the_paper() -> None:
    search = dict(zip(("MUC", "MUS", "NORM", "STR", "TUM", "ADI", "BACK", "DEB", "LYM"), OFFICIAL_SEARCH, strict=True))
    assert [search[tissue] + 10 for tissue in TISSUES] == list(OFFICIAL[TRAIN])
    assert sum(OFFICIAL[TRAIN]) == 100_000 and sum(OFFICIAL[TEST]) == 7180


OFFICIAL_SEARCH = (8886, 13526, 8753, 10436, 14307, 10397, 10556, 11502, 11547)


def test_a_split_is_one_set_whose_cells_have_the_class_of_their_folder(miniatures) -> None:
    crc = Crc(miniatures["crc"], CrcOptions())
    names = set()
    for split in Split:
        (slide,) = crc.slides(split)
        assert isinstance(slide, PatchSet)
        names |= set(slide.tiles)
        labels = crc.truth(slide).labels(crc.evaluation_grid(slide))
        for row, col in np.ndindex(slide.shape):
            assert TISSUES[labels[row, col]] == Path(slide.tiles[slide.index(row, col)]).parent.name
        np.testing.assert_array_equal(crc.unit_labels(slide), labels == TISSUES.index("TUM"))
        wrong = crc.coarse(slide).labels(crc.evaluation_grid(slide)) != labels
        assert 0 < wrong.mean() < 0.5
    assert len(names) == sum(len(crc.slides(split)[0].tiles) for split in Split)
    assert {Path(name).suffix for name in names} == {".tif", ".png"}
    assert "patients are not named" in " ".join(crc.reading_notes(crc.slides(Split.TRAIN)[0]))


@pytest.mark.parametrize("kind", [Supervision.FULL, Supervision.COARSE, Supervision.PATCH, Supervision.REVIEW])
def test_the_class_of_a_tile_counts_as_one_label_and_no_pixels(miniatures, kind) -> None:
    crc, ledger = Crc(miniatures["crc"], CrcOptions()), Ledger()
    (slide,) = crc.slides(Split.TRAIN)
    labels = Labels(crc, [slide], {kind}, ledger)
    for _ in range(2):
        if kind is Supervision.FULL:
            labels.full(slide)
        elif kind is Supervision.COARSE:
            labels.coarse(slide)
        elif kind is Supervision.PATCH:
            labels.patch(slide, slide.grid)
        else:
            [labels.review(slide, slide.grid, *cell) for cell in np.ndindex(slide.shape)]
    counter = "reviews" if kind is Supervision.REVIEW else "patch_labels"
    assert {name: count for name, count in ledger.totals().items() if count} == {counter: len(slide.tiles)}


def test_a_fine_mask_of_tiles_counts_the_tiles_it_touches(miniatures) -> None:
    crc, ledger = Crc(miniatures["crc"], CrcOptions()), Ledger()
    (slide,) = crc.slides(Split.TRAIN)
    labels, side = Labels(crc, [slide], {Supervision.PIXEL}, ledger), crc.side
    labels.pixel(slide, side, side, side, side)
    assert ledger.totals()["patch_labels"] == 1
    labels.pixel(slide, -5, side // 2, side + 6, side)
    assert ledger.totals()["patch_labels"] == 1 + 2 * 2 and not ledger.totals()["mask_pixels"]
    assert ledger.count(Supervision.PIXEL) == 2, "budgets count patches"


def test_virtual_slides_are_negative_without_tumour(miniatures) -> None:
    crc = Crc(miniatures["crc"], CrcOptions(layout="virtual", slide_tiles=8))
    used: list[str] = []
    for split in (Split.TRAIN, Split.TEST):
        slides = crc.slides(split)
        assert {int(crc.unit_labels(slide)[0, 0]) for slide in slides} == {0, 1}
        for slide in slides:
            tumours = sum("/TUM/" in name for name in slide.tiles)
            assert tumours == 2 * int(crc.unit_labels(slide)[0, 0]) and len(slide.tiles) == 8
            used += slide.tiles
    assert len(used) == len(set(used))
    with pytest.raises(DataError, match="make no two virtual slides"):
        Crc(miniatures["crc"], CrcOptions(layout="virtual", slide_tiles=1000)).slides(Split.TRAIN)


def empty_class(root: Path) -> None:
    shutil.rmtree(root / TRAIN / "MUC")
    (root / TRAIN / "MUC").mkdir()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda root: shutil.rmtree(root / TEST / "BACK"), f"{TEST}/BACK holds 0 tiles, expected 4"),
        (empty_class, f"{TRAIN}/MUC holds 0 tiles, expected 9"),
        (lambda root: (root / SYNTHETIC_MARK).unlink(), f"{TRAIN}/ADI holds 9 tiles, expected 10407"),
        (lambda root: shutil.rmtree(root / TEST), f"expected the folder {TEST}"),
    ],
)
def test_a_class_folder_missing_or_empty_is_refused(
    miniatures, tmp_path: Path, damage: Callable[[Path], None], named: str
) -> None:
    root = copied(miniatures, "crc", tmp_path)
    damage(root)
    with pytest.raises(DataError, match=re.escape(named)) as caught:
        Crc(root, CrcOptions())
    assert caught.value.fix
    if "holds" in named and "folder" not in named:
        part = Crc(root, CrcOptions(partial=True))
        assert any(named in finding.text and finding.ok is False for finding in part.verify().findings)


def test_tiles_of_another_size_or_unreadable_are_named(miniatures, tmp_path: Path) -> None:
    root = copied(miniatures, "crc", tmp_path)
    tiles = sorted((root / TEST / "LYM").iterdir())
    Image.fromarray(np.zeros((70, 64, 3), np.uint8)).save(tiles[0])
    tiles[1].write_bytes(b"no image")
    crc = Crc(root, CrcOptions())
    faults = [finding.text for finding in crc.verify().findings if finding.ok is False]
    assert any(tiles[0].name in text and "has 64×70 px; expected 64×64" in text for text in faults)
    assert any(tiles[1].name in text and "cannot be read" in text for text in faults)
    slide = crc.slides(Split.TEST)[0]
    with pytest.raises(DataError, match=f"{tiles[0].name}|{tiles[1].name}"):
        slide.read(0, 0, *slide.size)


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda text: text.replace(",1", ",yes", 1), r"line \d+: the label of .* is 'yes'; expected 0 or 1"),
        (lambda text: text + "ffff,1\n", "the tile ffff is not in"),
        (lambda text: text + text.splitlines()[1] + "\n", "has a row already"),
        (lambda text: text.replace("label", "class", 1), "has no column label"),
    ],
)
def test_rows_of_pcam_that_fit_no_tile_are_refused(miniatures, tmp_path: Path, edit, named: str) -> None:
    root = copied(miniatures, "pcam", tmp_path)
    table = root / "train_labels.csv"
    table.write_text(edit(table.read_text()))
    with pytest.raises(DataError, match=named):
        Pcam(root, PcamOptions())


def test_a_tile_of_pcam_that_is_there_twice_is_refused(miniatures, tmp_path: Path) -> None:
    root = copied(miniatures, "pcam", tmp_path)
    tile = min((root / "train").iterdir())
    shutil.copy(tile, tile.with_suffix(".tiff"))
    with pytest.raises(DataError, match=r"holds both train/.*\.tif and train/.*\.tiff"):
        Pcam(root, PcamOptions())


@pytest.mark.realdata
def test_the_real_tiles_are_read(shared_data: Path, tmp_path: Path) -> None:
    for file in (shared_data / "crc").iterdir():
        part = TEST if "TCGA" in file.name else TRAIN
        folder = tmp_path / part / file.name.partition("-")[0]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
    with pytest.raises(DataError, match="expected 10407"):
        Crc(tmp_path, CrcOptions())
    crc = Crc(tmp_path, CrcOptions(partial=True, validation=0))
    assert crc.side == 224 and [len(crc.slides(split)) for split in Split] == [1, 0, 1]
    (train,), (test,) = crc.slides(Split.TRAIN), crc.slides(Split.TEST)
    assert train.shape == (3, 3) and test.shape == (4, 8)
    assert any("BACK holds 0 tiles" in finding.text for finding in crc.verify().findings)
    pcam = Pcam(shared_data / "pcam", PcamOptions())
    assert pcam.side == 96 and sum(1 for _ in pcam.tiles()) == 2367
    assert sum(tile.label for tile in pcam.tiles()) == 920
