"""Object-level metrics of the GlaS challenge: F1, Dice and Hausdorff distance.

Source: Sirinukunwattana et al., Gland segmentation in colon histology images: the GlaS challenge contest,
Medical Image Analysis 35 (2017), section 4. S_i are the predicted objects, G_j those of the truth, |·| areas.
Objects are compared within a slide; counts and weights are pooled over all slides.

* A predicted object's counterpart is the truth object that it overlaps most, and the other way round.
* F1 = 2 TP / (2 TP + FP + FN): S_i is a true positive when it covers at least half of its counterpart, otherwise a
  false positive. The challenge counts misses in two ways. `object_f1` follows its Matlab code (F1score.m): a truth
  object without a true positive is a false negative. `object_f1_text` follows its text: a truth object is one when its
  own counterpart covers less than half of it, so that one blob over two glands misses neither.
* Object Dice = ½ [Σ ω_i Dice(S_i, G(S_i)) + Σ ω̃_j Dice(G_j, S(G_j))] with ω_i = |S_i| / Σ|S|, ω̃_j = |G_j| / Σ|G|;
  an object without overlap counts 0.
* Object Hausdorff = ½ [Σ ω_i H(S_i, G(S_i)) + Σ ω̃_j H(G_j, S(G_j))], in cells; an object without overlap is compared
  with the object of the other side that has the smallest Hausdorff distance to it.

Half of a gland is enough, as in the text; the Matlab code asks for more than half. Where that is just what is covered,
`object_f1` counts a true positive and the code does not.

Our choices where the paper is silent: equal overlaps go to the lower object number; where a slide has no object
on the other side at all, the distance is the slide's diagonal (`alone` counts such objects).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import PredictionError
from benchmark.metrics.hausdorff import Shape, hausdorff, nearest
from benchmark.metrics.pooled import Counts, Floats, PooledMetric, ratio

Labels = NDArray[np.int32]

FEW = 1000
"""Object numbers up to this are used as they are; larger ones are renumbered first."""


@dataclass(frozen=True)
class ObjectEvidence(Counts):
    """Sums over the objects of a slide, each Dice and distance weighted by its object's area in cells.

    `fn`, `fn_text`: misses counted as in the challenge's Matlab code, and as in its text.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    area_predicted: int = 0
    area_truth: int = 0
    dice_predicted: float = 0.0
    dice_truth: float = 0.0
    distance_predicted: float = 0.0
    distance_truth: float = 0.0
    alone: int = 0
    fn_text: int = 0


@PooledMetric
def object_f1(tp: Floats, fp: Floats, fn: Floats) -> Floats:
    """Detection F1: 2 TP / (2 TP + FP + FN), counted in objects; misses as in the challenge's Matlab code."""
    return ratio(2 * tp, 2 * tp + fp + fn)


@PooledMetric
def object_f1_text(tp: Floats, fp: Floats, fn_text: Floats) -> Floats:
    """The same with misses as in the challenge's text."""
    return ratio(2 * tp, 2 * tp + fp + fn_text)


@PooledMetric
def object_dice(dice_predicted: Floats, dice_truth: Floats, area_predicted: Floats, area_truth: Floats) -> Floats:
    """Mean of the two area-weighted averages of Dice; 0 when one side has no object, undefined when both have none."""
    areas = np.stack([area_predicted, area_truth])
    sums = np.stack([dice_predicted, dice_truth])
    value: Floats = (sums / np.maximum(areas, 1)).mean(axis=0)
    return np.where(areas.any(axis=0), value, np.nan)


@PooledMetric
def object_hausdorff(
    distance_predicted: Floats, distance_truth: Floats, area_predicted: Floats, area_truth: Floats
) -> Floats:
    """Mean of the two area-weighted averages of Hausdorff distances, in cells; undefined when a side is empty."""
    return (ratio(distance_predicted, area_predicted) + ratio(distance_truth, area_truth)) / 2


def connected(mask: NDArray[np.bool_]) -> Labels:
    """Number the objects of a mask: 8-connected components, holes left open, 0 = background."""
    from scipy.ndimage import label

    numbered: Labels = label(mask, structure=np.ones((3, 3), dtype=bool), output=np.int32)[0]
    return numbered


