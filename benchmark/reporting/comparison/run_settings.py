"""What two runs were given: where they differ, and whether their figures may be tested against each other."""

from __future__ import annotations

from benchmark.reporting.comparison.comparison_facts import Setting
from benchmark.stored import StoredRun

TAGS = (
    "method",
    "variant",
    "refit",
    "preset",
    "seed",
    "supervision",
    "dataset",
    "settings",
    "data_kind",
    "data_digest",
    "slides",
    "complete",
    "classes",
    "metrics_schema",
    "code",
    "device",
    "python",
    "audit",
)
"""Tags that are compared (`bench.NAME`); the others say who ran it, or follow from these."""

OPTION = "dataset."
_NEEDED = {"data_digest": "data", "slides": "test slides", "metrics_schema": "definitions of the metrics"}


def settings(one: StoredRun, other: StoredRun) -> tuple[tuple[Setting, ...], int]:
    """Tags, parameters and dataset options that differ, in that order, and the number of those that are equal."""
    pairs = [Setting("tag", name, one.tag(name), other.tag(name)) for name in TAGS]
    for name in dict.fromkeys((*one.params, *other.params)):
        if name == "seed":
            continue
        kind = "option" if name.startswith(OPTION) else "parameter"
        pairs.append(Setting(kind, name.removeprefix(OPTION), one.params.get(name), other.params.get(name)))
    pairs = [pair for pair in pairs if (pair.one, pair.other) != (None, None)]
    order = {"tag": 0, "parameter": 1, "option": 2}
    differing = [pair for pair in pairs if pair.one != pair.other]
    return tuple(sorted(differing, key=lambda pair: order[pair.kind])), len(pairs) - len(differing)


def refusals(one: StoredRun, other: StoredRun) -> tuple[str, ...]:
    """Why no test between the two runs may be made: a difference would be one of the data, not of the methods."""
    found = []
    for name in ("dataset", "data_kind"):
        if one.tag(name) != other.tag(name):
            found.append(f"different datasets: {one.tag(name)} against {other.tag(name)}")
    for name, what in _NEEDED.items():
        first, second = one.tag(name), other.tag(name)
        if first is None or second is None:
            run = one if first is None else other
            found.append(f"run {run.id[:8]} does not say on which {what} it stands (tag bench.{name})")
        elif first != second:
            found.append(f"different {what}: {first[:16]} against {second[:16]}{_counted(one, other, name)}")
    options = [pair for pair in settings(one, other)[0] if pair.kind == "option"]
    if options and not found:
        named = ", ".join(f"{pair.name}={pair.one} against {pair.other}" for pair in options)
        found.append(f"different dataset options: {named}")
    if one.tag("board") != other.tag("board") and not found:
        found.append("the data were read by different code (tag bench.board)")
    return tuple(found)


def same_data(one: StoredRun, other: StoredRun) -> str:
    """Empty when the slides of both runs are the same pixels, else why they are not known to be."""
    first, second = one.tag("data_digest"), other.tag("data_digest")
    if first is not None and first == second and one.tag("dataset") == other.tag("dataset"):
        return ""
    return "the two runs are not known to have seen the same slides, so their decisions are not compared slide by slide"


def _counted(one: StoredRun, other: StoredRun, name: str) -> str:
    counts = [run.metrics.get("data/slides_used") for run in (one, other)]
    if name != "slides" or counts[0] is None or counts[1] is None:
        return ""
    return f" ({counts[0]:.0f} slides against {counts[1]:.0f})"
