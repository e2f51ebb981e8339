"""Metrics as formulas of sums, so that slides, patients and resamples pool by addition."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Base of all evidence that pools by addition. Every field is a number, zero by default."""

    def __add__(self, other: Self) -> Self:
        """Pool two pieces of evidence: field by field."""
        return type(self)(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @classmethod
    def columns(cls, evidence: Sequence[Self]) -> dict[str, Floats]:
        """The same field of every piece of evidence, as one array per field name."""
        return {f.name: np.array([getattr(e, f.name) for e in evidence], dtype=np.float64) for f in fields(cls)}


class PooledMetric:
    """A metric as a formula of sums: its parameters carry the names of the fields it reads.

    Called with one piece of evidence it gives a number, or None where the formula divides by zero. `many`
    evaluates whole arrays of sums at once (slides, or bootstrap resamples), with NaN where undefined.
    """

    def __init__(self, formula: Callable[..., Floats]) -> None:
        self._formula = formula
        self._names = tuple(inspect.signature(formula).parameters)
        functools.update_wrapper(self, formula)

    def __call__(self, counts: Counts) -> float | None:
        """The metric of one piece of evidence; None where it is undefined."""
        value = float(self._formula(*(np.float64(getattr(counts, name)) for name in self._names)))
        return None if math.isnan(value) else value

    def many(self, sums: dict[str, Floats]) -> Floats:
        """The metric of many sums at once: arrays of one shape in, an array of that shape out."""
        return self._formula(*(sums[name] for name in self._names))


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Numerator / denominator element by element, NaN (undefined) where the denominator is zero."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    quotient = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient
