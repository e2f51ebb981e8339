from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmark.dataset import SYNTHETIC_MARK, Split
from benchmark.datasets.tiles.glas import Glas, GlasOptions
from benchmark.datasets.tiles.glas_miniature import plan
from benchmark.errors import DataError


class Flat:
    """A tissue source that costs nothing: one square gland on grey."""

    def paint(
        self, width: int, height: int, *, positive: bool, seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        glands = np.zeros((height, width), np.int32)
        glands[20:160, 20:160] = 1
        return np.full((height, width, 3), 60 if positive else 200, np.uint8), glands


@pytest.mark.parametrize("slides", [4, 5, 6, 9, 24, 40])
def test_every_size_can_be_split_by_patient(tmp_path: Path, slides: int) -> None:
    Glas.synthesize(tmp_path / "glas", slides=slides, seed=1, tissue=Flat())
    dataset = Glas(tmp_path / "glas", GlasOptions())
    parts = {split: dataset.slides(split) for split in Split}
    assert sum(map(len, parts.values())) == slides
    assert parts[Split.TRAIN] and parts[Split.VALIDATION] and len(parts[Split.TEST]) == max(1, slides // 3)
    grades = Counter(case.grade for case in dataset.cases.values())
    assert abs(grades["benign"] - grades["malignant"]) <= 3
    assert len(dataset.subsets()) == (2 if slides >= 6 else 1)
    assert sum(map(len, dataset.subsets().values())) == len(parts[Split.TEST])
    if slides >= 9:
        validation = {dataset.cases[slide.id].grade for slide in parts[Split.VALIDATION]}
        assert validation == {"benign", "malignant"}


def test_files_are_those_of_the_official_release(miniatures: dict[str, Path]) -> None:
    root = miniatures["glas"]
    mark = json.loads((root / SYNTHETIC_MARK).read_text())
    assert mark["dataset"] == "glas" and mark["slides"] == 9 and mark["tissue"].startswith("painter ")
    header = (root / "Grade.csv").read_text().splitlines()[0]
    assert header == "name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"
    names = {path.name for path in root.iterdir()}
    assert {"train_1.bmp", "train_1_anno.bmp", "testA_1.bmp", "testB_1_anno.bmp"} < names
    for name in ("train_1", "testA_1"):
        with Image.open(root / f"{name}.bmp") as image, Image.open(root / f"{name}_anno.bmp") as mask:
            assert image.mode == "RGB" and mask.mode == "L" and image.size == mask.size
            assert min(image.size) >= 224


def test_plan_follows_the_seed_and_shares_patients_between_train_and_test() -> None:
    images = plan(24, 0)
    assert images == plan(24, 0)
    assert [image.size for image in images] != [image.size for image in plan(24, 1)]
    training = {image.patient for image in images if image.name.startswith("train")}
    assert len(training) == 8
    assert {image.patient for image in images if image.name.startswith("test")} <= training


def test_an_earlier_miniature_is_replaced_and_nothing_else_ever(tmp_path: Path) -> None:
    root = tmp_path / "glas"
    root.mkdir()
    Glas.synthesize(root, slides=9, seed=1, tissue=Flat())
    Glas.synthesize(root, slides=4, seed=1, tissue=Flat())
    assert len(Glas(root, GlasOptions()).cases) == 4
    (root / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"notes\.txt"):
        Glas.synthesize(root, slides=4, seed=2, tissue=Flat())
    assert (root / "notes.txt").read_text() == "mine" and (root / "train_1.bmp").is_file()
    (root / "notes.txt").unlink()
    (root / SYNTHETIC_MARK).unlink()
    with pytest.raises(DataError, match="no miniature"):
        Glas.synthesize(root, slides=4, seed=2, tissue=Flat())
    assert [path.name for path in tmp_path.iterdir()] == ["glas"], "no rests beside it"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    class Broken(Flat):
        calls = 0

        def paint(
            self, width: int, height: int, *, positive: bool, seed: int
        ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
            self.calls += 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().paint(width, height, positive=positive, seed=seed)

    with pytest.raises(KeyboardInterrupt):
        Glas.synthesize(tmp_path / "glas", slides=4, seed=1, tissue=Broken())
    assert not list(tmp_path.iterdir())


def test_impossible_requests_say_what_is_possible(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 4") as caught:
        Glas.synthesize(tmp_path / "glas", slides=3, seed=1)
    assert caught.value.fix == "--slides 4"
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        Glas.synthesize(tmp_path / "file", slides=4, seed=1)
    with pytest.raises(DataError, match="cannot write"):
        Glas.synthesize(tmp_path / "file" / "inside", slides=4, seed=1)


def test_units_of_both_kinds_are_there(miniatures: dict[str, Path]) -> None:
    dataset = Glas(miniatures["glas"], GlasOptions())
    labels = np.concatenate([dataset.unit_labels(slide).ravel() for split in Split for slide in dataset.slides(split)])
    assert 0.5 < labels.mean() < 1
