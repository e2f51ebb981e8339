"""What curves might have been: with other seeds and other patients, the same ones for every method.

Seeds: the means over n seeds, of all budgets and methods together, are drawn from Student's t with n − 1 degrees of
freedom around the means that were found, with the covariance of the seeds divided by n. With residuals r_s of the
seeds, z_s ~ N(0, 1) and u ~ χ²(n − 1), the means move by Σ_s z_s r_s / √(n (n − 1)) · √((n − 1) / u). Three or five
seeds resampled with replacement would give intervals that are far too short.

Patients: P are drawn with replacement, c_p times each; a value moves by √(P / (P − 1)) · Σ_p (c_p − 1) · i_p with the
influence i_p of patient p. Of a mean over m slides it is Σ (v − mean) / m over the patient's slides; of an AUC the sum
of DeLong's structural components (V − AUC) / (number of units of that class). A pooled metric of cells is moved like
the mean over slides of the same metric.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.metrics.statistics import draw_counts
from benchmark.reporting.budget_curves.label_curve import Floats, LabelCurve
from benchmark.seeds import generator

DRAWS = 2000


def resampled(curves: Sequence[LabelCurve], *, draws: int = DRAWS, seed: int = 0) -> list[Floats | None]:
    """Of every curve, `draws` resamples of its mean over seeds, draws × k. Draws of one number belong together.

    None for a curve of one seed without patients: its resamples would all be the same.
    """
    moved = [np.repeat(curve.mean[None], draws, axis=0) for curve in curves]
    _move_seeds(curves, moved, draws, seed)
    _move_patients(curves, moved, draws, seed)
    return [values if curve.varies else None for curve, values in zip(curves, moved, strict=True)]


def _move_seeds(curves: Sequence[LabelCurve], moved: Sequence[Floats], draws: int, seed: int) -> None:
    known = sorted({own for curve in curves for own in curve.seeds})
    normal = generator("budget curves", "seeds", seed).standard_normal((draws, len(known)))
    for curve, values in zip(curves, moved, strict=True):
        n = len(curve.seeds)
        if n < 2:
            continue
        chi = generator("budget curves", "scale", seed, n).chisquare(n - 1, size=(draws, 1))
        residuals = curve.values - curve.mean[:, None]
        chosen = normal[:, [known.index(own) for own in curve.seeds]]
        values += chosen @ residuals.T / np.sqrt(n * (n - 1)) * np.sqrt((n - 1) / chi)


def _move_patients(curves: Sequence[LabelCurve], moved: Sequence[Floats], draws: int, seed: int) -> None:
    known = sorted({patient for curve in curves for patient in curve.patients})
    if len(known) < 2:
        return
    counts = draw_counts(generator("budget curves", "patients", seed), len(known), len(known), draws) - 1.0
    for curve, values in zip(curves, moved, strict=True):
        if len(curve.patients) > 1:
            own = counts[:, [known.index(patient) for patient in curve.patients]]
            values += np.sqrt(len(known) / (len(known) - 1)) * own @ curve.influence.T


def influence_of_mean(values: Floats, patients: Sequence[int], number: int) -> Floats:
    """Of the mean of n slides' values, per patient; slides without a value (NaN) do not count."""
    defined = ~np.isnan(values)
    centred = np.where(defined, values - np.nanmean(values), 0.0) / max(1, int(defined.sum()))
    influence: Floats = np.bincount(patients, weights=centred, minlength=number).astype(np.float64)
    return influence


def influence_of_auc(labels: Sequence[int], scores: Floats, patients: Sequence[int], number: int) -> Floats:
    """Of the AUC of n units, per patient, by DeLong's structural components. Both classes must occur."""
    from scipy.stats import rankdata

    positive = np.asarray(labels) == 1
    ranks, components = rankdata(scores), np.zeros(len(scores))
    wins, losses = int(positive.sum()), int((~positive).sum())
    components[positive] = (ranks[positive] - rankdata(scores[positive])) / losses
    components[~positive] = 1 - (ranks[~positive] - rankdata(scores[~positive])) / wins
    centred = components - components[positive].mean()
    shares = np.where(positive, centred / wins, centred / losses)
    influence: Floats = np.bincount(patients, weights=shares, minlength=number).astype(np.float64)
    return influence
