"""PAIP2019 and PAIP2020: layouts, layers, folds and units."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark.dataset import SYNTHETIC_MARK, Split
from benchmark.datasets.wsi.paip import PaipDataset
from benchmark.datasets.wsi.paip2019 import Paip2019, Paip2019Options
from benchmark.datasets.wsi.paip2020 import Paip2020, Paip2020Options
from benchmark.errors import DataError
from benchmark.slides.facts import slide_facts


@pytest.fixture(params=["paip2019", "paip2020"])
def dataset(request: pytest.FixtureRequest, miniatures: dict[str, Path]) -> PaipDataset:
    kind = {"paip2019": Paip2019, "paip2020": Paip2020}[request.param]
    return kind(miniatures[request.param], kind.Options())


def test_slides_are_svs_with_a_resolution(dataset: PaipDataset) -> None:
    for slide in dataset.slides(Split.TEST):
        facts = slide_facts(slide.path, slide.id)
        assert facts.vendor == "aperio" and facts.mpp == pytest.approx(0.62, abs=0.01)
        assert slide.path.suffix == ".svs" and slide.path.with_suffix(".xml").is_file()
        assert dataset.cell(slide) == 128


def test_units_are_regions_labelled_by_their_lesion(dataset: PaipDataset) -> None:
    for slide in dataset.slides(Split.TEST):
        units, labels = dataset.unit_grid(slide), dataset.unit_labels(slide)
        assert units.width == 4 * dataset.cell(slide) and labels.shape == units.shape
        covered = dataset.truth(slide).fractions(units, 2)[..., 1] > 0.05
        np.testing.assert_array_equal(labels > 0, covered)
        assert dataset.unit_top(slide) == 1
        assert units.x[-1] + units.width == slide.size[0], "the last region ends with the slide"


def test_the_paper_tests_on_its_own_slides(dataset: PaipDataset) -> None:
    assert {slide.id for slide in dataset.slides(Split.TEST)} <= set(dataset.listed)
    training = {slide.id for split in (Split.TRAIN, Split.VALIDATION) for slide in dataset.slides(split)}
    assert not training & set(dataset.listed) and len(training) == 6


def test_folds_test_every_slide_once(dataset: PaipDataset) -> None:
    kind, tested = type(dataset), []
    for fold in range(3):
        part = kind(dataset.root, kind.Options(protocol="official", folds=3, fold=fold))
        tested += [slide.id for slide in part.slides(Split.TEST)]
        assert part.slides(Split.TRAIN)
    assert sorted(tested) == sorted(dataset.cases)


def test_official_counts_and_absent_slides(dataset: PaipDataset, tmp_path: Path) -> None:
    assert dataset.verify().ok
    root = Path(shutil.copytree(dataset.root, tmp_path / "copy"))
    (root / SYNTHETIC_MARK).unlink()
    real = type(dataset)(root, dataset.options)
    report = real.verify()
    texts = [finding.text for finding in report.findings if finding.ok is False]
    assert any("9 annotated slides; the release has" in text for text in texts)
    assert len(real.missing(Split.TEST)) == len(dataset.listed) - 3


def test_layers_of_paip2019_are_the_whole_and_the_viable_tumour(miniatures: dict[str, Path]) -> None:
    root = miniatures["paip2019"]
    viable, whole = Paip2019(root, Paip2019Options()), Paip2019(root, Paip2019Options(layer="whole"))
    larger = 0
    for slide in viable.slides(Split.TEST):
        grid = viable.evaluation_grid(slide)
        inner, outer = viable.truth(slide).labels(grid) > 0, whole.truth(slide).labels(grid) > 0
        assert inner.any() and not (inner & ~outer).any()
        larger += int(outer.sum() > inner.sum())
    assert larger


def test_paip2020_cuts_its_region_in_half(miniatures: dict[str, Path]) -> None:
    root = miniatures["paip2020"]
    half, full = Paip2020(root, Paip2020Options()), Paip2020(root, Paip2020Options(coarse_halve="never"))
    for slide in half.slides(Split.TEST):
        grid = half.evaluation_grid(slide)
        assert (half.coarse(slide).labels(grid) > 0).sum() < (full.coarse(slide).labels(grid) > 0).sum()


def test_a_folder_of_something_else_is_refused(dataset: PaipDataset, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/slide.svs").write_text("")
    with pytest.raises(DataError, match="holds no slide such as"):
        type(dataset)(tmp_path / "other", dataset.options)
