"""A run's result in the words of the summary page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.metrics.suite import METRICS
from benchmark.provenance import code_version
from benchmark.reporting.folded import Folded
from benchmark.reporting.run_facts import RunFacts, StageCost
from benchmark.running.headlines import HEADLINES
from benchmark.running.result import RunResult, merged
from benchmark.supervision import Supervision


def run_facts(
    result: RunResult, pictures: Mapping[str, Path], figures: Mapping[str, Path], folded: Sequence[Folded] = ()
) -> RunFacts:
    """All that the summary page shows of `result`."""
    job, summary = result.job, result.summary
    splits = ", ".join(f"{count} {name.removesuffix('_slides')}" for name, count in job.profile().items())
    paid = f". Budget {job.spec.budget.text}: {job.allotment.notes}" if job.spec.budget and job.allotment else ""
    drawn = f", a draw of at most {job.spec.slides} of each split (--slides): no result" if job.spec.slides else ""
    return RunFacts(
        title=f"{job.title} on {job.experiment}",
        subtitle=f"{type(job.method).card.title}. Preset {job.spec.preset}, {splits} slides{drawn}{paid}.",
        command="bench run --config config.yaml --force",
        refines=Supervision.COARSE in job.method.supervision,
        synthetic=job.dataset.synthetic,
        values=summary.values,
        intervals=summary.intervals,
        spreads=summary.spreads,
        absent=summary.absent,
        titles={name: info.title for name, info in METRICS.items()},
        headlines=tuple(HEADLINES),
        train=result.train,
        ledger=result.ledger.totals(),
        stages=[StageCost(s.name, s.seconds, s.peak_mib, s.reused, s.peak_gpu_mib) for s in merged(result.stages)],
        totals={
            "learning": f"{result.fitting.seconds:.1f} s",
            "scoring": f"{result.scoring.seconds:.1f} s",
            "peak memory": f"{max(result.fitting.peak_mib, result.scoring.peak_mib):.0f} MiB",
        },
        facts={**summary.facts, "identity": job.identity, "data digest": job.data_digest, "code": code_version()},
        rows=summary.per_slide,
        rank_by="pixel/dice",
        classes=summary.classes,
        confusion=summary.confusion,
        pictures=pictures,
        figures=figures,
        settings=job.stored_params(),
        reading_notes=result.reading_notes,
        folded=folded,
    )
