"""What a stored model must say of itself to be used on other slides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import DataError

CARD, CONFIG, WEIGHTS = "card.json", "config.yaml", "model.pt"
"""Files of a stored model, in the folder `model` of a run."""


@dataclass(frozen=True)
class Threshold:
    """A threshold of slide or unit scores: where it comes from, and what it was worth on the run's test units.

    `value`: None where there is no honest one, `why` says so. `sensitivity`, `specificity`: at it, on test units.
    """

    value: float | None
    why: str
    sensitivity: float | None = None
    specificity: float | None = None

    @property
    def meaning(self) -> str:
        """In words."""
        if self.value is None:
            return f"no threshold: {self.why}"
        rates = {"sensitivity": self.sensitivity, "specificity": self.specificity}
        told = ", ".join(f"{name} {rate:.3f}" for name, rate in rates.items() if rate is not None)
        return f"{self.value:.4g}, {self.why}" + (f"; on the run's test units: {told}" if told else "")


@dataclass(frozen=True)
class ModelCard:
    """`mpp`: least and greatest microns per pixel of the slides it learnt from, None where they have none.

    `temperatures`: of `unit` and `cell` scores, where the run scaled them.
    """

    run: str
    dataset: str
    data_digest: str
    synthetic: bool
    classes: tuple[str, ...]
    mpp: tuple[float, float] | None
    slides: int
    threshold: Threshold
    supervision: tuple[str, ...]
    temperatures: Mapping[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ModelCard:
        """Read what `save` wrote. Raises `DataError` for anything else."""
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            mpp = content.pop("mpp")
            threshold = Threshold(**content.pop("threshold"))
            classes, supervision = tuple(content.pop("classes")), tuple(content.pop("supervision"))
            resolution = None if mpp is None else (float(mpp[0]), float(mpp[1]))
            return cls(**content, classes=classes, mpp=resolution, threshold=threshold, supervision=supervision)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path} does not describe a stored model: {error}") from error


def honest_threshold(values: Mapping[str, float], absent: Mapping[str, str]) -> Threshold:
    """The threshold that validation units chose, with its rates on the test units; `values`: metrics of the run."""
    value = values.get("image/threshold_at_val")
    if value is None:
        return Threshold(None, absent.get("image/threshold_at_val", "the run has no validation units of both classes"))
    rates = (values.get(f"image/{name}_at_val") for name in ("sensitivity", "specificity"))
    return Threshold(value, "the lowest score of a positive validation unit: at it and above, all of them", *rates)
