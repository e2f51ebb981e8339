"""The artifacts of a study: its page, table of trials, importances, figures, the winner's run file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from benchmark.config import validated
from benchmark.describe import plain
from benchmark.registry import methods
from benchmark.reporting import templating
from benchmark.tuning.closing_test import Setting, selection_note, spread
from benchmark.tuning.stored_study import as_csv, frame_of
from benchmark.tuning.study_tables import bounded, goals_of

if TYPE_CHECKING:
    from benchmark.tuning.request import Sweep
    from benchmark.tuning.stored_study import Trial
    from benchmark.tuning.study import Study
    from benchmark.tuning.study_figures import Figures


def write_study(folder: Path, study: Study, sweep: Sweep, rows: Sequence[Setting], slides: int) -> None:
    """Write study.html, trials.csv, importances.json, best.yaml, sweep.yaml and the figures into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = study.figures(folder)
    trials, metrics = study.trials(), [objective.metric for objective in sweep.file.objectives]
    importances = {metric: study.importances(place) for place, metric in enumerate(metrics)}
    (folder / "importances.json").write_text(json.dumps(importances, indent=1) + "\n", encoding="utf-8")
    bounds = [constraint.text for constraint in sweep.file.constraints]
    (folder / "trials.csv").write_text(as_csv(frame_of(trials, metrics, sweep.space, bounds)), encoding="utf-8")
    (folder / "sweep.yaml").write_text(sweep.loaded.path.read_text(encoding="utf-8"), encoding="utf-8")
    winner = next((row for row in rows if row.name.startswith("winner")), None)
    if winner is not None:
        text = as_run_file(study.published_run, study.name, winner.trial, len(trials))
        (folder / "best.yaml").write_text(text, encoding="utf-8")
    page = render(study, sweep, rows, slides, figures, importances, trials)
    (folder / "study.html").write_text(page, encoding="utf-8")


def as_run_file(run: str, study: str, trial: Trial, trials: int) -> str:
    """The run file for `bench run --config`: `run`, that of the first trial, with another trial's values.

    It is fitted on training and validation slides where the method allows it, as in the closing test.
    """
    content = yaml.safe_load(run)
    content["params"].update(trial.params)
    method = methods().load(content["method"])
    if method(validated(method.Params, content["params"], method.name)).refits():
        content["refit"] = True
    content["provenance"].update(study=study, trial=trial.number, trials=trials)
    return str(yaml.safe_dump(content, sort_keys=False, width=120))


def render(
    study: Study,
    what: Sweep,
    rows: Sequence[Setting],
    slides: int,
    figures: Figures,
    importances: Mapping[str, Mapping[str, float]],
    trials: Sequence[Trial],
) -> str:
    """The page as HTML; what comes from data is escaped, figures are Optuna's own."""
    from markupsafe import Markup

    metrics = [one.metric for one in what.file.objectives]
    spec = what.spec
    return templating.render(
        "study",
        study=study.name,
        subtitle=f"{spec.method} on {spec.place}, preset {spec.preset}. {what.file.about}",
        start=what.start,
        metrics=metrics,
        constraints=[(constraint.text, constraint.metric) for constraint in what.file.constraints],
        goals=goals_of(what),
        bounded=bounded,
        rows=rows,
        note=selection_note(study, what, slides, rows),
        front=[trial.number for trial in study.best()],
        importances=importances,
        space=what.space.table(),
        trials=trials,
        figures={name: Markup(text) for name, text in figures.pages.items()},
        absent=figures.absent,
        plain=plain,
        spread=spread,
    )
