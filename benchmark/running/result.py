"""What a finished run knows: metrics, labels used, seconds, memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.effort import summary_of
from benchmark.identity import digest_of
from benchmark.metrics.calibration_report import Calibration
from benchmark.metrics.subgroups import Column
from benchmark.metrics.suite import METRICS, Summary
from benchmark.reporting.label_cost import read_cost_model
from benchmark.resources import Meter
from benchmark.running.completeness import Completeness
from benchmark.running.headlines import HEADLINES
from benchmark.running.job import Job
from benchmark.stages import StageRecord
from benchmark.supervision import Ledger
from benchmark.tracking.names import stored_name


@dataclass(frozen=True)
class RunResult:
    """The result of one run, before it is written anywhere."""

    job: Job
    summary: Summary
    ledger: Ledger
    stages: Sequence[StageRecord]
    history: Sequence[tuple[str, float, int | None]]
    train: dict[str, float]
    fitting: Meter
    scoring: Meter
    complete: Completeness
    reading_notes: Sequence[tuple[str, str, str]] = ()
    """What was passed over, mended or supposed while slides and annotations were read: (split, slide, note)."""
    calibration: Calibration | None = None
    groups: Sequence[Column] = ()
    """The figures of subgroups, a column of the data each."""

    def numbers(self) -> dict[str, float]:
        """Every number of the run under its name in the tracking store.

        A metric of a subset comes as `testA/pixel/miou`; an interval as `pixel/miou.low` and `.high`.
        """
        summary = self.summary
        numbers = {metric_name(name): value for name, value in summary.values.items()}
        for name, (low, high) in summary.intervals.items():
            numbers[metric_name(name, ".low")], numbers[metric_name(name, ".high")] = low, high
        numbers.update({metric_name(name, ".std"): value for name, value in summary.spreads.items()})
        costs = costs_of(self.stages, self.fitting, self.scoring)
        train = {stored_name(name): value for name, value in self.train.items()}
        effort = {stored_name(name): value for name, value in summary_of(self.history).items()}
        numbers.update({} if self.calibration is None else self.calibration.numbers())
        labels = {**labels_of(self.ledger), **label_minutes(self.ledger)}
        return {**numbers, **self.complete.numbers(), **train, **labels, **effort, **costs}

    def headline(self) -> str:
        """The numbers that matter, as Markdown for the run's page."""
        rows = []
        for name in HEADLINES:
            if name in self.summary.values:
                low, high = self.summary.intervals.get(name, (None, None))
                within = "" if low is None else f"{low:.3f} – {high:.3f}"
                rows.append(f"| {METRICS[name].title} | {self.summary.values[name]:.3f} | {within} |")
        table = "\n".join(("| test slides | | 95 % interval |", "|---|---|---|", *rows))
        repeat = "`bench run --config config.yaml --force` repeats this run"
        return f"{table}\n\nSee `summary.html` among the artifacts; {repeat}."


def costs_of(stages: Sequence[StageRecord], fitting: Meter, scoring: Meter) -> dict[str, float]:
    """Seconds, memory and stages of a run. `cost/seconds` counts reused stages by what they took when computed."""
    reused = sum(stage.seconds for stage in stages if stage.reused)
    alone = fitting.seconds + scoring.seconds + reused
    costs = {
        "cost/fit_seconds": fitting.seconds,
        "cost/score_seconds": scoring.seconds,
        "cost/reused_seconds": reused,
        "cost/seconds": alone,
        "cost/cpu_seconds": fitting.cpu_seconds + scoring.cpu_seconds,
        "cost/peak_memory_mib": max(fitting.peak_mib, scoring.peak_mib),
        "cost/reused_stages": float(sum(stage.reused for stage in stages)),
    }
    gpu = max(fitting.peak_gpu_mib, scoring.peak_gpu_mib)
    if gpu:
        costs["cost/peak_gpu_memory_mib"] = gpu
        costs["cost/gpu_seconds"] = alone
    for stage in merged(stages):
        costs[stored_name(f"stage/{stage.name}_seconds")] = stage.seconds
        costs[stored_name(f"stage/{stage.name}_peak_mib")] = stage.peak_mib
    return costs


def merged(stages: Sequence[StageRecord]) -> list[StageRecord]:
    """One record per kind of stage: those of single slides (`refine:slide_1`, `refine:slide_2`) are added up.

    Seconds add, the peak is the highest; reused only when all of them were.
    """
    kinds: dict[str, list[StageRecord]] = {}
    for stage in stages:
        kinds.setdefault(stage.name.partition(":")[0], []).append(stage)
    return [
        StageRecord(
            kind,
            digest_of([stage.digest for stage in parts]) if len(parts) > 1 else parts[0].digest,
            sum(stage.seconds for stage in parts),
            max(stage.peak_mib for stage in parts),
            max(stage.peak_gpu_mib for stage in parts),
            all(stage.reused for stage in parts),
        )
        for kind, parts in kinds.items()
    ]


def labels_of(ledger: Ledger) -> dict[str, float]:
    """The labels that a run used, per kind, and the seconds that an expert took for answers."""
    seconds = {"labels/review_seconds": ledger.review_seconds} if ledger.review_seconds else {}
    return {f"labels/{name}": float(count) for name, count in ledger.totals().items()} | seconds


def label_minutes(ledger: Ledger) -> dict[str, float]:
    """What the labels cost an expert by the shipped model, so that the store can draw a metric against it."""
    return {"cost/label_minutes": read_cost_model(None).minutes(ledger.totals())}


def metric_name(metric: str, part: str = "") -> str:
    """The name of a metric, or of a part of it (`.low`), in the tracking store.

    The metrics of a subset stand together there: `pixel/miou@testA` is `testA/pixel/miou`.
    """
    name, _, subset = metric.partition("@")
    return stored_name("/".join(filter(None, (subset, f"{name}{part}"))))
