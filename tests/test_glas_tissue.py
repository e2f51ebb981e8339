from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.dataset import Split
from benchmark.datasets.synthetic.composed.album import Picture
from benchmark.datasets.synthetic.composed.patients import patients_of
from benchmark.datasets.synthetic.painter import Painter
from benchmark.datasets.tiles.glas import Glas
from benchmark.datasets.tiles.glas_files import COLUMNS
from benchmark.datasets.tiles.glas_tissue import GlasTissue
from benchmark.errors import DataError

WIDTH, HEIGHT = 90, 60


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve images of six patients, three of whom have both classes; the colour tells the image."""
    folder = tmp_path / "glas"
    folder.mkdir()
    rows = [",".join(COLUMNS)]
    for number in range(12):
        patient, grade = number // 2, "malignant" if number in (1, 5, 9, 6, 7) else "benign"
        pixels = np.full((HEIGHT, WIDTH, 3), 20 * number + 10, np.uint8)
        glands = np.zeros((HEIGHT, WIDTH), np.uint8)
        glands[10:30, 10:30], glands[35:55, 50:80] = 3, 7
        Image.fromarray(pixels).save(folder / f"train_{number + 1}.png")
        Image.fromarray(glands).save(folder / f"train_{number + 1}_anno.png")
        rows.append(f"train_{number + 1},{patient},{grade},x")
    (folder / "Grade.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_paint_crops_an_image_of_the_class_with_its_glands(root: Path) -> None:
    tissue = GlasTissue(root)
    colours = {picture.load()[0][0, 0, 0]: picture.positive for picture in tissue.pictures()}
    for seed in range(8):
        pixels, glands = tissue.paint(70, 50, positive=bool(seed % 2), seed=seed)
        assert pixels.shape == (50, 70, 3) and pixels.dtype == np.uint8
        assert glands.shape == (50, 70) and glands.dtype == np.int32
        assert colours[pixels[0, 0, 0]] == bool(seed % 2) and len(np.unique(pixels)) == 1
        np.testing.assert_array_equal(np.unique(glands), np.arange(glands.max() + 1))


def test_paint_is_the_same_for_the_same_arguments(root: Path) -> None:
    first, second = (GlasTissue(root).paint(70, 50, positive=True, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_a_larger_picture_is_a_mosaic_of_one_patient_with_glands_numbered_apart(root: Path) -> None:
    tissue = GlasTissue(root)
    pixels, glands = tissue.paint(200, 150, positive=False, seed=1)
    assert glands.max() > 4
    np.testing.assert_array_equal(np.unique(glands), np.arange(glands.max() + 1))
    patient = {picture.load()[0][0, 0, 0]: picture.patient for picture in tissue.pictures()}
    assert len({patient[colour] for colour in np.unique(pixels)}) == 1


def test_parts_share_no_patient_and_each_has_both_classes(root: Path) -> None:
    parts = {split: GlasTissue(root).part(split, 3).pictures() for split in Split}
    seen = [picture.patient for part in parts.values() for picture in part]
    assert len(seen) == 12, "every image is in one part"
    for split, part in parts.items():
        assert {picture.positive for picture in part} == {True, False}
        others = {p.patient for other, pictures in parts.items() if other is not split for p in pictures}
        assert not others & {picture.patient for picture in part}


def test_a_part_depends_on_the_seed_alone(root: Path) -> None:
    def names(seed: int) -> list[str]:
        return [picture.name for picture in GlasTissue(root).part(Split.TRAIN, seed).pictures()]

    assert names(1) == names(1)
    assert len({tuple(names(seed)) for seed in range(8)}) > 1


def test_too_few_patients_cannot_be_parted() -> None:
    def picture(patient: str, positive: bool) -> Picture:
        return Picture(
            patient, patient, positive, (1, 1), lambda: (np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.int32))
        )

    few = [picture("a", True), picture("b", False), picture("c", True), picture("d", False)]
    with pytest.raises(DataError, match="4 patients cannot be parted"):
        patients_of(few, Split.TRAIN, 0)


def test_a_missing_class_and_a_broken_image_are_named(root: Path) -> None:
    benign = GlasTissue(root, frozenset({"5"}))
    with pytest.raises(DataError, match="no malignant image"):
        benign.paint(10, 10, positive=True, seed=0)
    (root / "train_3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"train_3\.png"):
        GlasTissue(root)


def test_the_dataset_offers_its_images_as_tissue(root: Path) -> None:
    source = Glas.tissue_source(root)
    assert isinstance(source, GlasTissue) and source.mpp == pytest.approx(0.62005)
    assert Painter().mpp == source.mpp


def test_a_folder_that_is_not_glas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing"):
        Glas.tissue_source(tmp_path / "nothing")


def test_painter_parts_paint_apart_and_the_whole_paints_as_ever() -> None:
    train, test = (
        Painter().part(split, 0).paint(120, 100, positive=False, seed=1)[0] for split in (Split.TRAIN, Split.TEST)
    )
    whole = Painter().paint(120, 100, positive=False, seed=1)[0]
    assert (train != test).mean() > 0.5 and (train != whole).mean() > 0.5
    whole[:] = 0
    assert Painter().paint(120, 100, positive=False, seed=1)[0].any(), "what a caller does to a picture stays with him"


@pytest.mark.realdata
def test_parts_of_the_real_set(shared_data: Path) -> None:
    tissue = GlasTissue(shared_data / "glas")
    assert len(tissue.pictures()) == 165
    for seed in range(5):
        parts = [tissue.part(split, seed).pictures() for split in Split]
        assert sum(len(part) for part in parts) == 165
        patients = [{picture.patient for picture in part} for part in parts]
        assert sum(len(group) for group in patients) == 16 == len(set.union(*patients))
        for part in parts:
            benign = {picture.patient for picture in part if not picture.positive}
            malignant = {picture.patient for picture in part if picture.positive}
            assert benign and malignant and benign & malignant, "one patient at least gives both classes"


@pytest.mark.realdata
def test_every_patient_tests_in_one_fold_and_parts_have_five_patients(shared_data: Path) -> None:
    whole = GlasTissue(shared_data / "glas")
    tested: list[str] = []
    for fold in range(3):
        parts = [whole.folded(3, fold).part(split, 0).pictures() for split in Split]
        patients = [{picture.patient for picture in part} for part in parts]
        assert len(set.union(*patients)) == 16 == sum(map(len, patients)) and sum(map(len, parts)) == 165
        assert all({picture.positive for picture in part} == {True, False} for part in parts)
        assert len(patients[2]) >= 5
        tested += patients[2]
    assert len(tested) == len(set(tested)) == 16
    for seed in range(3):
        assert all(len({p.patient for p in whole.part(split, seed).pictures()}) >= 5 for split in Split)


@pytest.mark.realdata
def test_real_parts_are_balanced_and_varied(shared_data: Path) -> None:
    tissue = GlasTissue(shared_data / "glas")
    for seed in range(5):
        train, validation, test = (tissue.part(split, seed).pictures() for split in Split)
        assert abs(len(train) - len(test)) <= 15 and len(validation) < min(len(train), len(test))
        for part in (train, test):
            benign, malignant = ({p.patient for p in part if p.positive == kind} for kind in (False, True))
            assert len(benign & malignant) >= 2, "slides of one part differ in the patient of their lesion"
