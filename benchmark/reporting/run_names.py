"""What runs are called in one table: method, the settings that tell them apart, preset.

A setting that all rows share is left out of their names, and values are shortened; `shared_settings` is for a note.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PureWindowsPath
from typing import NamedTuple

from benchmark.stored import StoredRun

MOST_SETTINGS, LONGEST_VALUE, DIGITS = 3, 24, 4
"""Settings in a name, letters of a value, digits of a number; more only where two names would be the same."""

_NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?:[eE][-+]?\d+)?(?![\w.])")


REFIT = "refit"


class Component(NamedTuple):
    """What a row of a table runs. `variant`: what differs from the preset, `name=value` with blanks between.

    `refit`: fitted on training and validation slides together. `origin`: the published board it was read from.
    """

    method: str
    variant: str = ""
    preset: str = ""
    refit: bool = False
    origin: str = ""

    @property
    def label(self) -> str:
        """Everything: `oeem refit V=2 quick`."""
        return " ".join(filter(None, (self.method, REFIT if self.refit else "", self.variant, self.preset, self.where)))

    @property
    def where(self) -> str:
        """`(from NAME)` of a published row; empty for one of the store."""
        return f"(from {self.origin})" if self.origin else ""

    @property
    def settings(self) -> dict[str, str]:
        """What differs from the preset, name → value; `refit` has none."""
        return {**({REFIT: ""} if self.refit else {}), **split_settings(self.variant)}


def component_of(run: StoredRun) -> Component:
    """What a stored run ran, from its tags."""
    method, variant, preset = (run.tag(name) or "" for name in ("method", "variant", "preset"))
    return Component(method, variant, preset, run.tag("refit") == "true", run.tag("published_in") or "")


def distinct_names(runs: Sequence[Component]) -> dict[Component, str]:
    """A name for each of the runs of one table; different runs have different names.

    `oeem weighting=none quick`: of the settings that not all rows share, at most three, first those that the
    fewest rows of the method have; `+2` counts the others. Where two names would be the same, they get more settings,
    then whole values.
    """
    candidates = {run: _candidates(run, runs) for run in dict.fromkeys(runs)}
    chosen = {run: next(each) for run, each in candidates.items()}
    while True:
        told_apart = Counter(key for key, _ in chosen.values())
        longer = {run: next(candidates[run], None) for run, (key, _) in chosen.items() if told_apart[key] > 1}
        if not any(longer.values()):
            return {run: name for run, (_, name) in chosen.items()}
        chosen.update({run: each for run, each in longer.items() if each})


def shared_settings(runs: Sequence[Component]) -> str:
    """The settings that all rows of a table share, shortened: `batch=2, epochs=4`; empty for none."""
    return ", ".join(setting(name, value) for name, value in _shared(runs).items())


def split_settings(variant: str) -> dict[str, str]:
    """The `name=value` parts of a label; a blank inside a value belongs to it, a word alone has no value."""
    parts: list[str] = []
    for word in variant.split(" ") if variant else []:
        if "=" in word or not parts or "=" not in parts[-1]:
            parts.append(word)
        else:
            parts[-1] += f" {word}"
    return {name: value if equals else "" for name, equals, value in (part.partition("=") for part in parts)}


def setting(name: str, value: str, *, whole: bool = False) -> str:
    """`name=value` with the value shortened, or the name alone where there is no value."""
    return f"{name}={value if whole else short_value(value)}" if value else name


def short_value(value: str) -> str:
    """The file name of a path, four digits of a number, both ends of a long text."""
    if "/" in value or "\\" in value:
        value = PureWindowsPath(value).name or value
    value = _NUMBER.sub(lambda number: _rounded(number[0]), value)
    if len(value) <= LONGEST_VALUE:
        return value
    half = (LONGEST_VALUE - 1) // 2
    return f"{value[:half]}…{value[-half:]}"


def _rounded(number: str) -> str:
    mantissa = re.split("[eE]", number)[0]
    significant = mantissa.replace(".", "").lstrip("-0")
    return number if len(significant) <= DIGITS else f"{float(number):.{DIGITS}g}"


def _shared(runs: Sequence[Component]) -> dict[str, str]:
    rows = [run.settings for run in dict.fromkeys(runs)]
    if len(rows) < 2:
        return {}
    return {name: value for name, value in rows[0].items() if all(row.get(name) == value for row in rows)}


def _candidates(run: Component, runs: Sequence[Component]) -> Iterator[tuple[str, str]]:
    """What tells a run apart, and its name with the number of other settings; the shortest first."""
    shared = _shared(runs)
    own = {name: value for name, value in run.settings.items() if name not in shared}
    siblings = [other.settings for other in dict.fromkeys(runs) if other.method == run.method]
    order = sorted(own, key=lambda name: sum(other.get(name) == own[name] for other in siblings))
    for whole in (False, True):
        for count in range(min(MOST_SETTINGS, len(order)), len(order) + 1):
            shown = [setting(name, own[name], whole=whole) for name in order[:count]]
            more = [f"+{len(order) - count}"] if count < len(order) else []
            yield (
                " ".join(filter(None, (run.method, *shown, run.preset, run.where))),
                " ".join(filter(None, (run.method, *shown, *more, run.preset, run.where))),
            )
    yield run.label, run.label
