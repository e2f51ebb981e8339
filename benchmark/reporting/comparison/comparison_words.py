"""Names and numbers of a comparison as text, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.statistics import stars
from benchmark.reporting.comparison.comparison_facts import Difference, Figure, Interval, SlideGap
from benchmark.reporting.comparison.specificity import AT_100, PairedSpecificity
from benchmark.reporting.leaderboard.leaderboard_words import digits
from benchmark.reporting.paired import TORN, PairedTest, mark
from benchmark.reporting.run_names import component_of, distinct_names
from benchmark.reporting.templating import number
from benchmark.stored import StoredRun

DASH = "–"
COUNTS = ("labels/", "data/")
_PLACES = {"seconds": 1, "mib": 0, "stages": 0}


def called(run: StoredRun) -> str:
    """`oeem quick seed 0 (3f2a9c41)`."""
    return f"{run.name or 'unnamed'} ({run.id[:8]})"


def with_short_names(difference: Difference) -> Difference:
    """The same for the eye: both runs by what differs between them, with their seeds."""
    runs = (difference.one, difference.other)
    names = distinct_names([component_of(run) for run in runs])
    ends = [f" seed {run.tag('seed')}" if run.tag("seed") else "" for run in runs]
    one, other = (
        replace(run, name=f"{names[component_of(run)]}{end}") if run.tag("method") else run
        for run, end in zip(runs, ends, strict=True)
    )
    return replace(difference, one=one, other=other)


def title(name: str) -> str:
    """What a person calls a figure: `Dice`, `Dice, testA`, else its name."""
    if name in METRICS:
        return METRICS[name].title
    subset, _, metric = name.partition("/")
    return f"{METRICS[metric].title}, {subset}" if metric in METRICS else name


def text(name: str, value: float | None) -> str:
    """A figure with the decimals of its kind; a dash for none."""
    if value is None:
        return DASH
    if name.startswith(COUNTS) and float(value).is_integer():
        return number(int(value))
    return f"{value:.{_places(name)}f}".replace("-", "−")


def signed(name: str, value: float | None) -> str:
    """A difference with its sign; none where it rounds to zero."""
    if value is None:
        return DASH
    plain = text(name, abs(value))
    if not any(digit in plain for digit in "123456789"):
        return plain
    return f"{'−' if value < 0 else '+'}{plain}"


def within(name: str, interval: Interval | None) -> str:
    """`0.713 to 0.774`; empty for none."""
    return "" if interval is None else " to ".join(text(name, end) for end in interval)


def p_value(p: float | None) -> str:
    """A p value with its stars, as text; a dash for none."""
    if p is None:
        return DASH
    return f"{f'{p:.4f}' if p >= 1e-4 else '< 0.0001'} {stars(p)}".strip()


def verdict(test: PairedTest | None) -> str:
    """What there is to say of a test besides its p: what it was made of, or why there is none."""
    if test is None:
        return ""
    if test.refused:
        return f"not tested: {test.refused}"
    of = f"{test.kind}, {test.pairs} {'units' if test.kind == 'DeLong' else 'slides'}"
    if test.corrected is None:
        return of if test.p is not None else f"{of}: equal on all"
    found = mark(test.corrected, test.direction, test.difference)
    return f"{of}: {found}" if found == TORN else of


def share(gap: SlideGap) -> str:
    """`12.3 % of 4 321 cells`, or why the decisions are not compared."""
    if gap.share is None:
        return gap.note or "no cell was scored by both"
    return f"{100 * gap.share:.1f} % of {number(gap.cells)} cells"


def caption(difference: Difference) -> str:
    """One sentence on the tests of the table of figures."""
    if difference.refused:
        return "Not tested against each other: " + "; ".join(difference.refused) + "."
    many = f"p corrected for {difference.tests} tests (Holm)"
    return f"Difference: one − other. Wilcoxon signed-rank test over slides, DeLong over units; {many}."


def specificity(pair: PairedSpecificity) -> tuple[str, ...]:
    """Thresholds, both rates, difference, interval, units on which only one of the runs is right, and p."""
    test, thresholds = pair.test, pair.thresholds
    if test is None or thresholds is None:
        return ()
    return (
        ", ".join(f"{threshold:.4g}" for threshold in thresholds),
        text(pair.metric, test.one),
        text(pair.metric, test.other),
        signed(pair.metric, test.difference),
        _signed_interval(pair.metric, test.interval),
        f"{number(test.test.only_one)} : {number(test.test.only_other)}",
        p_value(pair.corrected),
    )


def specificity_caption(pairs: Sequence[PairedSpecificity]) -> str:
    """What the comparisons on the same negatives are made of, and what they leave out."""
    tests = [pair.test for pair in pairs if pair.test is not None]
    if not tests:
        return ""
    negatives, patients = tests[0].negatives, tests[0].patients
    many = sum(pair.corrected is not None for pair in pairs)
    said = (
        f"{number(negatives)} negative units of {number(patients)} patients; right alone: those that only one, only "
        f"other calls negative; p: McNemar's exact test, corrected for {many} tests (Holm); 95 %: paired bootstrap "
        "over patients. Both hold the thresholds fixed, so they leave out how uncertain those are"
    )
    if any(pair.metric == AT_100 and pair.test is not None for pair in pairs):
        said += ", above all the first pair, which was chosen on these units"
    if patients < negatives:
        said += ". Units of one patient are not independent, so p is too small; the interval allows for it"
    return f"{said}."


def _signed_interval(name: str, interval: Interval | None) -> str:
    return "" if interval is None else " to ".join(signed(name, end) for end in interval)


def headline(difference: Difference) -> list[Figure]:
    """The figures shown large: the chosen one, then the first of each task, those that both runs have."""
    wanted = (difference.metric, "pixel/miou", "object/f1", "slide/f1", "image/auc")
    known = {figure.name: figure for figure in difference.figures}
    return [known[name] for name in dict.fromkeys(wanted) if name in known]


def _places(name: str) -> int:
    ending = name.rpartition("_")[2].rpartition("/")[2]
    if name.startswith("cost/") and ending in _PLACES:
        return _PLACES[ending]
    metric = METRICS.get(name) or METRICS.get(name.partition("/")[2])
    return 3 if metric is not None and metric.unit == "score" else digits(name)
