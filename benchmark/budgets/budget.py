"""What `--budget` says: a share of the training units, minutes of an expert, or a number of slides."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from benchmark.errors import ConfigError
from benchmark.plain_yaml import short

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(%|min|h|slides?)")
FIX = "--budget 10%,30%,100%, --budget 30min,2h or --budget 20slides"


@dataclass(frozen=True)
class RunBudget:
    """The most labels that a run may use. `share` of the units: above 0, below 1; `slides`: a whole number."""

    amount: float
    unit: Literal["share", "minutes", "slides"]

    @property
    def text(self) -> str:
        """As typed, in one form for one amount: `10%`, `30min`, `2h`, `20slides`."""
        if self.unit == "share":
            return f"{100 * self.amount:.6g}%"
        if self.unit == "slides":
            return f"{self.amount:.0f}slide{'s' * (self.amount != 1)}"
        return f"{self.amount / 60:.6g}h" if self.amount % 60 == 0 else f"{self.amount:.6g}min"


def read_budgets(text: str, option: str = "--budget") -> tuple[RunBudget | None, ...]:
    """The budgets of `1%,30min,20slides` in their order; None for 100 %, which is no budget.

    Raises `ConfigError` for what cannot be read, nothing or more than 100 %, and the same amount twice.
    """
    budgets: list[RunBudget | None] = []
    for part in text.split(","):
        budget = _read(part.strip(), option)
        if budget in budgets:
            raise ConfigError(f"{option} {short(text)}: {part.strip()} comes twice", fix="name each budget once")
        budgets.append(budget)
    return tuple(budgets)


def _read(part: str, option: str) -> RunBudget | None:
    form = _FORM.fullmatch(part)
    if form is None:
        what = f"{option} {short(part)}: expected a number with %, min, h or slides"
        raise ConfigError(what, fix=FIX)
    amount, unit = float(form[1]), form[2]
    if amount <= 0:
        raise ConfigError(f"{option} {part}: expected more than nothing", fix=FIX)
    if unit == "%":
        if amount > 100:
            raise ConfigError(f"{option} {part}: more than all training units, expected at most 100%", fix=FIX)
        return None if amount == 100 else RunBudget(amount / 100, "share")
    if unit in ("min", "h"):
        return RunBudget(amount * (60 if unit == "h" else 1), "minutes")
    if amount % 1:
        raise ConfigError(f"{option} {part}: slides are counted whole", fix="--budget 20slides")
    return RunBudget(amount, "slides")
