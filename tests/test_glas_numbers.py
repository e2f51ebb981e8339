"""Label images of GlaS that do not number their glands: no object metric is computed from them as if they did."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.dataset import Split
from benchmark.datasets.tiles.glas import Glas
from benchmark.datasets.tiles.glas_numbers import numbering
from benchmark.metrics.suite import gather, summarise
from benchmark.slides import Grid


def masks(root: Path) -> list[Path]:
    return sorted(root.rglob("*_anno.*"))


def saved(file: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(file)


def as_black_and_white(root: Path, number: int = 255) -> None:
    for file in masks(root):
        saved(file, ((np.asarray(Image.open(file)) > 0) * number).astype(np.uint8))


@pytest.fixture
def root(miniatures: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(miniatures["glas"], tmp_path / "glas"))


@pytest.mark.parametrize("number", [255, 1, 7])
def test_black_and_white_masks_have_no_objects(root: Path, number: int) -> None:
    assert Glas(root, Glas.Options()).objects
    as_black_and_white(root, number)
    dataset = Glas(root, Glas.Options())
    assert not dataset.objects
    reason = dataset.numbering.reason
    assert reason is not None and "object metrics are left out" in reason and "label images (" in reason
    report = dataset.verify()
    assert reason in [finding.text for finding in report.findings]


def test_object_metrics_are_absent_where_the_glands_are_not_numbered(root: Path) -> None:
    """The figures of a report: object F1 of 1.000 for a prediction of which 0.242 is true."""
    shown = {}
    for form in ("numbered", "black and white"):
        if form == "black and white":
            as_black_and_white(root)
        dataset = Glas(root, Glas.Options())
        evidence = []
        for slide in dataset.slides(Split.TEST):
            truth, grid = dataset.truth(slide), Grid.pixels(slide.size)
            labels = truth.labels(grid)
            joined = np.ones(labels.shape, np.float32)  # everything is one object
            evidence.append(
                gather(
                    slide.id,
                    slide.patient,
                    scores=joined,
                    truth=labels,
                    instances=truth.instances(grid) if dataset.objects else None,
                    unit_labels=np.array([1], np.int8),
                    unit_scores=np.array([0.9], np.float32),
                )
            )
        summary = summarise(evidence)
        shown[form] = summary.values.get("object/f1"), summary.absent.get("object/f1")
    assert shown["numbered"][0] is not None and shown["numbered"][0] < 0.5
    assert shown["black and white"][0] is None
    assert shown["black and white"][1] is not None


def test_a_few_masks_without_numbers_are_numbered_by_their_areas(root: Path) -> None:
    first = next(file for file in masks(root) if len(np.unique(np.asarray(Image.open(file)))) > 3)
    name = first.stem.removesuffix("_anno")
    before = Glas(root, Glas.Options())
    slide = next(s for split in Split for s in before.slides(split) if s.id == name)
    grid = Grid.pixels(slide.size)
    objects = before.truth(slide).instances(grid)
    saved(first, (np.asarray(Image.open(first)) > 0).astype(np.uint8))
    dataset = Glas(root, Glas.Options())
    assert dataset.objects
    assert dataset.numbering.unnumbered == {name}
    [note] = dataset.notes[name]
    assert (note.slide, note.file) == (name, str(first))
    assert "each connected area of them is taken for a gland" in note.text
    found = dataset.truth(slide).instances(grid)
    np.testing.assert_array_equal(found > 0, objects > 0)
    assert 1 < len(np.unique(found)) <= len(np.unique(objects))
    assert len({(a, b) for a, b in zip(found.ravel().tolist(), objects.ravel().tolist(), strict=True)}) == len(
        np.unique(objects)
    ), "areas are unions of glands"


def image(path: Path, pixels: list[list[int]], scale: int = 8) -> tuple[str, Path]:
    saved(path, np.kron(np.array(pixels), np.ones((scale, scale))).astype(np.uint8))
    return path.stem, path


def test_what_counts_as_unnumbered(tmp_path: Path) -> None:
    numbered = [image(tmp_path / f"n{n}.png", [[1, 0, 2], [0, 0, 0], [3, 0, 4]]) for n in range(3)]
    split = image(tmp_path / "split.png", [[1, 0, 2], [0, 0, 0], [3, 0, 1]])
    classes = image(tmp_path / "classes.png", [[1, 0, 2], [0, 0, 0], [2, 0, 1]])
    alone = image(tmp_path / "alone.png", [[255, 255, 0], [0, 0, 0], [0, 0, 0]])
    speck = image(tmp_path / "speck.png", [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    pixels = np.asarray(Image.open(speck[1])).copy()
    pixels[20, 20] = 1
    saved(speck[1], pixels)
    assert numbering([*numbered, split, alone, speck]).unnumbered == frozenset()
    assert numbering([*numbered, classes]).unnumbered == {"classes"}
    assert numbering([classes, alone]).reason is not None
    assert numbering([alone]).reason is None
    (tmp_path / "broken.png").write_bytes(b"nothing")
    assert numbering([("broken", tmp_path / "broken.png"), *numbered]).reason is None


@pytest.mark.realdata
def test_the_challenge_s_own_masks(shared_data: Path, tmp_path: Path) -> None:
    dataset = Glas(shared_data / "glas", Glas.Options())
    assert dataset.objects
    assert dataset.numbering.unnumbered == {"testB_3", "testB_11", "testB_18", "testB_19"}
    copy = Path(shutil.copytree(shared_data / "glas", tmp_path / "glas", copy_function=shutil.copyfile))
    as_black_and_white(copy)
    assert not Glas(copy, Glas.Options()).objects
