"""Which methods fit the labels at hand, with what the registry and one's own leaderboard know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.config import TRIVIAL_PRESET, default_preset
from benchmark.errors import ConfigError, RegistryError
from benchmark.ledger import COUNTERS, Supervision
from benchmark.metrics.catalogue import METRICS
from benchmark.registry import methods
from benchmark.reporting.leaderboard import leaderboard_words as words
from benchmark.reporting.leaderboard.standings_model import Board, Leaderboard, Row

if TYPE_CHECKING:
    from benchmark.method import Method
    from benchmark.reporting.label_cost import CostModel

TASKS: Mapping[str, str] = {
    "segment": "pixel/miou",
    "classify": "image/auc",
    "clean": "slide/f1",
    "annotate": "pixel/dice",
}
"""Task → the metric by which the best row of one's own leaderboard is shown."""

LABELS: Mapping[str, Supervision] = {"slide": Supervision.IMAGE, **{str(kind): kind for kind in Supervision}}
"""What may be typed for a kind of label."""

_MUST: Mapping[str, Supervision] = {
    "classify": Supervision.IMAGE,
    "clean": Supervision.COARSE,
    "annotate": Supervision.REVIEW,
}


@dataclass(frozen=True)
class Advice:
    """A method that fits. `expert`: what its labels cost. `seconds`, `best`, `place`: of one's own best row, if any."""

    method: str
    title: str
    labels: str
    preset: str
    expert: str
    seconds: str = "–"
    best: str = "–"
    place: str = "not run yet"
    value: float | None = None


def read_labels(text: str) -> frozenset[Supervision]:
    """The kinds of label in `patch,coarse`. Raises `ConfigError` for an unknown one."""
    kinds = [part.strip() for part in text.split(",") if part.strip()]
    for kind in kinds:
        if kind not in LABELS:
            raise ConfigError(f"--labels {kind}: expected some of {', '.join(LABELS)}", fix="--labels coarse")
    return frozenset(LABELS[kind] for kind in kinds)


def advise(
    task: str, having: frozenset[Supervision], slides: int | None, board: Leaderboard | None, cost: CostModel
) -> list[Advice]:
    """The methods whose labels are at hand, those with a figure in one's own store first, the best of them first.

    Args:
        task: one of `TASKS`.
        having: the kinds of label there are, or that can be got.
        slides: how many slides are to be labelled; None: unknown.
        board: one's own leaderboard; None where there is no store yet.
        cost: minutes of an expert per label.
    """
    if task not in TASKS:
        raise ConfigError(f"--task {task}: expected one of {', '.join(TASKS)}", fix="--task segment")
    found = []
    for entry in methods().entries():
        try:
            kind = methods().load(entry.name)
        except RegistryError:  # `bench doctor` tells of a plug-in that is broken
            continue
        if _fits(task, kind.supervision, having):
            found.append(_advice(kind, TASKS[task], slides, board, cost))
    sign = -1 if METRICS[TASKS[task]].direction == "up" else 1
    return sorted(found, key=lambda each: (each.value is None, sign * (each.value or 0.0), each.method))


def _fits(task: str, uses: frozenset[Supervision], having: frozenset[Supervision]) -> bool:
    must = _MUST.get(task)
    if not uses or not uses <= having or (must is not None and must not in uses):
        return False
    return task != "segment" or Supervision.REVIEW not in uses


def _advice(
    kind: type[Method], metric: str, slides: int | None, leaderboard: Leaderboard | None, cost: CostModel
) -> Advice:
    preset = default_preset(kind)
    labels = ", ".join(sorted(kind.supervision))
    expert = "; ".join(_rate(each, slides, cost) for each in sorted(kind.supervision))
    advice = Advice(kind.name, kind.card.title, labels, preset, expert)
    best = _best(kind.name, metric, leaderboard.boards if leaderboard is not None else ())
    if best is None:
        return advice
    board, row = best
    figure = row.figures[metric]
    return Advice(
        advice.method,
        advice.title,
        labels,
        row.preset,
        expert,
        words.seconds(row),
        words.number(figure, metric),
        f"{board.title}, {row.label}",
        figure.mean,
    )


def _rate(kind: Supervision, slides: int | None, cost: CostModel) -> str:
    """What labels of a kind cost: of all slides where it is one per slide, else per item."""
    item = getattr(cost, COUNTERS[kind])
    if item is None:
        return f"unknown ({COUNTERS[kind].replace('_', ' ')})"
    if kind is Supervision.IMAGE and slides is not None:
        return f"{words.minutes(slides * item.minutes / item.per)} for {slides} slides"
    per = "each" if item.per == 1 else f"per {words.count(item.per)}"
    return f"{item.minutes:g} min {per} ({COUNTERS[kind].replace('_', ' ')})"


def _best(method: str, metric: str, boards: Sequence[Board]) -> tuple[Board, Row] | None:
    """The method's best row, on real data where there is any."""
    rows = [
        (board, row)
        for board in boards
        for row in board.rows
        if row.method == method
        and metric in row.figures
        and row.preset != TRIVIAL_PRESET
        and not (board.drawn or board.elsewhere)
    ]
    sign = 1 if METRICS[metric].direction == "up" else -1
    return max(rows, key=lambda pair: (not pair[0].synthetic, sign * pair[1].figures[metric].mean), default=None)
