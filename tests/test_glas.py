from __future__ import annotations

import pickle
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from benchmark.dataset import Options, Split
from benchmark.datasets.tiles.glas import MPP, Glas, GlasOptions
from benchmark.datasets.tiles.glas_files import OFFICIAL_FOLDER
from benchmark.digest import content_digest
from benchmark.slides import Grid


@pytest.fixture(scope="session")
def root(miniatures: dict[str, Path]) -> Path:
    return miniatures["glas"]


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(root, tmp_path / "copy"))


@pytest.fixture(scope="session")
def real(shared_data: Path) -> Path:
    if not (shared_data / "glas").is_dir():
        pytest.skip(f"no real GlaS in {shared_data}")
    return shared_data / "glas"


def everything(dataset: Glas) -> dict[str, str]:
    return {slide.id: str(split) for split in Split for slide in dataset.slides(split)}


def test_slides_carry_patient_and_resolution(root: Path) -> None:
    dataset = Glas(root, GlasOptions())
    slide = dataset.slides(Split.TEST)[0]
    assert slide.id == "testA_1" and slide.mpp == MPP and slide.patient == dataset.cases["testA_1"].patient
    assert list(dataset.subsets()) == ["testA", "testB"]
    assert dataset.classes == ("non-gland", "gland")


@pytest.mark.parametrize("inside", [OFFICIAL_FOLDER, "glas"])
def test_the_folder_above_is_accepted_and_content_is_the_same(root: Path, tmp_path: Path, inside: str) -> None:
    shutil.copytree(root, tmp_path / "above" / inside)
    direct, above = Glas(root, GlasOptions()), Glas(tmp_path / "above", GlasOptions())
    assert everything(direct) == everything(above)
    digests = {content_digest(dataset.root, dataset.files()) for dataset in (direct, above)}
    assert len(digests) == 1


def test_bmp_and_png_may_be_mixed(root: Path, copy: Path) -> None:
    for name in ("train_1", "train_2_anno", "testA_1"):
        with Image.open(copy / f"{name}.bmp") as image:
            image.save(copy / f"{name}.PNG")
        (copy / f"{name}.bmp").unlink()
    before, after = Glas(root, GlasOptions()), Glas(copy, GlasOptions())
    assert everything(before) == everything(after)
    for old, new in zip(before.slides(Split.TEST), after.slides(Split.TEST), strict=True):
        np.testing.assert_array_equal(old.read(0, 0, 50, 50), new.read(0, 0, 50, 50))
    assert after.verify().ok


def test_truth_and_unit_labels_of_glands(root: Path) -> None:
    dataset = Glas(root, GlasOptions())
    slide = dataset.slides(Split.TRAIN)[0]
    with Image.open(dataset.cases[slide.id].mask) as image:
        mask = np.asarray(image)
    np.testing.assert_array_equal(dataset.truth(slide).labels(dataset.evaluation_grid(slide)), mask > 0)
    np.testing.assert_array_equal(dataset.truth(slide).instances(dataset.evaluation_grid(slide)), mask)
    units = dataset.unit_grid(slide)
    assert units.digest == Grid.windows(slide.size, 112, 56).digest
    shares = np.array([(mask[y : y + 112, x : x + 112] > 0).mean() for _, _, x, y in units.patches()])
    np.testing.assert_array_equal(dataset.unit_labels(slide).ravel(), shares > 0.05)
    some = int(np.flatnonzero((shares > 0.05) & (shares < 0.5))[0])
    strict = Glas(root, GlasOptions(presence=float(shares[some])))
    assert strict.unit_labels(slide).ravel()[some] == 0, "covering exactly the limit is not enough"
    assert dataset.patch_grid(slide).digest == Grid.windows(slide.size, 112, 28).digest


def test_target_malignant_is_an_image_level_task(root: Path) -> None:
    dataset = Glas(root, GlasOptions(target="malignant"))
    assert dataset.classes == ("benign", "malignant")
    for slide in dataset.slides(Split.TEST):
        malignant = dataset.cases[slide.id].grade == "malignant"
        assert dataset.unit_grid(slide).shape == (1, 1)
        np.testing.assert_array_equal(dataset.unit_labels(slide), [[malignant]])
        cells = dataset.truth(slide).labels(dataset.evaluation_grid(slide))
        assert bool(cells.any()) == malignant
        assert (dataset.coarse(slide).count() > 0) == malignant


