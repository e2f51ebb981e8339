"""Curves in tables and notes: the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.budget_curves.crossings import Crossing
from benchmark.reporting.budget_curves.curve_sentences import reached, sentence
from benchmark.reporting.budget_curves.curve_set import CurveSet
from benchmark.reporting.durations import duration
from benchmark.reporting.leaderboard import leaderboard_words as words
from benchmark.reporting.leaderboard.leaderboard_tables import Sheet

MOST_PAIRS = 12
"""Sentences of a kind on the page, which says how many are left out and what prints them."""

NOTES = (
    "curve: linear between budgets over log(minutes). ±: half of the 95 % t-interval over seeds, from three seeds on.",
    "crossing: from when on a method is above the other for good; [ ]: 95 % interval over seeds (Student's t) and test "
    "patients (bootstrap), the same for both.",
    "beats: above at every budget outside [ ], or throughout, in at least 97.5 % of the resamples; is above: by the "
    "means.",
    "area: mean height over log(minutes) between its own cheapest and dearest budget.",
    "minutes are a model (--cost-model), labels are counted.",
)


def sheets(found: CurveSet) -> Iterator[Sheet]:
    """The points, what a quality takes, the crossings, and the crossings at other prices."""
    yield _points(found)
    yield _reaches(found)
    pairs = tuple((sentence(crossing),) for crossing in found.crossings)
    if pairs:
        yield Sheet(f"{found.title}: crossings", ("pair",), (pairs,))
        if found.sensitivity:
            yield _sensitivity(found)


def _points(found: CurveSet) -> Sheet:
    places, groups = words.digits(found.metric), []
    for curve in found.curves:
        half = curve.half
        lines = []
        for number, budget in enumerate(curve.budgets):
            spread = "" if half is None else f" ± {half[number]:.{places}f}"
            value = f"{curve.mean[number]:.{places}f}{spread}"
            first = (curve.name, curve.track) if number == 0 else ("", "")
            lines.append((*first, budget, words.labels(curve.counts[number]), duration(curve.minutes[number]), value))
        groups.append(tuple(lines))
    groups += [((name, "none", "–", "none", "0", f"{value:.{places}f}"),) for name, value in found.levels.items()]
    head = ("method", "supervision", "budget", "labels", "minutes", METRICS[found.metric].title)
    return Sheet(found.title, head, tuple(groups), found.notes)


def _reaches(found: CurveSet) -> Sheet:
    places = words.digits(found.metric)
    lines = tuple(
        (each.name, f"{each.area:.{places}f}", f"{duration(each.start)} to {duration(each.end)}", reached(each))
        for each in found.reaches
    )
    goal = f"{METRICS[found.metric].title} {found.goal:.{places}f}"
    return Sheet(f"{found.title}: area and minutes to a quality", ("method", "area", "over", f"to {goal}"), (lines,))


def _sensitivity(found: CurveSet) -> Sheet:
    """A group per pair, a line per counter and price."""
    groups = []
    for base in found.crossings:
        pair = {base.winner, base.loser}
        lines = [(f"{base.loser} – {base.winner}", "as they are", _where(base))]
        lines += [
            ("", f"{words.counter(each.counter)} ×{each.times:g}", _where(each.crossing))
            for each in found.sensitivity
            if {each.crossing.winner, each.crossing.loser} == pair
        ]
        groups.append(tuple(lines))
    return Sheet(f"{found.title}: crossings at other prices", ("pair", "prices", "better"), tuple(groups))


def _where(crossing: Crossing) -> str:
    if not crossing.end:
        return "apart"
    if crossing.crosses:
        return f"{crossing.winner} from {duration(crossing.minutes)}"
    return f"{crossing.winner} throughout" if crossing.minutes == -inf else "equal"


def page_notes(found: CurveSet) -> Sequence[str]:
    """What the page says under a chart."""
    told = [f"{sentence(crossing)[:1].upper()}{sentence(crossing)[1:]}." for crossing in found.crossings[:MOST_PAIRS]]
    told += _left_out(found, len(found.crossings) - MOST_PAIRS, "pairs of methods")
    places = words.digits(found.metric)
    title = METRICS[found.metric].title
    goal = f"To {title} {found.goal:.{places}f}: {'; '.join(f'{r.name} {reached(r)}' for r in found.reaches)}."
    areas = f"Area: {'; '.join(f'{r.name} {r.area:.{places}f}' for r in found.reaches)}."
    moved = list(_moved(found))
    prices = [f"At other prices: {'; '.join(moved[:MOST_PAIRS])}."] if moved else []
    prices += _left_out(found, len(moved) - MOST_PAIRS, "crossings at other prices")
    levels = [f"Without labels: {', '.join(f'{n} {v:.{places}f}' for n, v in found.levels.items())}."]
    more = [*(levels if found.levels else []), *(f"{note[:1].upper()}{note[1:]}." for note in found.notes)]
    return [*told, goal, areas, *prices, *more, *NOTES[1:3], *price_list(found)]


def _moved(found: CurveSet) -> Iterator[str]:
    """What other prices change: pairs that cross, that no longer do, or of which the other is above."""
    as_they_are = {frozenset((each.winner, each.loser)): each for each in found.crossings}
    for each in found.sensitivity:
        now, base = each.crossing, as_they_are[frozenset((each.crossing.winner, each.crossing.loser))]
        if now.crosses or _where(now) != _where(base):
            gone = " (the crossing is gone)" if base.crosses and not now.crosses else ""
            yield f"{words.counter(each.counter)} ×{each.times:g}: {sentence(now)}{gone}"


def _left_out(found: CurveSet, number: int, what: str) -> list[str]:
    command = f"bench leaderboard --dataset {found.dataset} --curve --metric {found.metric}"
    return [f"{number} further {what} are left out here: {command}"] if number > 0 else []


def price_list(found: CurveSet) -> list[str]:
    """The cost model with its sources, as far as the curves use it."""
    used = {name for curve in found.curves for counts in curve.counts for name, number in counts.items() if number}
    return [line for line in found.cost.text() if line.partition(":")[0] in used]
