"""Refinement of a coarse annotation: wrong cells cleaned, right cells broken (LC-MIL, Table I)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.pooled import Counts, Floats, PooledMetric, ratio


@dataclass(frozen=True)
class RefinementEvidence(Counts):
    """Numbers of cells: `wrong` in the coarse annotation, `mended` of these; `right` in it, `broken` of these."""

    wrong: int = 0
    mended: int = 0
    right: int = 0
    broken: int = 0

    @classmethod
    def of(
        cls,
        truth: NDArray[np.bool_],
        coarse: NDArray[np.bool_],
        refined: NDArray[np.bool_],
        where: NDArray[np.bool_] | None = None,
    ) -> RefinementEvidence:
        """Compare three masks of one shape, only the cells in `where` when it is given."""
        counted = truth.size if where is None else int(np.count_nonzero(where))
        wrong_before, wrong_after = truth != coarse, truth != refined
        if where is not None:
            wrong_before, wrong_after = wrong_before & where, wrong_after & where
        wrong = int(np.count_nonzero(wrong_before))
        stayed = int(np.count_nonzero(wrong_before & wrong_after))
        return cls(wrong, wrong - stayed, counted - wrong, int(np.count_nonzero(wrong_after)) - stayed)


@PooledMetric
def cleaned(mended: Floats, wrong: Floats) -> Floats:
    """Percent of the coarse annotation's wrong cells that are right afterwards: 100 |wrong → right| / |wrong|."""
    return 100 * ratio(mended, wrong)


@PooledMetric
def mis_modified(broken: Floats, right: Floats) -> Floats:
    """Percent of the coarse annotation's right cells that are wrong afterwards: 100 |right → wrong| / |right|."""
    return 100 * ratio(broken, right)


@PooledMetric
def accuracy_gain(mended: Floats, broken: Floats, wrong: Floats, right: Floats) -> Floats:
    """Accuracy after minus before, in percentage points.

    Equal to cleaned · (1 − accuracy_before) − mis_modified · accuracy_before: the identity that Table I obeys.
    """
    return 100 * ratio(mended - broken, wrong + right)


def is_valid(ppv: float | None, npv: float | None) -> bool:
    """Whether a hand-drawn coarse annotation is usable: PPV > 0.5 and NPV > 0.5, both strictly (LC-MIL, Eq. 11).

    Both on tissue cells. An undefined value (nothing drawn, or everything) makes it unusable.
    """
    return ppv is not None and npv is not None and ppv > 0.5 and npv > 0.5
