"""Which numbers of a run stand in the tracking store: at most 60, the others are in `metrics.json` and `logged.csv`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from benchmark.effort import EFFORT_OF_SLIDE
from benchmark.reporting.leaderboard.build_boards import CEILING_OF_TWO
from benchmark.reporting.leaderboard.standings_model import TASKS

MOST, MOST_CURVES = 60, 25
"""Names of a run in the store; of these, names of curves."""

_HEADLINES = (*(name for columns in TASKS.values() for name in columns), CEILING_OF_TWO)
_KINDS = ("labels/", "data/", "cost/", "train/", "effort/")


class Curves:
    """Admits the curves of a run: the first 25 names, none of a single slide's."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def admits(self, name: str) -> bool:
        """Whether what is logged under that name goes to the store."""
        if name.startswith(f"{EFFORT_OF_SLIDE}/"):
            return False
        if name not in self.names and len(self.names) >= MOST_CURVES:
            return False
        self.names.add(name)
        return True


def scalars(numbers: Mapping[str, float], curves: Collection[str]) -> dict[str, float]:
    """The numbers that the store shows beside so many curves: what leaderboards rank by, labels, costs, the rest."""
    headlines = [name for name in _HEADLINES if name in numbers]
    others = [name for kind in _KINDS for name in numbers if name.startswith(kind)]
    chosen = list(dict.fromkeys((*headlines, *others)))[: MOST - len(set(curves) - {*headlines, *others})]
    return {name: numbers[name] for name in chosen}
