"""What a run leaves behind: configuration, tables, score maps, pictures, curves, the model."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark import storage
from benchmark.applying.model_card import CARD, CONFIG, WEIGHTS, ModelCard, honest_threshold
from benchmark.config import TRIVIAL_PRESET
from benchmark.csv_text import csv_text
from benchmark.dataset import Split
from benchmark.effort import EFFORT as EFFORT_NAME
from benchmark.effort import EFFORT_OF_SLIDE, logged_curves
from benchmark.file_names import file_name, id_file
from benchmark.metrics.suite import SlideEvidence
from benchmark.provenance import code_version
from benchmark.reporting import curves, overlays, style
from benchmark.reporting.folded import Folded
from benchmark.reporting.published_points import published_points
from benchmark.reporting.run_tables import write_report, write_table
from benchmark.running.calibration_part import calibration_part, draw_calibration
from benchmark.running.group_part import group_part
from benchmark.running.job import Job
from benchmark.running.result import RunResult
from benchmark.running.slide_picture import RANKED_BY, SIDE, slide_picture
from benchmark.running.summary_facts import run_facts
from benchmark.slides import ScoreMap
from benchmark.stages import StageRecord
from benchmark.stored import CALIBRATION, EFFORT, EFFORT_COLUMNS, GROUPS, NUMBERS
from benchmark.supervision import Supervision

if TYPE_CHECKING:
    from benchmark.slides import Slide

OVERLAYS = 12
"""Slides drawn at most: the best, the worst, and evenly between them."""


def write_artifacts(folder: Path, result: RunResult, evidence: Sequence[SlideEvidence]) -> None:
    """Write everything under `folder`, which holds the score maps already."""
    job, summary = result.job, result.summary
    provenance = {"identity": job.identity, "data_digest": job.data_digest, "code": code_version()}
    (folder / "config.yaml").write_text(job.spec.as_file(provenance), encoding="utf-8")
    metrics = {
        "values": summary.values,
        "intervals": summary.intervals,
        "spreads": summary.spreads,
        "absent": summary.absent,
        "facts": summary.facts,
        "classes": summary.classes,
        "confusion": summary.confusion,
    }
    _json(folder / NUMBERS, {**metrics, "train": result.train, "numbers": result.numbers()})
    _csv(folder / "logged.csv", ("name", "step", "value"), [(n, step, repr(v)) for n, v, step in result.history])
    _json(folder / "completeness.json", result.complete.facts())
    _json(folder / "labels.json", result.ledger.totals())
    _json(folder / "stages.json", [_stage_facts(record) for record in result.stages])
    _model(folder / "model", result, provenance)
    if "image/auc" in summary.values:
        _units(folder / "units.csv", evidence)
    _effort(folder / EFFORT, result)
    _answers(folder / "answers.csv", result)
    pictures = draw_overlays(folder, result.job, Split.TEST, result.summary.per_slide)
    figures = _curves(folder / "curves", result, evidence)
    if result.reading_notes:
        rows = [dict(zip(("split", "slide", "note"), note, strict=True)) for note in result.reading_notes]
        write_table(folder, "reading_notes", rows)
    write_report(folder, run_facts(result, pictures, figures, _folded(folder, result, evidence)))


def _folded(folder: Path, result: RunResult, evidence: Sequence[SlideEvidence]) -> list[Folded]:
    """The folded parts of the page, whose files are written."""
    parts: list[Folded] = []
    if result.calibration is not None:
        _json(folder / CALIBRATION, result.calibration.facts())
        title = f"{result.job.title} on {result.job.experiment}"
        drawn = draw_calibration(folder / "curves", result.calibration, evidence, title)
        parts.append(calibration_part(result.calibration, drawn))
    if result.groups:
        _json(folder / GROUPS, {column.name: column.facts() for column in result.groups})
        parts.append(group_part(result.groups))
    return parts


def _model(folder: Path, result: RunResult, provenance: dict[str, str]) -> None:
    """The model, with what it takes to use it on other slides; complete without the rest of the run."""
    job = result.job
    storage.save(job.method.state(), folder / WEIGHTS)
    (folder / CONFIG).write_text(job.spec.as_file(provenance), encoding="utf-8")
    learnt, scored = job.learnt_and_scored
    scales = [slide.mpp for slide in (learnt or scored) if slide.mpp]
    ModelCard(
        run=job.title,
        dataset=job.spec.place,
        data_digest=job.data_digest,
        synthetic=job.dataset.synthetic,
        classes=tuple(job.dataset.classes),
        mpp=(min(scales), max(scales)) if scales else None,
        slides=len(learnt),
        threshold=honest_threshold(result.summary.values, result.summary.absent),
        supervision=tuple(sorted(job.method.supervision)),
        temperatures={}
        if result.calibration is None
        else {str(k): t for k, t in result.calibration.temperatures.items()},
    ).save(folder / CARD)


def _json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _effort(path: Path, result: RunResult) -> None:
    """One line per point of the curves over the expert's effort; no file where nobody reviewed."""
    rows = [
        (*name.rsplit("/", 1), reviews, repr(value))
        for name, curve in logged_curves(result.history).items()
        for reviews, value in curve
    ]
    _csv(path, EFFORT_COLUMNS, rows)


