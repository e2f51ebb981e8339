from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.dataset import SYNTHETIC_MARK, Split
from benchmark.datasets.tiles.glas import Glas, GlasOptions
from benchmark.digest import content_digest
from benchmark.errors import DataError

Damage = Callable[[Path], None]


@pytest.fixture
def copy(miniatures: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(miniatures["glas"], tmp_path / "copy"))


def remove(*names: str) -> Damage:
    def damage(root: Path) -> None:
        for name in names:
            (root / name).unlink()

    return damage


def edit(old: str, new: str) -> Damage:
    def damage(root: Path) -> None:
        text = (root / "Grade.csv").read_text()
        assert old in text
        (root / "Grade.csv").write_text(text.replace(old, new, 1))

    return damage


def add_row(row: str) -> Damage:
    def damage(root: Path) -> None:
        with (root / "Grade.csv").open("a") as stream:
            stream.write(f"{row}\n")

    return damage


def add_png_twin(root: Path) -> None:
    with Image.open(root / "train_2.bmp") as image:
        image.save(root / "train_2.png")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (remove("train_1_anno.bmp"), r"^1 of the images in .*copy have no label image: train_1\n"),
        (remove("train_1.bmp", "train_3.bmp"), r"^2 of the images .* no image: train_1, train_3\n"),
        (remove("train_1.bmp", "train_1_anno.bmp"), r"have a row in Grade\.csv but no image: train_1\n"),
        (remove("Grade.csv"), r"Grade\.csv is missing"),
        (edit("train_2,", "training_2,"), r"line 3: unknown name 'training_2'"),
        (edit("train_2,2, malignant, ", "#"), r"line 3: 1 cells, but the header has 4; column patient id is lacking"),
        (edit("train_2,2, malignant", "train_2,2, severe"), r"line 3: grade of 'train_2' is 'severe'"),
        (edit("train_2,2,", "train_2,,"), r"line 3: 'train_2' has no patient"),
        (edit("patient ID", "person"), r"has no column patient ID; its columns are: name, person, .*line 1"),
        (edit("train_2,", "train_1,"), r"line 3: 'train_1' has a row already, in Grade\.csv, line 2"),
        (add_row("train_99,1, benign, healthy"), r"but no image: train_99"),
        (lambda root: (root / "Grade.csv").write_bytes(b"PK\x03\x04"), r"Grade\.csv cannot be read .* a workbook"),
        (
            lambda root: (root / "Grade.csv").write_bytes(b""),
            r"Grade\.csv is empty; expected the columns name, patient ID",
        ),
        (add_png_twin, r"both train_2\.bmp and train_2\.png"),
    ],
)
def test_what_does_not_belong_together_is_refused_at_once(copy: Path, damage: Damage, named: str) -> None:
    damage(copy)
    with pytest.raises(DataError, match=named) as caught:
        Glas(copy, GlasOptions())
    assert caught.value.fix


def test_images_without_a_row_are_counted_and_the_first_are_named(copy: Path) -> None:
    lines = (copy / "Grade.csv").read_text().splitlines()
    (copy / "Grade.csv").write_text("\n".join(lines[:2]) + "\n")
    with pytest.raises(DataError, match=r"^8 of the images .*: train_2, train_3, .* and 2 more\n"):
        Glas(copy, GlasOptions())


def test_roots_that_are_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "holiday.png").write_bytes(b"")
    (tmp_path / "file.zip").write_bytes(b"PK")
    faults = {"gone": "does not exist", "empty": "is empty", "file.zip": "is a file", "other": "holiday"}
    for name, what in faults.items():
        with pytest.raises(DataError, match=what) as caught:
            Glas(tmp_path / name, GlasOptions())
        assert name in caught.value.what and "bench data" in str(caught.value.fix)


def test_no_training_images(copy: Path) -> None:
    kept = [line for line in (copy / "Grade.csv").read_text().splitlines() if not line.startswith("train")]
    (copy / "Grade.csv").write_text("\n".join(kept) + "\n")
    for file in copy.glob("train_*"):
        file.unlink()
    with pytest.raises(DataError, match="no train images"):
        Glas(copy, GlasOptions(validation=0))


def test_folds_without_enough_patients(copy: Path) -> None:
    with pytest.raises(DataError, match="6 patients") as caught:
        Glas(copy, GlasOptions(protocol="patient", folds=7))
    assert caught.value.fix == "--set folds=6"


@pytest.mark.parametrize("name", ["train_1.bmp", "testA_1_anno.bmp"])
def test_truncated_files_are_found_and_named(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    dataset = Glas(copy, GlasOptions())
    faults = [finding.text for finding in dataset.verify().findings if finding.ok is False]
    assert any(name in fault and "cannot be read" in fault for fault in faults)
    slides = [slide for split in Split for slide in dataset.slides(split) if name.startswith(f"{slide.id}_anno")]
    for slide in slides:
        with pytest.raises(DataError, match=name.split(".")[0]):
            dataset.truth(slide).labels(dataset.evaluation_grid(slide))
    assert slides or set(dataset.missing(Split.TRAIN)) | set(dataset.missing(Split.VALIDATION)) == {"train_1"}


def test_a_label_image_of_another_size_is_found_and_named(copy: Path) -> None:
    name = "train_1_anno.bmp"
    Image.fromarray(np.ones((100, 90), np.uint8)).save(copy / name)
    dataset = Glas(copy, GlasOptions(validation=0))
    faults = [finding.text for finding in dataset.verify().findings if finding.ok is False]
    assert any(name in fault and "90×100" in fault for fault in faults)
    with pytest.raises(DataError, match="90×100"):
        dataset.truth(dataset.slides(Split.TRAIN)[0])


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("train_2_anno.bmp", np.full((9, 9, 3), 128, np.uint8), "whole number"),
        ("train_2_anno.bmp", np.zeros((9, 9), np.uint8), "no gland"),
        ("train_2.bmp", np.zeros((9, 9), np.uint8), "expected RGB"),
    ],
)
def test_files_of_the_wrong_kind_are_found(copy: Path, name: str, content: np.ndarray, named: str) -> None:
    Image.fromarray(content).save(copy / name)
    report = Glas(copy, GlasOptions()).verify()
    assert not report.ok
    assert any(name in finding.text and named in finding.text for finding in report.findings)


def test_a_miniature_without_its_mark_misses_the_official_counts(copy: Path) -> None:
    (copy / SYNTHETIC_MARK).unlink()
    report = Glas(copy, GlasOptions()).verify()
    faults = [finding.text for finding in report.findings if finding.ok is False]
    assert len(faults) == 3 and "official release has 85: 37 and 48" in faults[0]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize("spoil", [_cut, _loop, lambda path: path.write_bytes(b"")], ids=["cut", "loop", "empty"])
def test_an_image_that_cannot_be_used_is_left_out_with_the_reason(copy: Path, spoil: Callable[[Path], object]) -> None:
    whole = Glas(copy, GlasOptions())
    before = {split: [slide.id for slide in whole.slides(split)] for split in Split}
    name = before[Split.TEST][0]
    spoil(whole.cases[name].image)
    dataset = Glas(copy, GlasOptions())
    (reason,) = dataset.missing(Split.TEST).values()
    assert str(whole.cases[name].image) in reason and set(dataset.missing(Split.TEST)) == {name}
    after = {split: [slide.id for slide in dataset.slides(split)] for split in Split}
    assert after == {**before, Split.TEST: before[Split.TEST][1:]}
    assert content_digest(dataset.root, dataset.files()) != content_digest(copy, [copy / "Grade.csv"])
