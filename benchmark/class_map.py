"""Which class of the data a method is tested on is which class of the data it learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.errors import ConfigError
from benchmark.near_names import did_you_mean, near_names

if TYPE_CHECKING:
    from benchmark.dataset import Dataset

IGNORE = "ignore"
"""The counterpart of a class whose cells count nowhere."""


@dataclass(frozen=True)
class ClassMap:
    """`table`: index of a class there → index here, None for one that counts nowhere.

    `notes`: which classes mapped by themselves.
    """

    table: tuple[int | None, ...]
    notes: tuple[str, ...] = ()


def read_map(text: str | None) -> tuple[tuple[str, str], ...]:
    """`tumour=lesion,stroma=ignore` as pairs. Raises `ConfigError` for what is no pair, and a class named twice."""
    pairs: list[tuple[str, str]] = []
    for part in text.split(",") if text is not None else []:
        theirs, equals, ours = (word.strip() for word in part.partition("="))
        if not equals or not theirs or not ours:
            raise ConfigError(f"cannot read --map {text!r}", fix="--map CLASS_OF_TEST=CLASS_OF_TRAIN,…")
        if theirs in dict(pairs):
            raise ConfigError(f"--map {text!r} names the class {theirs!r} twice", fix="name it once")
        pairs.append((theirs, ours))
    return tuple(pairs)


def class_map(trained: Dataset, tested: Dataset, given: Mapping[str, str]) -> ClassMap:
    """Every class of `tested` as one of `trained`: as `given` says, else by its own name.

    Raises `ConfigError` for a name that does not exist, a class without a counterpart, and a map under which the labels
    of units would not mean the same: positive classes go to positive ones, the others to the others.
    """
    ours, theirs = trained.classes, tested.classes
    for name, own in given.items():
        _require(name, theirs, tested.name)
        if own != IGNORE:
            _require(own, ours, trained.name)
    wanted = {name: given.get(name, name if name in ours else None) for name in theirs}
    lacking = [name for name, own in wanted.items() if own is None]
    if lacking:
        raise _unmapped(lacking, trained, tested)
    table = tuple(None if own in (None, IGNORE) else ours.index(own) for own in wanted.values())
    for index, (name, counterpart) in enumerate(zip(theirs, table, strict=True)):
        positive = index in tested.positive
        if positive if counterpart is None else positive != (counterpart in trained.positive):
            side, other = ("positive", "negative") if positive else ("negative", "positive")
            told = "ignored" if counterpart is None else f"{ours[counterpart]!r}, {other} in {trained.name}"
            msg = f"the class {name!r} is {side} in {tested.name}, and --map has it {told}"
            raise ConfigError(
                f"{msg}: labels of its units would not mean the same", fix=_proposal([name], trained, tested)
            )
    alike = [name for name in theirs if name not in given]
    return ClassMap(table, (f"classes mapped by their names: {', '.join(alike)}",) if alike else ())


def _require(name: str, known: tuple[str, ...], where: str) -> None:
    if name not in known:
        hint = did_you_mean(near_names(name, known)) or f"it has {', '.join(known)}"
        raise ConfigError(f"--map: {where} has no class {name!r}; {hint}", fix="--map CLASS_OF_TEST=CLASS_OF_TRAIN,…")


def _unmapped(lacking: list[str], trained: Dataset, tested: Dataset) -> ConfigError:
    names, fix = ", ".join(map(repr, lacking)), _proposal(lacking, trained, tested)
    msg = f"{tested.name} has classes without a counterpart in {trained.name} ({', '.join(trained.classes)}): {names}"
    return ConfigError(f"{msg} (settled by {fix})", fix=f"bench run … {fix}")


def _proposal(names: list[str], trained: Dataset, tested: Dataset) -> str:
    """An option that would do, as far as positive and negative tell."""
    pairs = []
    for name in names:
        positive = tested.classes.index(name) in tested.positive
        same = [own for index, own in enumerate(trained.classes) if (index in trained.positive) == positive]
        pairs.append(f"{name}={'|'.join(same)}")
    return f"--map {','.join(pairs)}"
