"""Object metrics of the GlaS challenge against the definition written out cell by cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.errors import PredictionError
from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.hausdorff import Shape, directed
from benchmark.metrics.objects import (
    ObjectEvidence,
    compare_objects,
    connected,
    object_dice,
    object_f1,
    object_f1_text,
    object_hausdorff,
)

law = settings(deadline=None)  # the first call imports scikit-learn or SciPy

label_images = arrays(np.int32, (6, 7), elements=st.sampled_from([0, 0, 0, 1, 2, 5]))


def cells_of(labels):
    return {int(number): np.argwhere(labels == number) for number in np.unique(labels) if number}


def distance(one, other):
    from scipy.spatial.distance import directed_hausdorff

    return max(directed_hausdorff(one, other)[0], directed_hausdorff(other, one)[0])


def counterpart(points, others, labels):
    """The most overlapping object (the lower number wins), and the overlap."""
    shared = {number: int(np.sum(labels[tuple(points.T)] == number)) for number in others}
    best = max(shared, key=lambda number: (shared[number], -number), default=None)
    return (best, shared[best]) if best is not None and shared[best] else (None, 0)


def by_definition(predicted, truth):
    """F1, Dice and Hausdorff of one slide as the paper defines them; None where undefined."""
    ours, theirs = cells_of(predicted), cells_of(truth)
    found, tp = set(), 0
    for points in ours.values():
        number, shared = counterpart(points, theirs, truth)
        if number is not None and shared / len(theirs[number]) >= 0.5:
            tp, found = tp + 1, found | {number}
    wrong = len(ours) - tp + len(theirs) - len(found)
    f1 = 2 * tp / (2 * tp + wrong) if ours or theirs else None
    covered = [counterpart(points, ours, predicted)[1] / len(points) for points in theirs.values()]
    missed = len(ours) - tp + sum(share < 0.5 for share in covered)
    f1_text = 2 * tp / (2 * tp + missed) if tp + missed else None
    dice, hausdorff = [], []
    for own, others, image in ((ours, theirs, truth), (theirs, ours, predicted)):
        area = sum(map(len, own.values()))
        dices = distances = 0.0
        for points in own.values():
            number, shared = counterpart(points, others, image)
            if number is not None:
                dices += len(points) / area * 2 * shared / (len(points) + len(others[number]))
                distances += len(points) / area * distance(points, others[number])
            elif others:
                distances += len(points) / area * min(distance(points, other) for other in others.values())
        dice.append(dices)
        hausdorff.append(distances)
    both = bool(ours) and bool(theirs)
    dices = np.mean(dice) if ours or theirs else None
    return f1, f1_text, dices, np.mean(hausdorff) if both else None


@law
@given(label_images, label_images)
def test_against_the_definition(predicted, truth):
    evidence = compare_objects(predicted, truth)
    f1, f1_text, dice, hausdorff = by_definition(predicted, truth)
    assert object_f1(evidence) == pytest.approx(f1)
    assert object_f1_text(evidence) == pytest.approx(f1_text)
    assert object_dice(evidence) == pytest.approx(dice)
    if hausdorff is not None:
        assert object_hausdorff(evidence) == pytest.approx(hausdorff)


@law
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3), st.floats(0.3, 3))
def test_distance_looks_at_fewer_cells_but_finds_the_same(seed, smooth, smoother):
    from scipy.ndimage import find_objects, gaussian_filter
    from scipy.spatial.distance import directed_hausdorff

    noise = np.random.default_rng(seed).normal(size=(2, 60, 65))
    mask, other = (gaussian_filter(n, sigma) > 0.3 / sigma for n, sigma in zip(noise, (smooth, smoother), strict=True))
    if not (mask.any() and other.any()):
        return
    one, two = (Shape(image.astype(np.int32), 1, find_objects(image.astype(int))[0]) for image in (mask, other))
    for source, target, a, b in ((one, two, mask, other), (two, one, other, mask)):
        assert directed(source, target) == pytest.approx(directed_hausdorff(np.argwhere(a), np.argwhere(b))[0])


def test_farthest_cell_may_lie_in_a_hole():
    ring, disc = np.zeros((41, 41), np.int32), np.zeros((41, 41), np.int32)
    rows, cols = np.indices(ring.shape)
    radius = np.hypot(rows - 20, cols - 20)
    disc[radius <= 20] = 1
    ring[(radius <= 20) & (radius > 15)] = 1
    evidence = compare_objects(ring, disc)
    assert object_hausdorff(evidence) == pytest.approx(by_definition(ring, disc)[3])
    assert object_hausdorff(evidence) > 15  # from the centre; no cell of the disc's edge is off the ring


def test_hand_worked_example():
    truth, predicted = np.zeros((10, 30), np.int32), np.zeros((10, 30), np.int32)
    truth[0:4, 0:4] = 1  # 16 cells, found: 12 of them covered
    predicted[0:4, 1:5] = 1
    truth[0:4, 10:18] = 2  # 32 cells, missed: 12 of them covered
    predicted[0:4, 15:18] = 2
    predicted[8:10, 28:30] = 3  # 4 cells, nothing there: nearest is object 2
    evidence = compare_objects(predicted, truth)
    assert (evidence.tp, evidence.fp, evidence.fn) == (1, 2, 1)
    assert object_f1(evidence) == 2 / 5
    dice_1, dice_2 = 24 / 32, 24 / 44
    forth = (16 * dice_1 + 12 * dice_2) / 32
    back = (16 * dice_1 + 32 * dice_2) / 48
    assert object_dice(evidence) == pytest.approx((forth + back) / 2)
    far = np.hypot(8, 18)  # from (0, 10), the far corner of object 2, to (8, 28)
    assert object_hausdorff(evidence) == pytest.approx(((16 * 1 + 12 * 5 + 4 * far) / 32 + (16 * 1 + 32 * 5) / 48) / 2)


def test_half_is_enough_and_less_is_not():
    truth = np.ones((1, 4), np.int32)
    half, less = np.array([[1, 1, 0, 0]], np.int32), np.array([[1, 0, 0, 0]], np.int32)
    assert object_f1(compare_objects(half, truth)) == 1
    assert object_f1(compare_objects(less, truth)) == 0
    halves = compare_objects(np.array([[1, 1, 2, 2]], np.int32), truth)
    assert (halves.tp, halves.fp, halves.fn) == (2, 0, 0)


def test_one_blob_over_two_objects_finds_one():
    truth = np.array([[1, 1, 0, 2, 2, 2]], np.int32)
    evidence = compare_objects(np.ones((1, 6), np.int32), truth)
    assert (evidence.tp, evidence.fp, evidence.fn) == (1, 0, 1)


def test_text_and_matlab_code_of_the_challenge_count_misses_differently():
    """By hand: glands of 2 and 3 cells under one blob, one of 4 cells of which 1 is covered, one of 2 unseen."""
    truth = np.array([[1, 1, 0, 2, 2, 2, 0, 3, 3, 3, 3, 0, 4, 4]], np.int32)
    predicted = np.array([[1, 1, 1, 1, 1, 1, 0, 2, 0, 0, 0, 0, 0, 0]], np.int32)
    evidence = compare_objects(predicted, truth)
    assert (evidence.tp, evidence.fp) == (1, 1)
    assert evidence.fn == 3, "Matlab: 4 glands less 1 hit"
    assert evidence.fn_text == 2, "text: gland 1 lies under the blob, glands 3 and 4 do not count as found"
    assert object_f1(evidence) == 2 / 6 and object_f1_text(evidence) == 2 / 5
    halves = compare_objects(np.array([[1, 1, 2, 2]], np.int32), np.ones((1, 4), np.int32))
    assert halves.fn_text == 0
    assert compare_objects(truth * 0, truth).fn_text == 4 and compare_objects(truth, truth * 0).fn_text == 0


def test_the_metrics_say_which_way_they_count():
    assert "Matlab" in METRICS["object/f1"].definition and "text" in METRICS["object/f1_text"].definition


def test_nothing_predicted_is_bad_and_nothing_at_all_is_undefined():
    truth, empty = np.zeros((4, 5), np.int32), np.zeros((4, 5), np.int32)
    truth[1, 1:3] = 7
    missed = compare_objects(empty, truth)
    assert (object_f1(missed), object_dice(missed), object_hausdorff(missed)) == (0, 0, None)
    assert (missed.alone, missed.distance_truth) == (1, 2 * 5.0)  # the diagonal of 4 × 5 cells is 5
    invented = compare_objects(truth, empty)
    assert (object_f1(invented), object_dice(invented), object_hausdorff(invented)) == (0, 0, None)
    nothing = compare_objects(empty, empty)
    assert nothing == ObjectEvidence()
    assert [metric(nothing) for metric in (object_f1, object_dice, object_hausdorff)] == [None] * 3


def test_pooling_weights_by_area_over_all_slides():
    small, large = np.zeros((4, 8), np.int32), np.zeros((4, 8), np.int32)
    small[0, 0] = large[:, :4] = 1
    half = np.where(np.arange(8) < 2, large, 0).astype(np.int32)
    pooled = compare_objects(small, small) + compare_objects(half, large)
    assert object_dice(pooled) == pytest.approx(((1 + 8 * 2 / 3) / 9 + (1 + 16 * 2 / 3) / 17) / 2)
    assert object_hausdorff(pooled) == pytest.approx((8 * 2 / 9 + 16 * 2 / 17) / 2)


@law
@given(label_images)
def test_truth_against_itself_is_perfect(labels):
    evidence = compare_objects(labels, labels)
    if labels.any():
        assert (object_f1(evidence), object_dice(evidence), object_hausdorff(evidence)) == (1, pytest.approx(1), 0)


@law
@given(label_images, label_images)
def test_names_of_objects_do_not_matter(predicted, truth):
    def spread(labels):
        return np.where(labels > 0, labels * 400_000_000, 0).astype(np.int32)

    assert compare_objects(spread(predicted), spread(truth)) == compare_objects(predicted, truth)


def test_components_touch_at_corners_and_keep_their_holes():
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], bool)
    labels = connected(mask)
    assert (labels.max(), labels.dtype) == (1, np.int32)
    np.testing.assert_array_equal(labels > 0, mask)


def test_bad_label_images_are_refused():
    labels = np.zeros((3, 3), np.int32)
    with pytest.raises(PredictionError, match=r"\(3, 3\) and \(3, 4\)"):
        compare_objects(labels, np.zeros((3, 4), np.int32))
    with pytest.raises(PredictionError, match="negative, got -1"):
        compare_objects(labels - 1, labels)


def test_a_tile_with_many_objects():
    rng = np.random.default_rng(0)
    rows, cols = np.ogrid[-45:46, -45:46]
    disc, egg = np.hypot(rows, cols) < 45, np.hypot(rows, cols * 1.3) < 45
    truth, predicted = np.zeros((522, 775), np.int32), np.zeros((522, 775), np.int32)
    for number, (y, x) in enumerate([(y, x) for y in range(20, 400, 110) for x in range(20, 650, 110)], start=1):
        truth[y : y + 91, x : x + 91][disc] = number
        dy, dx = rng.integers(-20, 20, 2)
        predicted[y + dy : y + dy + 91, x + dx : x + dx + 91][egg] = number
    evidence = compare_objects(predicted, truth)
    assert 0.6 < object_dice(evidence) < 0.95
