"""What is said of a crossing and of a quality that is reached."""

from __future__ import annotations

from math import inf

from benchmark.reporting.budget_curves.crossings import Crossing, Reach
from benchmark.reporting.durations import duration

DECIDED = 0.975
"""Share of the resamples in which a method has to be above the other, at every budget that the sentence is about, to be
said to beat it."""


def sentence(crossing: Crossing) -> str:
    """`below 2.1 h [1.2 h, 3.6 h] oeem beats pspnet, above it pspnet beats oeem`."""
    winner, loser = crossing.winner, crossing.loser
    if not crossing.end:
        return f"{winner} and {loser}: no minutes that both cover"
    if crossing.minutes == inf:
        return f"no crossing {_covered(crossing)}: {winner} and {loser} are equal throughout"
    equal = f"; equal at {' and '.join(map(duration, crossing.equal))}" if crossing.equal else ""
    return f"{_better(crossing)}{equal}"


def _covered(crossing: Crossing) -> str:
    return f"from {duration(crossing.start)} to {duration(crossing.end)}"


def _better(crossing: Crossing) -> str:
    """Which of two curves is above the other, and where."""
    winner, loser = crossing.winner, crossing.loser
    touch = [at > crossing.minutes for at in crossing.equal]
    if crossing.minutes == -inf:
        return f"no crossing {_covered(crossing)}: {_claim(winner, loser, crossing.sure, 'throughout', any(touch))}"
    after = _claim(winner, loser, crossing.sure, touch=any(touch))
    where = f"{duration(crossing.minutes)}{_within(crossing.low, crossing.high, crossing.start, crossing.end)}"
    if crossing.earlier:
        times = "once" if crossing.earlier == 1 else f"{crossing.earlier} times"
        return f"from {where} on {after}; below it they cross {times} more"
    return f"below {where} {_claim(loser, winner, crossing.before, touch=not all(touch))}, above it {after}"


def _claim(better: str, worse: str, share: float | None, where: str = "", touch: bool = False) -> str:
    """No more than the resamples support: a curve `beats` another that it is above in `DECIDED` of them."""
    decided = share is not None and share >= DECIDED
    words = [better, "beats" if decided and not touch else "is above", worse, *([where] if where else [])]
    if share is None or (decided and not where):
        return " ".join(words)
    return f"{' '.join(words)}{'' if decided else ', but not surely'} ({share:.0%} of resamples)"


def reached(reach: Reach) -> str:
    """`2.1 h [1.2 h, 3.6 h]`, `at most 20 min` where its cheapest budget does, `not by 6 h`."""
    within = _within(reach.low, reach.high, reach.start, reach.end)
    if reach.minutes == inf:
        return f"not by {duration(reach.end)}{within}"
    return f"at most {duration(reach.start)}{within}" if reach.minutes == -inf else f"{duration(reach.minutes)}{within}"


def _within(low: float | None, high: float | None, start: float, end: float) -> str:
    """The interval; an end beyond the range is told from within it."""
    if low is None or high is None:
        return ""
    return f" [{_end(low, start, end)}, {_end(high, start, end)}]"


def _end(value: float, start: float, end: float) -> str:
    if value == -inf:
        return f"< {duration(start)}"
    return f"> {duration(end)}" if value == inf else duration(value)