def _answers(path: Path, result: RunResult) -> None:
    """Every answer of an expert: about which cell, what, who, when, how long."""
    classes = result.job.dataset.classes
    rows = [
        (slide, item, classes[answer.label], answer.who, repr(answer.when), repr(answer.seconds))
        for (_, slide, item), answer in result.ledger.answers.items()
    ]
    _csv(path, ("slide", "cell", "label", "who", "when", "seconds"), rows)


def _csv(path: Path, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    if not rows:
        return
    with storage.whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


def _units(path: Path, evidence: Sequence[SlideEvidence]) -> None:
    """One line per test unit: what ROC curves and tests between runs are made of."""
    from pandas import DataFrame

    rows = [
        (slide.slide, slide.patient, number, int(label), repr(float(score)))
        for slide in evidence
        for number, (label, score) in enumerate(zip(slide.unit_labels, slide.unit_scores, strict=True))
    ]
    table = DataFrame(rows, columns=["slide", "patient", "unit", "label", "score"])
    with storage.whole_file(path) as temporary:
        temporary.write_text(csv_text(table), encoding="utf-8", newline="")


def chosen_slides(rows: Sequence[dict[str, Any]], slides: Sequence[Slide], limit: int = OVERLAYS) -> list[Slide]:
    """The slides to draw, worst first: evenly over the ranking, so best, median and worst are among them."""
    known = {slide.id: slide for slide in slides}
    ranked = sorted(rows, key=lambda row: (row.get(RANKED_BY) is not None, row.get(RANKED_BY) or 0.0, row["slide"]))
    if len(ranked) > limit:
        ranked = [ranked[index] for index in np.linspace(0, len(ranked) - 1, limit).round().astype(int)]
    return [known[row["slide"]] for row in ranked]


def draw_overlays(
    folder: Path, job: Job, split: Split, rows: Sequence[dict[str, Any]], *, limit: int = OVERLAYS, side: int = SIDE
) -> dict[str, Path]:
    """Draw chosen slides of a split from the score maps and masks in `folder`; slide id → file in `folder`/overlays."""
    row_of = {row["slide"]: row for row in rows}
    drawn: dict[str, Path] = {}
    for rank, slide in enumerate(chosen_slides(rows, job.dataset.slides(split), limit), start=1):
        scores = ScoreMap.load(id_file(folder / "scores", slide.id, ".png"))
        mask = decided(folder, slide.id, scores)
        row = row_of[slide.id]
        picture = slide_picture(job.dataset, slide, scores, mask, coarse=refines(job), row=row, side=side)
        path = folder / "overlays" / f"{rank:02d}_{file_name(slide.id)}.jpg"
        overlays.save(picture, path)
        drawn[slide.id] = path
    return drawn


def refines(job: Job) -> bool:
    """True for a method that starts from the coarse annotation, whose pictures compare it with the result."""
    return Supervision.COARSE in job.method.supervision


def decided(folder: Path, slide: str, scores: ScoreMap) -> NDArray[np.bool_]:
    """The mask the figures were computed with: the method's own where it gave one, else score > 0.5."""
    own = id_file(folder / "masks", slide, ".png")
    mask: NDArray[np.bool_] = (ScoreMap.load(own) if own.is_file() else scores).values > 0.5
    return mask


def _curves(folder: Path, result: RunResult, evidence: Sequence[SlideEvidence]) -> dict[str, Path]:
    title = f"{result.job.title} on {result.job.experiment}"
    drawn: dict[str, Path] = {}
    auc = result.summary.values.get("image/auc")
    if auc is not None:
        labels = np.concatenate([slide.unit_labels for slide in evidence])
        scores = np.concatenate([slide.unit_scores for slide in evidence])
        spec, interval = result.job.spec, result.summary.intervals.get("image/auc")
        apart = (
            result.job.dataset.synthetic
            or spec.preset == TRIVIAL_PRESET
            or any((spec.slides, spec.slide, spec.budget, spec.target))
        )
        published = () if apart else published_points(spec.method, spec.dataset)
        roc = curves.roc(labels, scores, title=title, auc=auc, interval=interval, published=published)
        drawn["ROC of the units"] = folder / "roc.png"
        style.save(roc, folder / "roc.png")
    before_after = curves.refinement(result.summary.per_slide, title) if refines(result.job) else None
    if before_after is not None:
        drawn["F1 against the coarse annotation's"] = folder / "coarse_f1.png"
        style.save(before_after, folder / "coarse_f1.png")
    by_reviews = logged_curves(result.history)
    if by_reviews:
        drawn["Quality over the expert's reviews"] = folder / "effort.png"
        style.save(curves.effort(by_reviews, title=title), folder / "effort.png")
    others = [log for log in result.history if log[0].partition("/")[0] not in (EFFORT_NAME, EFFORT_OF_SLIDE)]
    history = curves.history(others, title=title)
    if history is not None:
        drawn["What was logged while learning"] = folder / "training.png"
        style.save(history, folder / "training.png")
    return drawn


def _stage_facts(record: StageRecord) -> dict[str, Any]:
    facts = asdict(record)
    return {name: facts[name] for name in ("name", "digest", "seconds", "peak_mib", "peak_gpu_mib", "reused")}