def test_coarse_annotation_covers_a_region_and_follows_its_options(root: Path) -> None:
    drawn = GlasOptions(coarse_keep="all", coarse_halve="never", coarse_cell=4, coarse_dilation=2)
    dataset = Glas(root, drawn)
    slide = dataset.slides(Split.TRAIN)[0]
    grid = dataset.evaluation_grid(slide)
    truth, coarse = dataset.truth(slide).labels(grid) > 0, dataset.coarse(slide).labels(grid) > 0
    assert (truth & coarse).sum() > 0.93 * truth.sum() and coarse.sum() > truth.sum()
    np.testing.assert_array_equal(coarse, Glas(root, drawn).coarse(slide).labels(grid) > 0)
    wider = Glas(root, drawn.model_copy(update={"coarse_dilation": 9}))
    assert (wider.coarse(slide).labels(grid) > 0).sum() > coarse.sum()


def test_validation_is_cut_by_patient_and_can_be_left_out(root: Path) -> None:
    dataset, whole = Glas(root, GlasOptions()), Glas(root, GlasOptions(validation=0))
    train, validation = dataset.slides(Split.TRAIN), dataset.slides(Split.VALIDATION)
    assert not {slide.patient for slide in train} & {slide.patient for slide in validation}
    assert whole.slides(Split.VALIDATION) == []
    assert {slide.id for slide in whole.slides(Split.TRAIN)} == {slide.id for slide in [*train, *validation]}


def test_patient_folds_partition_the_images(root: Path) -> None:
    folds = [Glas(root, GlasOptions(protocol="patient", folds=3, fold=fold)) for fold in range(3)]
    tested = [slide.id for dataset in folds for slide in dataset.slides(Split.TEST)]
    assert sorted(tested) == sorted(folds[0].cases)
    for dataset in folds:
        patients = [{slide.patient for slide in dataset.slides(split)} for split in Split]
        assert sum(map(len, patients)) == len(set().union(*patients)), "a patient is in one split only"
        assert dataset.subsets() == {}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"fold": 1}, "protocol=official"),
        ({"protocol": "patient", "fold": 5}, "does not exist"),
        ({"unit_stride": 113}, "leaves gaps"),
        ({"patch_side": 16, "patch_stride": 28}, "leaves gaps"),
        ({"validation": 0.6}, "validation"),
        ({"presence": 0.5}, "presence"),
        ({"target": "tumour"}, "target"),
        ({"side": 3}, "side"),
    ],
)
def test_options_out_of_range_are_refused(values: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        GlasOptions.model_validate(values)


def test_another_class_of_options_is_a_mistake_of_the_caller(root: Path) -> None:
    with pytest.raises(TypeError, match="GlasOptions"):
        Glas(root, Options())


def test_dataset_travels_to_other_processes(root: Path) -> None:
    dataset = Glas(root, GlasOptions())
    slide = dataset.slides(Split.TRAIN)[0]
    labels = dataset.unit_labels(slide)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset)).unit_labels(slide), labels)


def test_many_truths_are_not_all_kept(root: Path) -> None:
    dataset = Glas(root, GlasOptions())
    for split in Split:
        for slide in dataset.slides(split):
            assert dataset.truth(slide) is dataset.truth(slide)
    assert len(dataset._truths) == 8 < len(dataset.cases)


@pytest.mark.realdata
def test_real_data_verifies(real: Path) -> None:
    dataset = Glas(real, GlasOptions())
    report = dataset.verify()
    assert report.ok, report.findings
    assert report.facts["images"] == 165 and report.facts["patients"] == 16
    assert report.facts["shared_patients"] == 11
    assert report.facts["test_images_of_training_patients"] == 79 and report.facts["test_images"] == 80
    assert any("79 of the 80" in finding.text and finding.ok is None for finding in report.findings)


@pytest.mark.realdata
def test_real_splits(real: Path) -> None:
    dataset = Glas(real, GlasOptions())
    assert len(dataset.slides(Split.TEST)) == 80
    assert {name: len(part) for name, part in dataset.subsets().items()} == {"testA": 60, "testB": 20}
    validation = dataset.slides(Split.VALIDATION)
    assert 9 <= len(validation) <= 17 and len(dataset.slides(Split.TRAIN)) == 85 - len(validation)
    grades = Counter(dataset.cases[slide.id].grade for slide in validation)
    assert min(grades["benign"], grades["malignant"]) >= 3
    assert len(Glas(real, GlasOptions(validation=0)).slides(Split.TRAIN)) == 85
    sizes = []
    for fold in range(5):
        test = Glas(real, GlasOptions(protocol="patient", fold=fold)).slides(Split.TEST)
        sizes.append(len(test))
        assert {dataset.cases[slide.id].grade for slide in test} == {"benign", "malignant"}
    assert sum(sizes) == 165 and max(sizes) - min(sizes) <= 10
    slide = Glas(real, GlasOptions(validation=0)).slides(Split.TRAIN)[0]
    assert dataset.unit_grid(slide).shape == (9, 13), "as in the released patch lists"
