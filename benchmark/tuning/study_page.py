"""The page of a study and its files: table of trials, importances, figures, the winner's run file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmark.config import validated
from benchmark.describe import plain
from benchmark.registry import methods
from benchmark.reporting import templating
from benchmark.tuning.closing_test import Setting, selection_note, spread

if TYPE_CHECKING:
    from benchmark.tuning.request import Tuned
    from benchmark.tuning.study import Study, Trial
    from benchmark.tuning.study_figures import Figures


def write_study(folder: Path, study: Study, what: Tuned, rows: Sequence[Setting], slides: int) -> None:
    """Everything a reader of the study wants, under `folder`: study.html, trials.csv, best.yaml, figures, the sweep."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = study.figures(folder)
    importances = {one.metric: study.importances(place) for place, one in enumerate(what.file.objectives)}
    trials, metrics = study.trials(), [one.metric for one in what.file.objectives]
    (folder / "importances.json").write_text(json.dumps(importances, indent=1) + "\n", encoding="utf-8")
    (folder / "trials.csv").write_text(as_csv(trials, metrics, [one.name for one in what.space]), encoding="utf-8")
    (folder / "sweep.yaml").write_text(what.loaded.path.read_text(encoding="utf-8"), encoding="utf-8")
    winner = next((row for row in rows if row.name.startswith("winner")), None)
    if winner is not None:
        text = as_run_file(study.published_run, study.name, winner.trial, len(trials))
        (folder / "best.yaml").write_text(text, encoding="utf-8")
    page = render(study, what, rows, slides, figures, importances, trials)
    (folder / "study.html").write_text(page, encoding="utf-8")


def as_run_file(run: str, study: str, trial: Trial, trials: int) -> str:
    """The YAML that `bench run --config` repeats: `run`, that of the published setting, with a trial's values.

    Where the method is fitted on training and validation slides in the end, so is this run.
    """
    content = yaml.safe_load(run)
    content["params"].update(trial.params)
    method = methods().load(content["method"])
    if method(validated(method.Params, content["params"], method.name)).refits():
        content["refit"] = True
    content["provenance"].update(study=study, trial=trial.number, trials=trials)
    return str(yaml.safe_dump(content, sort_keys=False, width=120))


def as_csv(trials: Sequence[Trial], metrics: Sequence[str], names: Sequence[str]) -> str:
    """One line per trial."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["trial", "state", *metrics, *names, "seconds", "run", "reason"])
    for one in trials:
        values = [repr(value) for value in one.values] or [""] * len(metrics)
        params = [json.dumps(one.params[name]) if name in one.params else "" for name in names]
        table.writerow([one.number, one.state, *values, *params, round(one.seconds, 1), one.run, one.reason])
    return text.getvalue()


def as_facts(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The trials as plain JSON, nothing rounded."""
    return [{**vars(one), "params": dict(one.params), "curve": dict(one.curve)} for one in trials]


def render(
    study: Study,
    what: Tuned,
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
