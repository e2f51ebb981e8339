"""The calibration of a run as the files it leaves and the folded part of its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.metrics.calibrated import KINDS
from benchmark.metrics.calibration_report import CALIBRATION, Calibration
from benchmark.metrics.evidence import SlideEvidence, Units
from benchmark.metrics.threshold_stability import Stability
from benchmark.reporting import calibration_figures, style
from benchmark.reporting.folded import Folded, Sheet
from benchmark.reporting.templating import number

_LEVELS = {"unit": "units", "cell": "cells"}


def draw_calibration(
    folder: Path, found: Calibration, evidence: Sequence[SlideEvidence], title: str
) -> dict[str, Path]:
    """Write the figures below `folder`; caption → file."""
    drawn: dict[str, Path] = {}
    diagram = calibration_figures.reliability(found.levels, found.before, title=f"Reliability, {title}")
    if diagram is not None:
        drawn["Reliability diagrams: on the diagonal, scores are shares"] = folder / "reliability.png"
        style.save(diagram, folder / "reliability.png")
    if not isinstance(found.decision, str):
        drawn["Decision curve: what acting by the score is worth"] = folder / "decision.png"
        style.save(calibration_figures.decision(found.decision, title=title), folder / "decision.png")
    if isinstance(found.stability, Stability):
        units = Units.of(evidence)
        picture = calibration_figures.stability(found.stability, units.labels, units.scores, title=title)
        drawn["The threshold at 100 % sensitivity, chosen again on fewer patients"] = folder / "threshold.png"
        style.save(picture, folder / "threshold.png")
    return drawn


def calibration_part(found: Calibration, figures: dict[str, Path]) -> Folded:
    """What the page shows of it."""
    known = [kind for kind in KINDS if not found.levels[kind].absent]
    said = [f"ECE of {_LEVELS[kind]} {found.levels[kind].values['ece']:.3f}" for kind in known]
    names = [name.partition("_")[2] for name in CALIBRATION if name.startswith("calibration/unit_")]
    heads, columns = ["Figure"], []
    for kind in known:
        if kind in found.before:
            heads.append(f"{_LEVELS[kind]}, before scaling")
            columns.append(found.before[kind])
        heads.append(_LEVELS[kind] + (", after" if kind in found.before else ""))
        columns.append(found.levels[kind])
    rows = [
        [
            CALIBRATION[f"calibration/unit_{name}"].title.removesuffix(" of units"),
            *(_cell(level.values[name], level.intervals.get(name)) for level in columns),
        ]
        for name in names
    ]
    chances = [f"{level.values['ece_chance']:.4f}" if "ece_chance" in level.values else "–" for level in columns]
    rows.append(["ECE of calibrated scores, by chance", *chances])
    notes = [f"{_LEVELS[kind]}: not applicable, {found.levels[kind].absent}" for kind in KINDS if kind not in known]
    notes += [
        f"temperature of {_LEVELS[kind]}, fitted on validation slides: {t:.4g}"
        for kind, t in found.temperatures.items()
    ]
    notes += found.notes
    notes += [f"no decision curve: {found.decision}"] if isinstance(found.decision, str) and "unit" in known else []
    if isinstance(found.stability, str) and "unit" in known:
        notes.append(f"no stability of the threshold at 100 % sensitivity: {found.stability}")
    notes.append("Brier score = reliability − resolution + uncertainty + remainder; definitions: docs/calibration.md")
    return Folded(
        title="Calibration",
        summary="; ".join(said) or "not applicable",
        sheets=[Sheet(heads, rows)] if known else [],
        figures=figures,
        notes=notes,
    )


def _cell(value: float, interval: tuple[float, float] | None) -> str:
    return number(value) + (f" [{number(interval[0])}, {number(interval[1])}]" if interval else "")
