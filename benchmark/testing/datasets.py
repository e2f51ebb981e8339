"""What every dataset must keep. Runs on a miniature that the adapter itself writes."""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from filelock import FileLock

from benchmark.dataset import Dataset, Split
from benchmark.digest import content_digest
from benchmark.errors import DataError
from benchmark.registry import datasets
from benchmark.slides import Slide

SLIDES, SEED = 9, 7


def miniature(kind: type[Dataset], root: Path, seed: int = SEED) -> Dataset:
    """Write a miniature into `root` and open it with the default options."""
    kind.synthesize(root, slides=SLIDES, seed=seed)
    return kind(root, kind.Options())


def shared_miniature(kind: type[Dataset], factory: pytest.TempPathFactory) -> Dataset:
    """The miniature of this test session, see `shared_root`."""
    return kind(shared_root(kind, factory), kind.Options())


def shared_root(kind: type[Dataset], factory: pytest.TempPathFactory) -> Path:
    """The folder of a miniature that is written once for all workers of a test session; only to be read."""
    session = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent
    root = session / "shared-miniatures" / kind.name
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_suffix(".lock")):
        if not root.is_dir():
            kind.synthesize(root, slides=SLIDES, seed=SEED)
    return root


class Contract:
    """What both suites share: the name of the component under test."""

    name: ClassVar[str] = ""

    @pytest.fixture(scope="class")
    @classmethod
    def component(cls) -> str:
        """The registered name of the component under test."""
        return cls.name