def compare_objects(predicted: Labels, truth: Labels) -> ObjectEvidence:
    """Compare two images of object numbers (rows × cols, 0 = background; cells of one number are one object)."""
    if predicted.shape != truth.shape or truth.ndim != 2:
        raise PredictionError(f"object numbers must have one shape, got {predicted.shape} and {truth.shape}")
    predicted, truth = _compact(predicted), _compact(truth)
    overlap, sizes, true_sizes = _overlap(predicted, truth)
    n, m = overlap.shape
    tp, detected = _detections(overlap, true_sizes)
    dices, true_dices = _dices(overlap, sizes, true_sizes), _dices(overlap.T, true_sizes, sizes)
    distances, true_distances = _distances(predicted, truth, overlap)
    return ObjectEvidence(
        tp=tp,
        fp=n - tp,
        fn=m - detected,
        area_predicted=int(sizes.sum()),
        area_truth=int(true_sizes.sum()),
        dice_predicted=float(sizes @ dices),
        dice_truth=float(true_sizes @ true_dices),
        distance_predicted=float(sizes @ distances),
        distance_truth=float(true_sizes @ true_distances),
        alone=n + m if n == 0 or m == 0 else 0,
        fn_text=_misses_of_the_text(overlap, true_sizes),
    )


def _compact(labels: Labels) -> Labels:
    """The same objects in the same order, with numbers small enough for a table over them."""
    if labels.min(initial=0) < 0:
        raise PredictionError(f"object numbers must not be negative, got {labels.min()}")
    if labels.max(initial=0) <= FEW:
        return labels
    _, inverse = np.unique(np.append(0, labels.ravel()), return_inverse=True)
    return inverse[1:].reshape(labels.shape).astype(np.int32)


def _overlap(predicted: Labels, truth: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """|S_i ∩ G_j| for all pairs (predicted × truth objects), |S_i| and |G_j|; unused numbers are left out."""
    n, m = int(predicted.max(initial=0)) + 1, int(truth.max(initial=0)) + 1
    pairs = predicted.ravel().astype(np.int64)
    pairs *= m
    pairs += truth.ravel()
    # Row and column 0 hold the cells that lie in no object of the other side.
    table = np.bincount(pairs, minlength=n * m).reshape(n, m)
    sizes, true_sizes = table.sum(axis=1)[1:], table.sum(axis=0)[1:]
    return table[1:, 1:][np.ix_(sizes > 0, true_sizes > 0)], sizes[sizes > 0], true_sizes[true_sizes > 0]


def _detections(overlap: NDArray[np.int64], true_sizes: NDArray[np.int64]) -> tuple[int, int]:
    """True positives among the predicted objects, and how many truth objects they find."""
    if not overlap.size:
        return 0, 0
    partner = overlap.argmax(axis=1)
    covered = overlap[np.arange(len(overlap)), partner]
    hit = (covered > 0) & (2 * covered >= true_sizes[partner])
    return int(hit.sum()), len(np.unique(partner[hit]))


def _misses_of_the_text(overlap: NDArray[np.int64], true_sizes: NDArray[np.int64]) -> int:
    """Truth objects of which the predicted object that they overlap most covers less than half."""
    most = overlap.max(axis=0, initial=0)
    return int((2 * most < true_sizes).sum())


def _dices(overlap: NDArray[np.int64], own: NDArray[np.int64], other: NDArray[np.int64]) -> Floats:
    """Dice of each own object (rows) with the other object (columns) that it overlaps most."""
    if not overlap.size:
        return np.zeros(len(own))
    partner = overlap.argmax(axis=1)
    values: Floats = 2 * overlap[np.arange(len(own)), partner] / (own + other[partner])
    return values


def _distances(predicted: Labels, truth: Labels, overlap: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Hausdorff distance of each predicted and each truth object to its counterpart, in cells."""
    if not overlap.size:
        diagonal = float(np.hypot(*(np.array(truth.shape) - 1)))
        return np.full(overlap.shape[0], diagonal), np.full(overlap.shape[1], diagonal)
    ours, theirs = _shapes(predicted), _shapes(truth)
    known: dict[tuple[int, int], float] = {}

    def distance(i: int, j: int) -> float:
        if (i, j) not in known:
            known[i, j] = hausdorff(ours[i], theirs[j])
        return known[i, j]

    forth = [distance(i, int(row.argmax())) if row.any() else nearest(ours[i], theirs) for i, row in enumerate(overlap)]
    back = [distance(int(c.argmax()), j) if c.any() else nearest(theirs[j], ours) for j, c in enumerate(overlap.T)]
    return np.array(forth), np.array(back)


def _shapes(labels: Labels) -> list[Shape]:
    from scipy.ndimage import find_objects

    return [Shape(labels, number, window) for number, window in enumerate(find_objects(labels), start=1) if window]
