"""Where data is searched: `--data`, then `BENCH_DATA`, then `./data`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError
from benchmark.registry import datasets

DATA_VARIABLE = "BENCH_DATA"


@dataclass(frozen=True)
class Place:
    """One searched folder. `why`: the option or variable that names it; `state`: "found", or why it was not taken."""

    path: Path
    why: str
    state: str

    @property
    def found(self) -> bool:
        """True when the dataset may be here."""
        return self.state == "found"


def places(name: str, explicit: str | None = None) -> list[Place]:
    """Every folder searched for the dataset `name`, in order; the first that is found is taken.

    With `explicit` (the argument of `--data`) nothing else is searched.
    """
    if explicit is not None:
        return _parent_or_itself(name, Path(explicit).expanduser(), "--data")
    searched = []
    if variable := os.environ.get(DATA_VARIABLE):
        searched += _parent_or_itself(name, Path(variable).expanduser(), DATA_VARIABLE)
    default = Path("data") / name
    return [*searched, Place(default, "./data", _state(default))]


def find_root(name: str, explicit: str | None = None) -> Path:
    """The folder of the dataset `name`. Raises `DataError` that lists every folder searched."""
    searched = places(name, explicit)
    for place in searched:
        if place.found:
            return place.path.resolve()
    lines = "".join(f"\n  {place.why}: {place.path} – {place.state}" for place in searched)
    if explicit is None and not os.environ.get(DATA_VARIABLE):
        lines += f"\n  {DATA_VARIABLE}: not set"
    synth = f"bench data synth {name} --out data/{name}"
    raise DataError(
        f"the data of {name!r} was not found; searched:{lines}",
        fix=f"how to obtain it: bench data info {name}; a miniature instead: --data synthetic, or {synth}",
    )


def _parent_or_itself(name: str, base: Path, why: str) -> list[Place]:
    inside = Place(base / name, why, _state(base / name))
    others = [other for other in datasets().names() if other != name and (base / other).is_dir()]
    state = f"holds {', '.join(others)} but no {name}" if others else _state(base)
    return [inside, Place(base, why, state)]


def _state(path: Path) -> str:
    if not path.exists():
        return "does not exist"
    if not path.is_dir():
        return "is not a folder"
    try:
        return "found" if any(path.iterdir()) else "is empty"
    except PermissionError:
        return "cannot be read"
