"""The result of the metrics: values, reasons for absent ones, intervals, rows per slide, and notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmark.errors import ConfigError
from benchmark.metrics.catalogue import METRICS


@dataclass(frozen=True)
class Summary:
    """The result of `summarise`.

    `values`: metric name → number, never NaN. `absent`: metric name → why it has no value.
    `intervals`: metric name → (low, high), 95 %. `per_slide`: one flat row per slide, None where undefined.
    `spreads`: name of a mean over slides → standard deviation over slides (ddof = 1).
    `confusion`: pooled numbers of cells per true (row) and predicted (column) one of `classes`; empty where the data
    have two classes, or the prediction has none.
    `facts`: name → note on the figures, such as the unit that sets a threshold.
    """

    values: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    spreads: dict[str, float] = field(default_factory=dict)
    per_slide: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)

    def put(self, name: str, value: float | None, reason: str, interval: tuple[float, float] | None = None) -> None:
        """Report a value with its interval, or the reason why there is none."""
        if value is None:
            self.absent[name] = reason
            return
        self.values[name] = float(value)
        if interval is not None:
            self.intervals[name] = interval

    def add_subset(self, subset: str, part: Summary) -> None:
        """Add the metrics of a part of the slides as `name@subset`; without those that apply to no slide."""
        self.values.update({f"{name}@{subset}": value for name, value in part.values.items()})
        self.intervals.update({f"{name}@{subset}": interval for name, interval in part.intervals.items()})
        self.spreads.update({f"{name}@{subset}": spread for name, spread in part.spreads.items()})
        for name, reason in part.absent.items():
            if name in self.values:
                self.absent[f"{name}@{subset}"] = reason

    def hide(self, hidden: Mapping[str, str]) -> None:
        """Move metrics to `absent`: keys are names or `prefix/*`, for all subsets and slides alike.

        Raises `ConfigError` for a key that fits no metric: a slip there would show a metric that must be hidden.
        """
        for pattern, reason in hidden.items():
            bases = {
                name
                for name in METRICS
                if name == pattern or (pattern.endswith("/*") and name.startswith(pattern[:-1]))
            }
            if not bases:
                raise ConfigError(f"no metric is called {pattern!r}; there are: {', '.join(METRICS)}")
            for name in [name for name in (*self.values, *self.absent) if name.partition("@")[0] in bases]:
                self.values.pop(name, None)
                self.intervals.pop(name, None)
                self.spreads.pop(name, None)
                self.absent[name] = reason
            for name in [name for name in self.facts if name.partition(":")[0] in bases]:
                del self.facts[name]
            for row in self.per_slide:
                row.update({name: None for name in bases if name in row})
