from __future__ import annotations

import numpy as np
from shapely import box

from benchmark.annotations import LabelImage, Polygons, Region
from benchmark.annotations.two_class_annotation import TwoClasses, positive_cells
from benchmark.dataset import Split
from benchmark.datasets.tiles.crc import Crc, CrcOptions
from benchmark.registry import methods
from benchmark.slides import Grid
from benchmark.two_classes import TwoClassView, seen_by

LABELS = np.array([[0, 1, 2], [2, 3, 3]], np.uint8)


def test_positive_classes_become_one_and_all_others_none() -> None:
    image = LabelImage(LABELS, classes={1: 1, 2: 2, 3: 3}, downsample=4)
    two = TwoClasses(image, {0, 3}, 4)
    grid = Grid.regular((12, 8), 4)
    np.testing.assert_array_equal(two.labels(grid), [[1, 0, 0], [0, 1, 1]])
    np.testing.assert_allclose(two.fractions(Grid.whole((12, 8)), 2), [[[0.5, 0.5]]])
    np.testing.assert_array_equal(two.instances(grid) > 0, [[False, False, False], [False, True, True]])
    np.testing.assert_array_equal(positive_cells(LABELS, {2}), LABELS == 2)


def test_outlines_of_other_classes_still_cut_what_they_overwrite() -> None:
    drawn = Polygons([Region(box(0, 0, 12, 12), 2), Region(box(4, 4, 8, 8), 1)])
    two = TwoClasses(drawn, {2}, 3)
    assert two.count() == 1 and [own.label for own in two.polygons()] == [1, 0]
    np.testing.assert_array_equal(Polygons(two.polygons()).labels(Grid.regular((12, 12), 4))[1], [1, 0, 1])


def test_a_method_of_two_classes_sees_tumour_against_the_rest(miniatures) -> None:
    crc = Crc(miniatures["crc"], CrcOptions())
    seen = seen_by(methods().load("constant"), crc)
    assert isinstance(seen, TwoClassView) and seen.classes == ("rest", "TUM")
    slide = crc.slides(Split.TEST)[0]
    grid = seen.evaluation_grid(slide)
    np.testing.assert_array_equal(seen.truth(slide).labels(grid) == 1, crc.truth(slide).labels(grid) == 8)
    np.testing.assert_array_equal(seen.truth(slide).labels(grid), seen.unit_labels(slide))
    two = Crc(miniatures["crc"], CrcOptions(target="tumour"))
    assert seen_by(methods().load("constant"), two) is two
