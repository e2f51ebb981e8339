"""Annotations in and out: outlines as first answers; what is in force as answers on record, for QuPath and for ASAP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations import (
    ClassNames,
    Polygons,
    check_extent,
    read_annotation,
    read_classes,
    write_asap,
    write_geojson,
)
from benchmark.applying.export_run import outlined_cells
from benchmark.applying.written_files import file_digest, keep_written, require_free, written_before
from benchmark.errors import AnnotationError, ConfigError, DataError
from benchmark.expert import Answer, answer_line, cell_classes
from benchmark.file_names import file_name
from benchmark.storage import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmark.annotating.journal import Cell, Given, Mark
    from benchmark.annotating.reviewing import Session
    from benchmark.annotating.steps import Steps
    from benchmark.slides import Grid, Slide

EXAMPLES = 10
"""Cells of each wanted class that outlines give as examples."""


def write_answers(
    path: Path,
    slide: str,
    grid: Grid,
    classes: Sequence[str],
    examples: Mapping[Cell, Given],
    answers: Mapping[Cell, Given],
) -> None:
    """Examples, then answers, as `benchmark.expert.RecordedExpert` replays them."""
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        for part, example in ((examples, True), (answers, False)):
            for (row, col), given in part.items():
                answer = Answer(given.label, given.who, given.when, given.seconds)
                item = f"{grid.digest}:{row},{col}"
                stream.write(answer_line(slide, item, classes[given.label], answer, example=example))


def marks_of(
    path: Path, steps: Steps, slide: Slide, classes: Sequence[str], meanings: str
) -> tuple[list[Mark], list[Mark]]:
    """What outlines in a file say of cells with tissue: examples of the wanted classes, and answers for all others.

    Cells that nobody outlined are not known. `meanings`: what names mean, as the option `classes` has it. Raises
    `DataError` for a file that cannot be read, is not understood, or lies beside the slide.
    """
    try:
        names = ClassNames(tuple(classes), read_classes(meanings, len(classes)))
    except ValueError as error:
        raise ConfigError(f"--set classes: {error}", fix="--set classes='Stroma=0,Invasive=1'") from None
    annotation = read_annotation(path, names, size=slide.size)
    check_extent(annotation, slide.size, (), where=f"slide {slide.id!r}: {path}")
    labels = cell_classes(annotation, steps.grid, len(classes), steps.share)
    known = (labels > 0) & ~annotation.ignored(steps.grid)
    rows, cols = steps.places.T
    marks = [
        (int(row), int(col), int(labels[row, col])) for row, col in zip(rows, cols, strict=True) if known[row, col]
    ]
    allowed = {label for label, _ in steps.choices}
    if odd := {classes[mark[2]] for mark in marks if mark[2] not in allowed}:
        raise AnnotationError(f"{path} outlines {', '.join(sorted(odd))}, which is no answer of this method")
    if not marks:
        raise DataError(f"{path} outlines no tissue cell of slide {slide.id!r}", fix="check that it is of this slide")
    examples: list[Mark] = []
    for label in steps.wanted:
        own = [mark for mark in marks if mark[2] == label]
        evenly: Sequence[int] = (
            np.unique(np.linspace(0, len(own) - 1, min(EXAMPLES, len(own))).round().astype(int)).tolist() if own else []
        )
        examples += [own[place] for place in evenly]
    return examples, [mark for mark in marks if mark not in set(examples)]


def annotated_cells(session: Session) -> NDArray[np.int8]:
    """The class of every cell, rows × cols: the expert's where there is one, else the method's, else class 0."""
    classes = np.zeros(session.items.shape, np.int8)
    record, view, steps = session.record, session.view, session.steps
    if view.probabilities is not None:
        labels = np.array([label for label, _ in steps.choices], np.int8)
        classes[tuple(steps.places.T)] = labels[view.probabilities.argmax(axis=1)]
    for given in (record.answers, record.examples):
        for cell, answer in given.items():
            classes[cell] = answer.label
    return classes


def exported(folder: Path, slide: str) -> dict[str, Path]:
    """Where the annotation of a session goes: format → file."""
    return {"geojson": folder / file_name(slide, ".geojson"), "asap": folder / file_name(slide, ".xml")}


def require_exportable(folder: Path, slide: str) -> None:
    """Raise `ConfigError` where the annotation would replace a file that no session wrote, or that was changed."""
    fix = "move it away (--reopen goes on with a session that has ended), or --out ANOTHER_FOLDER"
    require_free(folder, [path.name for path in exported(folder, slide).values()], written_before(folder), fix=fix)


def export(session: Session, folder: Path, slide: str, classes: Sequence[str]) -> dict[str, Path]:
    """Write the annotation as it stands, in outlines along the cells; returns format → file.

    Raises `ConfigError` like `require_exportable`.
    """
    require_exportable(folder, slide)
    cells, regions = annotated_cells(session), []
    for label in range(1, len(classes)):
        outlined = outlined_cells(cells == label, session.steps.grid)
        regions += [replace(region, label=label) for region in outlined.regions]
    annotation = Polygons(regions)
    files, known = exported(folder, slide), written_before(folder)
    for kind, write in (("geojson", write_geojson), ("asap", write_asap)):
        write(files[kind], annotation, classes)
        known[files[kind].name] = file_digest(files[kind])
        keep_written(folder, {"slide": slide}, known)
    return files
