"""What the process of a trial has to know besides its run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrialTask:
    """One trial of a study. `parent`: the study's run in the tracking store. `watch`: the curve that may prune it."""

    study: str
    number: int
    parent: str
    watch: str | None = None
