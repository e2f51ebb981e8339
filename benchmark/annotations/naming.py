"""What every outline of a file means, by its names and by what it lies in; anything else is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations.class_names import UNNAMED, ClassNames, Meaning, is_frame, is_other_tissue, says_nothing
from benchmark.annotations.notes import Kind, Note
from benchmark.annotations.touching import touching
from benchmark.errors import AnnotationError

if TYPE_CHECKING:
    from benchmark.annotations.shapes import Shape

SHOWN = 12
"""Names listed in a message; the rest are counted."""


def meanings(
    shapes: Sequence[Shape], names: ClassNames, path: Path, noun: str = "classification"
) -> tuple[list[Meaning | None], list[Note]]:
    """The meaning of every shape (None: it frames others and is passed over), and what had to be supposed.

    `noun`: what the format calls a name. An outline takes its own name, where that is not understood the name of what
    it lies in; only a file in which nothing is named is taken as the positive class.

    Raises `AnnotationError` that lists all names with their areas and the option that settles them.
    """
    found: list[Meaning | str | None] = []
    notes: list[Note] = []
    for shape in shapes:
        meaning, taken = _of(shape, names)
        found.append(meaning)
        if taken:
            own, outer = taken
            text = f"{noun} {own!r} is not known: taken as {outer!r}, in which it lies"
            notes.append(Note(text, Kind.ASSUMED, shape.place, str(path)))
    notes += _unnamed(shapes, found, names, path, noun)
    notes += _frames(shapes, found, path)
    if any(isinstance(meaning, _Unknown) for meaning in found):
        raise _refusal(shapes, found, names, path, noun)
    return [meaning if not isinstance(meaning, _Unknown) else None for meaning in found], notes  # type: ignore[misc]


class _Unknown(str):
    """The name of an outline whose meaning nothing says; `UNNAMED` where it has none."""

    __slots__ = ()


def _of(shape: Shape, names: ClassNames) -> tuple[Meaning | _Unknown, tuple[str, str] | None]:
    """The meaning of one shape, and which name was passed over for which."""
    if shape.meaning is not None:
        return shape.meaning, None
    unknown = None
    for name in shape.names:
        meaning = names.meaning(name)
        if meaning is not None:
            return meaning, (unknown, name) if unknown else None
        if not says_nothing(name):
            unknown = unknown or name
            if is_other_tissue(name):
                break
    return _Unknown(unknown or UNNAMED), None


def _unnamed(shapes: Sequence[Shape], found: list[Any], names: ClassNames, path: Path, noun: str) -> list[Note]:
    """Settle outlines that nothing names: by the option, as frames of others, or as the only ones there are."""
    bare = [number for number, meaning in enumerate(found) if isinstance(meaning, _Unknown) and meaning == UNNAMED]
    if not bare:
        return []
    given = names.meaning(UNNAMED)
    labels = sorted({next(iter(shapes[number].names), UNNAMED) for number in bare}, key=str.casefold)
    framing = _framing(shapes, bare)
    alone = len(bare) == len(found) and len(labels) == 1 and not framing and len(names.classes) == 2
    notes = []
    if given is None and len(bare) < len(found) and framing:
        for number in framing:
            found[number] = None
        bare = [number for number in bare if number not in framing]
        text = f"{len(framing)} outlines without a {noun} that frame others passed over"
        notes.append(Note(text, Kind.PASSED_OVER, shapes[min(framing)].place, str(path)))
    settled = given if given is not None else (1 if alone else None)
    for number in bare:
        name = next(iter(shapes[number].names), UNNAMED) if len(labels) > 1 else UNNAMED
        found[number] = settled if settled is not None else _Unknown(name)
    if bare and settled is not None and (given is None or settled == 1):
        text = f"{len(bare)} outlines without a {noun} taken as class {settled}"
        notes.append(Note(text, Kind.ASSUMED, shapes[bare[0]].place, str(path)))
    return notes


def _framing(shapes: Sequence[Shape], bare: Sequence[int]) -> set[int]:
    """Which of the unnamed outlines lie around another outline; equal ones do not."""
    import shapely

    geometries = np.array([shape.geometry for shape in shapes], dtype=object)
    own = geometries[list(bare)]
    outer, inner = touching(own, geometries)
    areas: NDArray[np.float64] = shapely.area(geometries)
    wider = areas[np.array(bare, np.int64)[outer]] > areas[inner] * (1 + 1e-9)
    outer, inner = outer[wider], inner[wider]
    wider = shapely.covers(own[outer], geometries[inner])
    return {bare[number] for number in outer[wider].tolist() if not shapes[bare[number]].negative}


def _frames(shapes: Sequence[Shape], found: Sequence[Any], path: Path) -> list[Note]:
    framed: dict[str, list[Shape]] = {}
    for shape, meaning in zip(shapes, found, strict=True):
        if shape.names and meaning == 0 and is_frame(shape.names[0]):
            framed.setdefault(shape.names[0], []).append(shape)
    return [
        Note(
            f"{len(listed)} outlines named {name!r} passed over: they frame what was looked at and are no class",
            Kind.PASSED_OVER,
            listed[0].place,
            str(path),
        )
        for name, listed in framed.items()
    ]


def _refusal(
    shapes: Sequence[Shape], found: Sequence[Any], names: ClassNames, path: Path, noun: str
) -> AnnotationError:
    total = sum(shape.geometry.area for shape in shapes) or 1.0
    groups: dict[str, list[Shape]] = {}
    unknown: dict[str, None] = {}
    for shape, meaning in zip(shapes, found, strict=True):
        name = str(meaning) if isinstance(meaning, _Unknown) else next(iter(shape.names), UNNAMED)
        groups.setdefault(name, []).append(shape)
        if isinstance(meaning, _Unknown):
            unknown.setdefault(name)
    largest = sorted(groups, key=lambda name: (name not in unknown, -sum(s.geometry.area for s in groups[name])))
    lines = [
        f"{name!r}{' (not known)' if name in unknown else ''}: {len(groups[name])} outlines, "
        f"{sum(s.geometry.area for s in groups[name]):.0f} px² "
        f"({sum(s.geometry.area for s in groups[name]) / total:.1%})"
        for name in largest[:SHOWN]
    ]
    more = f"; and {len(largest) - SHOWN} more" if len(largest) > SHOWN else ""
    first = groups[next(iter(unknown))][0].place
    what = ", ".join(repr(name) for name in list(unknown)[:SHOWN])
    msg = f"{path}: the {noun} {what} is none of {', '.join(names.classes)} nor a known word for them, first at {first}"
    return AnnotationError(f"{msg}. Found: {'; '.join(lines)}{more}", fix=option(list(unknown)[:SHOWN], names))


def option(unknown: Sequence[str], names: ClassNames, guesses: Mapping[str, int] | None = None) -> str:
    """The option that settles names, to be typed and completed; offered as negative unless `guesses` has the name."""
    pairs = [f"{name}={(guesses or {}).get(name, 0)}" for name in unknown]
    parts = [f'"{pair}"' if "," in pair else pair for pair in pairs]
    quoted = ",".join(parts).replace("'", "'\\''")
    return f"--set classes='{quoted}'   ({names.option})"