class DatasetContract(Contract):
    """Subclass it and set `name`, or override the fixture `component`."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, component: str) -> type[Dataset]:
        """The dataset class."""
        return datasets().load(component)

    @pytest.fixture(scope="class")
    @classmethod
    def dataset(cls, kind: type[Dataset], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
        """A miniature, shared by the tests that only read."""
        return shared_miniature(kind, tmp_path_factory)

    @pytest.fixture
    def copy(self, dataset: Dataset, tmp_path: Path) -> Path:
        """A copy of the miniature's folder that a test may break."""
        shutil.copytree(dataset.root, tmp_path / "copy")
        return tmp_path / "copy"

    def test_card_and_options_are_documented(self, kind: type[Dataset]) -> None:
        empty = [field.name for field in dataclasses.fields(kind.card) if not getattr(kind.card, field.name)]
        assert not empty, f"the card of {kind.name} leaves {empty} empty"
        silent = [name for name, field in kind.Options.model_fields.items() if not field.description]
        assert not silent, f"options of {kind.name} without a description: {silent}"

    def test_miniature_is_marked_and_verifies(self, dataset: Dataset) -> None:
        assert dataset.synthetic
        faults = [finding.text for finding in dataset.verify().findings if finding.ok is False]
        assert not faults

    def test_splits_share_no_slide_and_validation_no_patient(self, dataset: Dataset) -> None:
        parts = {split: dataset.slides(split) for split in Split}
        assert parts[Split.TRAIN] and parts[Split.TEST], "train and test must not be empty"
        ids = [slide.id for part in parts.values() for slide in part]
        assert len(ids) == len(set(ids))
        shared = {s.patient for s in parts[Split.TRAIN]} & {s.patient for s in parts[Split.VALIDATION]}
        assert not shared, f"patients in both train and validation: {shared}"
        for split, part in parts.items():
            assert [s.id for s in dataset.slides(split)] == [s.id for s in part], "the order must be fixed"

    def test_subsets_are_parts_of_the_test_split(self, dataset: Dataset) -> None:
        test = {slide.id for slide in dataset.slides(Split.TEST)}
        for name, part in dataset.subsets().items():
            assert part, f"subset {name} is empty"
            assert {slide.id for slide in part} <= test

    def test_subgroups_are_text_by_column(self, dataset: Dataset) -> None:
        for slide in dataset.slides(Split.TEST):
            for column, group in dataset.subgroups(slide).items():
                assert isinstance(column, str) and column and isinstance(group, str), (
                    f"{slide.id}: {column!r}: {group!r}"
                )

    def test_truth_and_units_fit_the_grids(self, dataset: Dataset) -> None:
        positives = negatives = 0
        for slide in _some(dataset):
            if dataset.annotated(slide):
                cells = dataset.truth(slide).labels(dataset.evaluation_grid(slide))
                assert cells.shape == dataset.evaluation_grid(slide).shape
                assert set(np.unique(cells)) <= set(range(len(dataset.classes)))
            else:
                with pytest.raises(DataError, match=re.escape(slide.id)):
                    dataset.truth(slide)
            units = dataset.unit_labels(slide)
            assert units.shape == dataset.unit_grid(slide).shape and units.dtype == np.int8
            assert set(np.unique(units)) <= {0, 1}
            positives, negatives = positives + int((units == 1).sum()), negatives + int((units == 0).sum())
            assert dataset.patch_grid(slide).rows * dataset.patch_grid(slide).cols > 0
        assert positives and negatives, "a miniature needs positive and negative units"

    def test_fractions_agree_with_the_centre_rule_on_pixels(self, dataset: Dataset) -> None:
        for slide in _annotated(dataset)[:1]:
            grid = dataset.patch_grid(slide)
            fractions = dataset.truth(slide).fractions(grid, len(dataset.classes))
            assert fractions.shape == (*grid.shape, len(dataset.classes))
            np.testing.assert_allclose(fractions.sum(axis=-1), 1.0, atol=1e-6)

    def test_coarse_annotation_is_the_same_every_time(self, dataset: Dataset) -> None:
        for slide in _annotated(dataset)[:2]:
            grid = dataset.evaluation_grid(slide)
            first, second = dataset.coarse(slide).labels(grid), dataset.coarse(slide).labels(grid)
            np.testing.assert_array_equal(first, second)
            assert first.shape == grid.shape

    def test_slides_travel_to_other_processes(self, dataset: Dataset) -> None:
        slide = _some(dataset)[0]
        twin: Slide = pickle.loads(pickle.dumps(slide))
        np.testing.assert_array_equal(twin.read(0, 0, 32, 32), slide.read(0, 0, 32, 32))

    def test_miniatures_follow_their_seed(self, kind: type[Dataset], dataset: Dataset, tmp_path: Path) -> None:
        same, other = miniature(kind, tmp_path / "same"), miniature(kind, tmp_path / "other", seed=SEED + 1)
        assert _content(same) == _content(dataset)
        assert _content(other) != _content(dataset)

    def test_digest_notices_one_changed_byte(self, kind: type[Dataset], copy: Path) -> None:
        before = kind(copy, kind.Options())
        digest = _content(before)
        victim = before.files()[-1]
        content = bytearray(victim.read_bytes())
        content[-1] ^= 0xFF
        victim.write_bytes(bytes(content))
        assert content_digest(copy, before.files()) != digest

    def test_missing_and_truncated_files_are_named(self, kind: type[Dataset], copy: Path) -> None:
        victim = kind(copy, kind.Options()).slides(Split.TRAIN)[0].files[0]
        content = victim.read_bytes()
        victim.write_bytes(content[: len(content) // 3])
        assert _complaint(kind, copy, victim), "a truncated slide goes unnoticed"
        victim.unlink()
        assert _complaint(kind, copy, victim), "a missing slide goes unnoticed"

    def test_what_cannot_be_used_is_listed_or_refused(self, kind: type[Dataset], copy: Path) -> None:
        victim = kind(copy, kind.Options()).slides(Split.TRAIN)[0]
        victim.files[0].unlink()
        try:
            dataset = kind(copy, kind.Options())
            missing = {slide: why for split in Split for slide, why in dataset.missing(split).items()}
        except DataError as error:
            assert _named(victim.files[0], str(error))
            return
        assert missing.get(victim.id), "an absent slide is neither refused nor listed as missing"
        assert not missing.keys() & {slide.id for split in Split for slide in dataset.slides(split)}

    def test_tissue_is_told_for_every_cell(self, dataset: Dataset) -> None:
        for slide in _some(dataset)[:2]:
            grid = dataset.evaluation_grid(slide)
            tissue = dataset.tissue(slide, grid)
            assert tissue is None or (tissue.shape == grid.shape and tissue.dtype == np.bool_ and tissue.any())

    def test_a_folder_that_is_not_the_dataset_is_refused(self, kind: type[Dataset], tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for root in (tmp_path / "missing", tmp_path / "empty"):
            with pytest.raises(DataError, match=str(root.name)):
                kind(root, kind.Options())

    def test_synthesize_spares_a_folder_with_files(self, kind: type[Dataset], tmp_path: Path) -> None:
        (tmp_path / "precious.txt").write_text("do not delete")
        with pytest.raises(DataError):
            kind.synthesize(tmp_path, slides=SLIDES, seed=SEED)
        assert (tmp_path / "precious.txt").read_text() == "do not delete"


def _some(dataset: Dataset) -> list[Slide]:
    return [*dataset.slides(Split.TRAIN), *dataset.slides(Split.TEST)]


def _annotated(dataset: Dataset) -> list[Slide]:
    return [slide for slide in _some(dataset) if dataset.annotated(slide)]


def _content(dataset: Dataset) -> str:
    return content_digest(dataset.root, dataset.files())


def _complaint(kind: type[Dataset], root: Path, victim: Path) -> bool:
    """Opening or verifying must fail and name the file (by its stem, so a pair may be named by either half)."""
    try:
        report: Any = kind(root, kind.Options()).verify()
    except DataError as error:
        return _named(victim, str(error))
    return any(finding.ok is False and _named(victim, finding.text) for finding in report.findings)


def _named(victim: Path, text: str) -> bool:
    """A file by its stem; one of a folder of tiles, which no list names, by its folder with a number of tiles."""
    return victim.stem in text or bool(re.search(rf"\b{re.escape(victim.parent.name)} holds \d+ tiles", text))
