"""What all whole-slide sets do with slides, annotations and bad input; CAMELYON16 stands for them."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark.annotations import Polygons, Region, Released, write_asap, write_geojson
from benchmark.dataset import SYNTHETIC_MARK, Options, Split
from benchmark.datasets.wsi.camelyon16 import Camelyon16, Camelyon16Options
from benchmark.datasets.wsi.splits import exclusion
from benchmark.errors import AnnotationError, DataError
from benchmark.registry import methods
from benchmark.running.evaluate import evaluate
from benchmark.slides import Slide
from benchmark.slides.pyramid import write_pyramid
from benchmark.testing.methods import fit, labels_of


@pytest.fixture
def root(miniatures: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the miniature that a test may break."""
    return Path(shutil.copytree(miniatures["camelyon16"], tmp_path / "camelyon16"))


def open_set(root: Path, **options: object) -> Camelyon16:
    """As a run does while it is planned: with every slide tried."""
    dataset = Camelyon16(root, Camelyon16Options(**options))
    dataset.slides(Split.TRAIN)
    return dataset


def tumours(dataset: Camelyon16) -> list[Slide]:
    return [slide for split in Split for slide in dataset.slides(split) if dataset.cases[slide.id].lesion]


def faults(dataset: Camelyon16) -> str:
    return "\n".join(finding.text for finding in dataset.verify().findings if finding.ok is False)


def ids(dataset: Camelyon16) -> set[str]:
    return {slide.id for split in Split for slide in dataset.slides(split)}


def scaled(dataset: Camelyon16, slide: Slide, factor: float) -> Polygons:
    from shapely import affinity

    regions = dataset.truth(slide).polygons()
    return Polygons([Region(affinity.scale(r.geometry, factor, factor, origin=(0, 0)), r.label) for r in regions])


