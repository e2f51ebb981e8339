"""The image-level metrics: AUC, and sensitivity and specificity at three kinds of threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics import classification, image_facts
from benchmark.metrics.at_sensitivity import reselected
from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.classification import OperatingPoint, clopper_pearson
from benchmark.metrics.evidence import SlideEvidence, Units
from benchmark.metrics.pooled import Floats, ratio
from benchmark.metrics.statistics import patient_draws, percentile_interval, resampled_auc
from benchmark.metrics.summary import Summary

Mask = NDArray[np.bool_]

TARGETS = {"100": 1.0, "99_5": 0.995, "99": 0.99}
"""Required sensitivities, by the ending of the metric's name."""


class ImageLevel:
    """Adds the metrics `image/…` of one group of test slides to a summary."""

    def __init__(self, summary: Summary, test: Sequence[SlideEvidence], group: str, resamples: int, seed: int) -> None:
        self.summary = summary
        self.units = Units.of(test)
        self.group = group
        self.patients = int(self.units.patients.max(initial=-1)) + 1
        self.resamples, self.seed = resamples, seed
        self.draws = self._draws(resamples, seed)

    def add(self, validation: Sequence[SlideEvidence]) -> None:
        """Report every image-level metric, or why it has no value."""
        reason = _unusable(self.units, self.group)
        if reason is not None:
            self._absent("image/", reason)
            return
        one_class = self._one_class("AUC")
        auc = classification.auc(self.units.labels, self.units.scores)
        self.summary.put("image/auc", auc, one_class, self._auc_interval())
        if auc is not None:
            self.summary.facts["image/auc:DeLong"] = image_facts.delong_words(self.units)
        self._at_threshold(0.5, "image/sensitivity", "image/specificity")
        self._at_declared()
        self._at_sensitivity()
        self._at_validation(validation)
        self._at_youden(validation)

    def _at_sensitivity(self) -> None:
        """Specificity at fixed sensitivities, the threshold being chosen on the same units, as the paper does."""
        for ending, target in TARGETS.items():
            name = f"image/specificity_at_{ending}"
            point = classification.spec_at_sensitivity(self.units.labels, self.units.scores, target)
            value = point.specificity if point else None
            self.summary.put(name, value, self._one_class("specificity at fixed sensitivity"), self._held(point))
            if ending == "100":
                self.summary.put("image/threshold_at_100", point.threshold if point else None, self._lacks(1))
            if point is not None and point.unit is not None:
                facts = self.summary.facts
                facts[f"{name}:threshold"] = str(np.float32(point.threshold))
                facts[f"{name}:unit"] = self.units.names[point.unit]
                found = self._rate_interval(self.units.labels == 1, self.units.scores >= point.threshold)
                facts[f"{name}:sensitivity"] = image_facts.proportion(point.true_positives, point.positives, found)
                self._reselected(name, target)

    def _reselected(self, name: str, target: float) -> None:
        """A second interval, in which the threshold is not held fixed."""
        units = self.units
        result = reselected(
            units.labels, units.scores, units.patients, target, resamples=self.resamples, seed=self.seed
        )
        if result is not None:
            self.summary.facts[f"{name}:threshold chosen again"] = image_facts.reselected_words(result)

    def _at_validation(self, validation: Sequence[SlideEvidence]) -> None:
        """Sensitivity and specificity at the threshold that finds every positive validation unit."""
        units = Units.of(validation)
        reason = "there are no validation slides" if not validation else _unusable(units, "validation")
        point = None if reason else classification.spec_at_sensitivity(units.labels, units.scores)
        if point is None or point.unit is None:
            for name in ("image/sensitivity_at_val", "image/specificity_at_val", "image/threshold_at_val"):
                self.summary.put(name, None, reason or "no validation unit is positive, so none sets the threshold")
            return
        self.summary.put("image/threshold_at_val", point.threshold, "")
        self.summary.facts["image/threshold_at_val:unit"] = units.names[point.unit]
        self._at_threshold(point.threshold, "image/sensitivity_at_val", "image/specificity_at_val")

    def _at_youden(self, validation: Sequence[SlideEvidence]) -> None:
        """Accuracy and F1 at the threshold of Youden's index on the validation units."""
        units = Units.of(validation)
        reason = "there are no validation slides" if not validation else _unusable(units, "validation")
        point = None if reason else classification.youden(units.labels, units.scores)
        if point is None:
            reason = reason or "all validation units are of one class, so none sets the threshold"
            for name in ("image/accuracy_at_youden", "image/f1_at_youden", "image/threshold_at_youden"):
                self.summary.put(name, None, reason)
            return
        if np.isfinite(point.threshold):
            self.summary.put("image/threshold_at_youden", point.threshold, "")
        else:
            self.summary.put("image/threshold_at_youden", None, "no validation score does better than chance")
        labels, called = self.units.labels == 1, self.units.scores >= point.threshold
        everything = np.ones_like(called)
        interval = self._rate_interval(everything, labels == called)
        self.summary.put("image/accuracy_at_youden", float(np.mean(labels == called)), "", interval)
        count = int(labels.sum() + called.sum())
        f1 = 2 * int((labels & called).sum()) / count if count else None
        reason = f"no {self.group} unit is positive, neither in truth nor prediction"
        self.summary.put("image/f1_at_youden", f1, reason, self._f1_interval(labels, called))

    def _f1_interval(self, labels: Mask, called: Mask) -> tuple[float, float] | None:
        if self.draws is None:
            return None
        hits, *sides = (
            np.bincount(self.units.patients[x], minlength=self.patients) for x in (labels & called, labels, called)
        )
        return percentile_interval(ratio(2 * (self.draws @ hits), self.draws @ (sides[0] + sides[1])))

    def _at_threshold(self, threshold: float, sensitivity: str, specificity: str) -> None:
        """Both rates at a threshold that does not depend on the test units."""
        labels, scores = self.units.labels, self.units.scores
        detected, rejected = scores >= threshold, scores < threshold
        value = classification.sensitivity(labels, scores, threshold)
        self.summary.put(sensitivity, value, self._lacks(1), self._rate_interval(labels == 1, detected))
        value = classification.specificity(labels, scores, threshold)
        self.summary.put(specificity, value, self._lacks(0), self._rate_interval(labels == 0, rejected))

    def _at_declared(self) -> None:
        """Both rates at a few more thresholds, which were not chosen on these units."""
        labels, scores = self.units.labels, self.units.scores
        for name, label in (("image/sensitivity", 1), ("image/specificity", 0)):
            members = labels == label
            if not members.any():
                continue
            rates = {}
            for threshold in image_facts.DECLARED:
                # As the scores are stored: a score of 0.9 is one of at least 0.9.
                right = (scores >= np.float64(np.float32(threshold))) == (label == 1)
                counts = int(np.sum(members & right)), int(np.sum(members))
                rates[threshold] = (*counts, self._rate_interval(members, right))
            self.summary.facts[f"{name}:at declared thresholds"] = image_facts.rates_at(rates)

    def _draws(self, resamples: int, seed: int) -> Floats | None:
        """Draw patients with and without a positive unit separately, so that every resample has both."""
        strata = np.bincount(self.units.patients[self.units.labels == 1], minlength=self.patients) > 0
        with_, without = int(strata.sum()), int((~strata).sum())
        if self.patients < 2 or with_ == 1 or without == 1:
            text = (
                f"none: {with_} patients with a positive unit, {without} without; each group needs none or at least 2"
            )
            self.summary.facts["image/auc:interval"] = text
            return None
        return patient_draws(self.patients, resamples, seed, strata)

    def _auc_interval(self) -> tuple[float, float] | None:
        if self.draws is None:
            return None
        return percentile_interval(resampled_auc(self.units.labels, self.units.scores, self.units.patients, self.draws))

    def _rate_interval(self, members: Mask, right: Mask) -> tuple[float, float] | None:
        """Exact when every patient has one unit, by the bootstrap over patients otherwise."""
        if self.patients > 1 and len(self.units.labels) == self.patients:
            return clopper_pearson(int(np.sum(members & right)), int(np.sum(members)))
        if self.draws is None:
            return None
        hits, cases = (np.bincount(self.units.patients[x], minlength=self.patients) for x in (members & right, members))
        return percentile_interval(ratio(self.draws @ hits, self.draws @ cases))

    def _held(self, point: OperatingPoint | None) -> tuple[float, float] | None:
        """With the threshold held fixed: the bootstrap of a minimum is not consistent."""
        if point is None:
            return None
        return self._rate_interval(self.units.labels == 0, self.units.scores < point.threshold)

    def _one_class(self, figure: str) -> str:
        kind = "positive" if self.units.labels.any() else "negative"
        return f"all {self.group} units are {kind}, {figure} is undefined"

    def _lacks(self, label: int) -> str:
        return f"no {self.group} unit is {'positive' if label else 'negative'}"

    def _absent(self, prefix: str, reason: str) -> None:
        for name in METRICS:
            if name.startswith(prefix):
                self.summary.put(name, None, reason)


def _unusable(units: Units, group: str) -> str | None:
    """Why these units cannot be evaluated, or None. NaN scores are not ignored."""
    if not units.labels.size:
        return f"there are no {group} units"
    missing = np.flatnonzero(np.isnan(units.scores))
    if missing.size:
        return f"{missing.size} of {units.scores.size} {group} units have no score (first: {units.names[missing[0]]})"
    return None
