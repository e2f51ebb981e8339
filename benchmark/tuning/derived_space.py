"""The search space of a method whose sweep file writes none: its declared ranges."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from benchmark.errors import ConfigError
from benchmark.method import Method
from benchmark.tuning.dimension import Dimension, Space
from benchmark.tuning.legal_values import Legal

FACTOR = 4
"""A range without a second end goes from a fourth of the published value to four times as much."""
MARGIN = 0.01
"""An end that is itself not legal moves towards the published value by this share of their distance."""
DECADES = 1000
"""A range between two declared ends is searched in logarithms when its ends are this far apart."""


def derived_space(method: type[Method], base: BaseModel, *, fixed: Collection[str] = ()) -> Space:
    """The space of a method's declared ranges around the published values `base`, without the parameters `fixed`.

    Parameters without a `source` are technical (batch sizes of scoring, caches, files), and those declared as `given`
    say which labels, weights or networks there are: both are left out. Of the others:

    * Literal and bool: all values.
    * A number with both ends: from one to the other; logarithmic when low > 0 and high ≥ 1000 · low.
    * A number with one end: a fourth of the published value to four times as much, as far as it is legal (whole
      numbers rounded outwards); logarithmic when low > 0. A published 0 tells no scale and is left out.
    * An end that is not legal itself: of a float, it moves inwards by 1 % of its distance to the published value; of
      a whole number, to the next one.
    * `multiple_of`: steps of that size through the published value, never logarithmic.
    * Numbers without an end, and parameters that may be null, lists, texts and files: left out.

    Raises:
        ConfigError: nothing is left.
    """
    values = base.model_dump(mode="json")
    legal = [Legal(name, field) for name, field in method.Params.model_fields.items() if name not in fixed]
    found = [_dimension(one, values[one.name]) for one in legal if one.source and not one.given and not one.optional]
    dimensions = tuple(dimension for dimension in found if dimension is not None)
    if not dimensions:
        msg = f"{method.name} declares no range to search; write a space"
        raise ConfigError(msg, fix=f"bench info {method.name}")
    return Space(dimensions, values)


def _dimension(legal: Legal, value: Any) -> Dimension | None:
    if legal.values is not None:
        choices = tuple(legal.values)
        return Dimension(legal.name, "categorical", choices=choices, symbol=legal.symbol) if len(choices) > 1 else None
    if legal.number is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = legal.number == "int"
    ends = _ends(legal, value, whole)
    if ends is None:
        return None
    low, high, both = ends
    step = legal.bounds.get("multipleOf")
    if step is not None:
        low, high = (value + math.trunc((end - value) / step) * step for end in (low, high))
    if not low < high or not low <= value <= high:
        return None
    number = int if whole else float
    log = step is None and low > 0 and (not both or high >= DECADES * low)
    return Dimension(
        legal.name,
        legal.number,
        low=number(low),
        high=number(high),
        log=log,
        step=None if step is None else number(step),
        symbol=legal.symbol,
    )


def _ends(legal: Legal, value: float, whole: bool) -> tuple[float, float, bool] | None:
    """Lowest and highest value to search, and whether both are declared; None where no end or no scale is known."""
    lowest, highest = (_end(legal, side, value, whole) for side in ("inimum", "aximum"))
    if lowest is None and highest is None:
        return None
    if lowest is not None and highest is not None:
        return lowest, highest, True
    if value == 0:
        return None
    small, large = sorted((value / FACTOR, value * FACTOR))
    if whole:
        small, large = math.floor(small), math.ceil(large)
    low = small if lowest is None else max(small, lowest)
    return low, large if highest is None else min(large, highest), False


def _end(legal: Legal, side: str, value: float, whole: bool) -> float | None:
    """The outermost value on one side that may be searched; None where that side is open."""
    found = legal.bounds.get(f"m{side}"), legal.bounds.get(f"exclusiveM{side}")
    inclusive, exclusive = (None if end is None else float(end) for end in found)
    if exclusive is None:
        return inclusive
    sign = 1 if value > exclusive else -1
    if whole:
        return exclusive + sign
    moved = exclusive + MARGIN * (value - exclusive)
    tidy = float(f"{moved:.3g}")
    return tidy if sign * (tidy - exclusive) > 0 and sign * (value - tidy) >= 0 else moved
