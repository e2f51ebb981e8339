"""What `--budget` says: a share of the training units, minutes of an expert, or a number of slides."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Literal

from benchmark.errors import ConfigError
from benchmark.plain_yaml import short

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(%|min|h|slides?)")
FIX = "--budget 10%,30%,100%, --budget 30min,2h or --budget 20slides"

ROUNDING = 1e-9
"""By how much a budget may fall short of a whole slide, review or region and still pay it."""

DIGITS = 6
"""Digits of an amount that the text of a budget keeps."""

Unit = Literal["share", "minutes", "slides"]


@dataclass(frozen=True)
class RunBudget:
    """The most labels that a run may use. `share` of the units: above 0, below 1; `slides`: a whole number."""

    amount: float
    unit: Unit

    @property
    def text(self) -> str:
        """As typed, in one form for one amount: `10%`, `30min`, `2h`, `20slides`."""
        if self.unit == "share":
            return f"{100 * self.amount:.{DIGITS}g}%"
        if self.unit == "slides":
            return f"{self.amount:.0f}slide{'s' * (self.amount != 1)}"
        return f"{self.amount / 60:.{DIGITS}g}h" if self.amount % 60 == 0 else f"{self.amount:.{DIGITS}g}min"


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


def least_text(amount: float, unit: Unit, pays: Callable[[RunBudget | None], bool]) -> str:
    """How the least budget of a unit is typed: `amount` (percent, minutes) rounded up, to as few digits as will do.

    `pays`: whether a budget, None for 100 %, is what is wanted.
    """
    text = ""
    for digits in range(3, DIGITS + 1):
        decimals = max(0, digits - 1 - floor(log10(amount)))
        up = ceil(amount * 10**decimals - ROUNDING) / 10**decimals
        text = f"{up:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{up:.0f}"
        text += "%" if unit == "share" else "min"
        if pays(_read(text, "--budget")):
            break
    return text
