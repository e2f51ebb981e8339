"""Optuna's own figures of a study: interactive for the page (plotly), static for a paper (matplotlib)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.visualization import matplotlib as static

MOST_PARAMS, MOST_PANELS = 5, 3
"""How many parameters, by importance, a figure shows, and how many a contour figure pairs."""

Draw = Callable[[Any], Any]


@dataclass
class Figures:
    """Name → HTML fragment, name → PNG file, and name → reason of those that could not be drawn."""

    pages: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def draw(
    study: optuna.Study, metrics: Sequence[str], params: Sequence[str], folder: Path, watch: str | None = None
) -> Figures:
    """All figures of a study. `params`: the parameters by importance, the first of which the contours show.

    The first fragment includes plotly's script, so a page of all of them needs no network.
    """
    figures = Figures()
    logging.getLogger("optuna").setLevel(logging.ERROR)
    for name, (plotly, matplotlib) in _kinds(study, metrics, list(params)[:MOST_PARAMS]).items():
        try:
            figure = plotly(optuna.visualization)
            figure.update_layout(width=None, autosize=True, **_size(name, len(params)))
            if name.startswith("curves") and watch:
                figure.update_yaxes(title=watch)
            script = not figures.pages
            figures.pages[name] = str(figure.to_html(full_html=False, include_plotlyjs=script))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                figures.files[name] = _saved(matplotlib(static), folder / f"{name}.png", name)
        except (ValueError, RuntimeError, ZeroDivisionError) as error:
            figures.absent[name] = str(error).splitlines()[0] if str(error) else type(error).__name__
    return figures


def _kinds(study: optuna.Study, metrics: Sequence[str], params: list[str]) -> Mapping[str, tuple[Draw, Draw]]:
    """Name → how both libraries draw it."""
    kinds: dict[str, tuple[Draw, Draw]] = {}
    for place, metric in enumerate(metrics):
        end = "" if len(metrics) == 1 else f"_{metric.replace('/', '_')}"
        target: dict[str, Any] = {"target_name": metric}
        if len(metrics) > 1:
            target["target"] = lambda trial, place=place: trial.values[place]

        def both(function: str, target: dict[str, Any] = target, **more: Any) -> tuple[Draw, Draw]:
            def make(library: Any) -> Any:
                return getattr(library, function)(study, **target, **more)

            return make, make

        kinds[f"history{end}"] = both("plot_optimization_history")
        kinds[f"importances{end}"] = both(
            "plot_param_importances", evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
        )
        kinds[f"slice{end}"] = both("plot_slice", params=params)
        kinds[f"parallel{end}"] = both("plot_parallel_coordinate", params=params)
        if len(params) > 1:
            kinds[f"contour{end}"] = both("plot_contour", params=params[:MOST_PANELS])
    if len(metrics) in (2, 3):
        kinds["pareto"] = (
            lambda library: library.plot_pareto_front(study),
            lambda library: library.plot_pareto_front(study),
        )
    if any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        kinds["curves"] = (
            lambda library: library.plot_intermediate_values(study),
            lambda library: library.plot_intermediate_values(study),
        )
    return kinds


def _size(name: str, params: int) -> dict[str, int]:
    """Height of an interactive figure, in pixels."""
    return {"height": 340 * min(params, MOST_PANELS)} if name.startswith("contour") and params > 2 else {"height": 420}


def _saved(axes: Any, path: Path, name: str) -> Path:
    """Write the figure that some axes belong to, with room for every panel."""
    import numpy as np
    from matplotlib import pyplot

    panels = np.asarray(axes, dtype=object)
    figure = panels.ravel()[0].figure
    if name.startswith("slice"):
        figure.set_size_inches(3.4 * panels.size + 1, 4.0)
    elif name.startswith("contour") and panels.ndim == 2:
        figure.set_size_inches(4.2 * panels.shape[1] + 1, 4.0 * panels.shape[0])
    else:
        figure.set_size_inches(9.0, 5.0)
    for panel in figure.axes:
        panel.tick_params(axis="x", which="both", labelsize=7, rotation=45)
        panel.tick_params(axis="y", which="both", labelsize=7)
    if panels.size > 1:  # the colour bar stands where Optuna put it, right of 0.78
        figure.subplots_adjust(
            left=0.06, right=0.75, wspace=0.35, hspace=0.35, bottom=0.2 if panels.ndim == 1 else 0.08
        )
    figure.savefig(path, dpi=130, bbox_inches="tight")
    pyplot.close(figure)
    return path