def test_truncated_slide_is_missing_and_the_others_go_on(root: Path) -> None:
    before = ids(open_set(root))
    victim = open_set(root).slides(Split.TEST)[0]
    victim.path.write_bytes(victim.path.read_bytes()[: victim.path.stat().st_size // 3])
    dataset = open_set(root)
    assert ids(dataset) == before - {victim.id}
    assert list(dataset.missing(Split.TEST)) == [victim.id] and not dataset.missing(Split.TRAIN)
    assert victim.id in faults(dataset)


def test_slide_without_annotation_and_the_reverse_are_missing(root: Path) -> None:
    first, second = tumours(open_set(root))[:2]
    annotation = open_set(root).cases[first.id].annotation
    assert annotation is not None
    annotation.unlink()
    second.path.unlink()
    dataset = open_set(root)
    reasons = {slide: why for split in Split for slide, why in dataset.missing(split).items()}
    assert reasons[first.id] == f"{first.path.name} has no annotation"
    assert f"annotation {second.id}.xml is there" in reasons[second.id] and len(reasons) == 2


def test_empty_annotation_is_missing_and_a_malformed_one_is_named(root: Path) -> None:
    first, second = (open_set(root).cases[slide.id] for slide in tumours(open_set(root))[:2])
    assert first.annotation is not None and second.annotation is not None
    first.annotation.write_text("")
    second.annotation.write_text("<ASAP_Annotations><Annotations>")
    dataset = open_set(root)
    assert first.id not in ids(dataset) and second.id in ids(dataset)
    with pytest.raises(DataError, match=second.id):
        dataset.truth(dataset.slide(second.id))
    assert f"{first.id}.xml is empty" in faults(dataset) and second.annotation.name in faults(dataset)


def test_slide_without_tissue_is_named_when_its_tissue_is_asked_for(root: Path) -> None:
    slide = open_set(root).slides(Split.TEST)[-1]
    glass = np.full((1536, 1536, 3), 242, np.uint8)
    write_pyramid(slide.path, [glass], (1536, 1536), mpp=0.62)
    dataset = open_set(root)
    assert slide.id in ids(dataset)
    with pytest.raises(DataError, match=f"{slide.id}.*holds no tissue"):
        dataset.tissue(slide, dataset.evaluation_grid(slide))


def test_scoring_goes_on_without_glass_and_broken_annotations(root: Path, tmp_path: Path) -> None:
    glass, other, tumour = (open_set(root).slides(Split.TEST)[index] for index in (2, 1, 0))
    write_pyramid(glass.path, [np.full((1536, 1536, 3), 242, np.uint8)], (1536, 1536), mpp=0.62)
    annotation = open_set(root).cases[tumour.id].annotation
    assert annotation is not None
    annotation.write_text("<ASAP_Annotations>")
    dataset = open_set(root)
    trial = fit(methods().load("constant"), dataset, tmp_path / "stages")
    labels = labels_of(trial.method, dataset, Split.TEST, trial.ledger)
    done = evaluate(trial.method, dataset, dataset.slides(Split.TEST), labels, trial.context, what="test")
    assert [evidence.slide for evidence in done.evidence] == [other.id, glass.id]
    assert (done.evidence[1].scored, done.evidence[1].unscored) == (0, 0), "no cell of a glass slide counts"
    assert list(done.unreadable) == [tumour.id] and annotation.name in done.unreadable[tumour.id]


def test_annotation_in_the_pixels_of_another_level_is_refused(root: Path) -> None:
    dataset = open_set(root)
    slide = tumours(dataset)[0]
    case = dataset.cases[slide.id]
    assert case.annotation is not None
    write_asap(case.annotation, scaled(dataset, slide, 4))
    with pytest.raises(DataError, match=slide.id):
        open_set(root).truth(slide)
    assert slide.id in faults(open_set(root))


def test_names_in_drawn_annotations_are_settled_by_the_option(root: Path, tmp_path: Path) -> None:
    dataset = open_set(root)
    slide = next(slide for slide in dataset.slides(Split.TEST) if dataset.cases[slide.id].lesion)
    for each in tumours(dataset):
        write_geojson(tmp_path / "drawn" / f"{each.id}.geojson", dataset.truth(each), ("normal", "Suspicious"))
    drawn = open_set(root, coarse="drawn", coarse_path=tmp_path / "drawn")
    with pytest.raises(
        AnnotationError, match=r"(?s)'Suspicious' is none of normal, lesion.*--set classes='Suspicious=0'"
    ):
        drawn.coarse(slide)
    grid = drawn.evaluation_grid(slide)
    mapped = open_set(root, coarse="drawn", coarse_path=tmp_path / "drawn", classes="Suspicious=1")
    np.testing.assert_array_equal(mapped.coarse(slide).labels(grid), dataset.truth(slide).labels(grid))


def test_drawn_annotations_are_read_and_a_missing_one_leaves_its_slide_out(root: Path, tmp_path: Path) -> None:
    dataset = open_set(root)
    some, last = tumours(dataset)[:-1], tumours(dataset)[-1]
    folder = tmp_path / "drawn"
    folder.mkdir()
    for slide in some:
        write_geojson(folder / f"{slide.id}.geojson", dataset.truth(slide), dataset.classes)
    drawn = open_set(root, coarse="drawn", coarse_path=folder)
    assert ids(drawn) == ids(dataset) - {last.id}
    assert "no coarse annotation" in next(drawn.missing(s)[last.id] for s in Split if last.id in drawn.missing(s))
    for slide in some:
        grid = drawn.evaluation_grid(slide)
        np.testing.assert_array_equal(drawn.coarse(slide).labels(grid), drawn.truth(slide).labels(grid))
    normal = next(slide for slide in drawn.slides(Split.TRAIN) if not drawn.cases[slide.id].lesion)
    assert drawn.coarse(normal).count() == 0


def test_published_annotations_are_chosen_by_version(root: Path, tmp_path: Path) -> None:
    square = [[300, 300], [900, 300], [900, 900], [300, 900]]
    names = [slide.id for slide in tumours(open_set(root))]
    content = {
        name: {
            "coarse_top1": {"annotations_outer": [square], "annotations_inner": []},
            "coarse_pathologist_1": {
                "annotations_outer": [[[2 * x, 2 * y] for x, y in square]],
                "annotations_inner": [],
            },
        }
        for name in names
    }
    del content[names[0]]["coarse_pathologist_1"], content[names[-1]]["coarse_pathologist_1"]
    file = tmp_path / "coarse.sav"
    file.write_bytes(pickle.dumps(content))
    top = open_set(root, coarse="published", coarse_path=file)
    bounds = top.coarse(top.slide(names[0])).polygons()[0].geometry.bounds
    assert bounds == (300, 300, 900, 900) and ids(top) >= set(names)
    other = open_set(root, coarse="published", coarse_path=file, coarse_version="pathologist_1")
    reasons = other.missing(Split.TEST)
    assert list(reasons) == [names[-1]] and "no version pathologist_1" in reasons[names[-1]]
    training = other.slide(names[0])
    assert training in other.slides(Split.TRAIN), "who learns from single test slides needs no annotation of others"
    with pytest.raises(DataError, match="no version pathologist_1"):
        other.coarse(training)


def test_simulated_annotations_follow_seed_and_options(root: Path) -> None:
    dataset = open_set(root)
    slide = tumours(dataset)[0]
    grid = dataset.evaluation_grid(slide)
    truth, coarse = dataset.truth(slide).labels(grid) > 0, dataset.coarse(slide).labels(grid) > 0
    assert coarse.any() and (coarse != truth).any()
    exact = open_set(root, coarse_dilation=0, coarse_hull=False, coarse_keep="all", coarse_cell=dataset.cell(slide))
    np.testing.assert_array_equal(exact.coarse(slide).labels(grid) > 0, truth)
    halves = [open_set(root, coarse_halve="always", coarse_seed=seed).coarse(slide).labels(grid) for seed in range(6)]
    assert len({half.tobytes() for half in halves}) > 1


def test_noise_is_the_same_every_time_and_follows_its_seed(root: Path) -> None:
    dataset = open_set(root, coarse="noise", noise_flip_positive=0.3, noise_flip_negative=0.1)
    slide = tumours(dataset)[0]
    grid = dataset.evaluation_grid(slide)
    labels = dataset.coarse(slide).labels(grid)
    again = open_set(root, coarse="noise", noise_flip_positive=0.3, noise_flip_negative=0.1)
    other = open_set(root, coarse="noise", noise_flip_positive=0.3, noise_flip_negative=0.1, coarse_seed=1)
    np.testing.assert_array_equal(again.coarse(slide).labels(grid), labels)
    assert (other.coarse(slide).labels(grid) != labels).any() and (labels != dataset.truth(slide).labels(grid)).any()


def test_the_label_rule_holds_for_truth_and_coarse_alike(root: Path) -> None:
    centre, released = open_set(root), open_set(root, label_rule="released")
    slide = tumours(centre)[0]
    grid = centre.evaluation_grid(slide)
    assert isinstance(released.truth(slide), Released) and isinstance(released.coarse(slide), Released)
    assert (released.truth(slide).labels(grid) > 0).sum() < (centre.truth(slide).labels(grid) > 0).sum()
    assert isinstance(released._coarse(slide), Polygons), "the truth is coarsened as it was drawn"


def test_a_slide_without_resolution_takes_the_sets_and_it_is_said(root: Path) -> None:
    slide = open_set(root).slides(Split.TRAIN)[0]
    pixels = slide.read(0, 0, *slide.size)
    write_pyramid(slide.path, [pixels], slide.size, mpp=None)
    dataset = open_set(root, scales="mixed")
    assert dataset.facts[slide.id].mpp is None and dataset.slide(slide.id).mpp == dataset.nominal_mpp
    assert dataset.cell(dataset.slide(slide.id)) == 256 and dataset.cell(dataset.slides(Split.TEST)[0]) == 128
    notes = [finding.text for finding in dataset.verify().findings if finding.ok is None]
    assert any(slide.id in note and "no resolution" in note for note in notes)


def test_the_inclusion_rule_takes_slides_by_the_share_of_their_lesion(root: Path) -> None:
    dataset = open_set(root)
    shares = {slide.id: dataset.lesion_share(slide.id) for slide in tumours(dataset)}
    assert all(0 < share < 1 for share in shares.values())
    expected = {name for name, share in shares.items() if 0.1 <= share <= 0.9}
    assert {name for name, share in shares.items() if exclusion(dataset.cases[name], share) is None} == expected
    some = dataclasses.replace(dataset.cases[next(iter(shares))], exhaustive=False)
    assert exclusion(some, 0.5) == "not exhaustively annotated"
    if {split for split in Split for slide in dataset.slides(split) if slide.id in expected} >= {
        Split.TRAIN,
        Split.TEST,
    }:
        included = open_set(root, inclusion="lcmil", validation=0)
        assert ids(included) == expected and set(included.excluded) == ids(dataset) - expected


def test_lcmil_protocol_tests_on_the_papers_slides(root: Path) -> None:
    dataset = open_set(root, protocol="lcmil", validation=0)
    assert {slide.id for slide in dataset.slides(Split.TEST)} == {"test_016"}
    assert ids(dataset) == {slide.id for slide in tumours(open_set(root))}
    (root / SYNTHETIC_MARK).unlink()
    real = open_set(root, protocol="lcmil", validation=0)
    assert len(real.missing(Split.TEST)) == 23 and "test_026" in real.missing(Split.TEST)
    assert "expected slides are missing" in faults(real)


def test_an_empty_split_is_refused_with_the_first_reason(root: Path) -> None:
    for slide in open_set(root).slides(Split.TEST):
        slide.path.write_bytes(b"II*\0")
    with pytest.raises(DataError, match=r"no test slides.*3 cannot be used, the first is test_\d{3}: "):
        open_set(root)


def test_no_slide_is_opened_before_one_is_asked_for(root: Path) -> None:
    for path in root.rglob("*.tif"):
        path.write_bytes(b"II*\0")
    for options in ({}, {"inclusion": "lcmil"}):
        dataset = Camelyon16(root, Camelyon16Options(**options))
        with pytest.raises(DataError, match=r"no train slides.*cannot be used, the first is \w+_\d{3}: "):
            dataset.slides(Split.TRAIN)
        with pytest.raises(DataError, match="no train slides"):
            dataset.verify()


def test_a_run_refuses_slides_that_cannot_be_opened_while_it_is_planned(root: Path, tmp_path: Path) -> None:
    from benchmark.running.job import open_data
    from benchmark.running.plan import RunRequest, plan

    for path in root.rglob("*.tif"):
        path.write_bytes(b"II*\0")
    spec = plan(RunRequest(method="constant", dataset="camelyon16", data=str(root)))[0]
    with pytest.raises(DataError, match="no train slides"):
        open_data(spec, tmp_path / "cache")


def test_other_options_are_refused() -> None:
    with pytest.raises(TypeError, match="Camelyon16Options"):
        Camelyon16(Path(), Options())


def test_tissue_masks_are_held_for_a_few_slides(root: Path) -> None:
    dataset = open_set(root)
    slide = dataset.slides(Split.TEST)[0]
    grid = dataset.evaluation_grid(slide)
    first = dataset.tissue(slide, grid)
    slide.path.unlink()
    np.testing.assert_array_equal(dataset.tissue(slide, grid), first)
