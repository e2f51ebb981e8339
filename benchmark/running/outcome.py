"""How a run ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.config import RunSpec
from benchmark.running.states import State


@dataclass(frozen=True)
class Outcome:
    """How one run ended.

    `metrics`: every number under its name in the tracking store, whether the run was done now or before (`pixel/dice`,
    `pixel/dice.low`, `testA/pixel/dice` for a subset, `labels/…`, `cost/…`). Those of a trial are of the validation
    slides, without the `validation/` that the store puts before them.
    """

    spec: RunSpec
    state: State
    reason: str = ""
    run_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: BaseException | None = None
    rows: Sequence[Mapping[str, Any]] = ()
    """One per test slide, as `Summary.per_slide`."""
    trace: str = ""


class ElsewhereError(Exception):
    """Another process, here or on another machine, is doing this very run; its text says which."""
