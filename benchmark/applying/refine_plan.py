"""What `bench refine` is asked for, and everything that can be settled before a slide is computed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark import config
from benchmark.applying.annotation_files import Format, annotation_of, chosen_format, format_of
from benchmark.applying.given_slides import Given, given_slides, plausible
from benchmark.applying.out_folder import require_empty
from benchmark.applying.own_layout import OwnLayout, OwnOptions, open_slide
from benchmark.applying.refiners import refiner
from benchmark.errors import AnnotationError, DataError
from benchmark.setting_faults import refuse_unknown

if TYPE_CHECKING:
    from pydantic import BaseModel

    from benchmark.annotations import Annotation
    from benchmark.method import Method
    from benchmark.slides import Slide


@dataclass(frozen=True)
class RefineRequest:
    """The arguments of `bench refine`. `settings`: `KEY=VALUE`, of the method or of how slides are read."""

    slides: Sequence[Path]
    annotation: Path
    out: Path
    method: str | None = None
    preset: str = config.DEFAULT_PRESET
    settings: Sequence[str] = ()
    format: str | None = None
    mpp: float | None = None
    seed: int = 0
    device: str = "auto"
    cache: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class RefinePlan:
    """A request, resolved. `annotations`: slide id → its file, or why it has none that can be used."""

    request: RefineRequest
    method: type[Method]
    params: BaseModel
    options: OwnOptions
    slides: Sequence[Given]
    annotations: Mapping[str, Path | DataError]
    format: Format | None


@dataclass(frozen=True, eq=False)
class Ready:
    """A slide and its annotation, read and found to belong together. `shift`: where its coordinates count from."""

    slide: Slide
    file: Path
    format: Format
    annotation: Annotation
    shift: tuple[float, float]
    notes: tuple[str, ...]


def plan_refinement(request: RefineRequest) -> RefinePlan:
    """Resolve a request; nothing is opened. Raises `BenchError` for what cannot be meant."""
    require_empty(request.out, force=request.force)
    wanted = chosen_format(request.format)
    kind = refiner(request.method)
    given = config.named_once(map(config.read_setting, request.settings))
    params, options = _shared(given, kind)
    if request.mpp is not None:
        options["mpp"] = plausible(request.mpp, "--mpp")
    slides = given_slides(request.slides, request.annotation)
    annotations: dict[str, Path | DataError] = {}
    for one in slides:
        try:
            annotations[one.id] = annotation_of(one, request.annotation, len(slides) == 1)
        except DataError as error:
            if len(slides) == 1 or not request.annotation.is_dir():
                raise
            annotations[one.id] = error
    resolved = config.resolve(kind, request.preset, params)
    own = OwnOptions.model_validate(config.validated(OwnOptions, options, "bench refine --set").model_dump())
    return RefinePlan(request, kind, resolved, own, slides, annotations, wanted)


def _shared(settings: Mapping[str, Any], kind: type[Method]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the method and of the slides; what both have (`cell`) is of both."""
    params: dict[str, Any] = {}
    options: dict[str, Any] = {}
    symbols = config.symbols_of(kind.Params)
    for key, value in settings.items():
        owner, dot, name = key.partition(".")
        if dot and owner == "method":
            params[name] = value
            continue
        field = symbols.get(key, key)
        if field in kind.Params.model_fields:
            params[field] = value
        if field in OwnOptions.model_fields:
            options[field] = value
        if field not in kind.Params.model_fields and field not in OwnOptions.model_fields:
            raise refuse_unknown(key, {kind.name: kind.Params, "own slides": OwnOptions})
    return params, options


def made_ready(given: Given, file: Path, layout: OwnLayout) -> Ready:
    """Open a slide and its annotation, and see that the one was drawn on the other.

    Raises `DataError` for a slide or annotation that cannot be read, an annotation in other pixels, one without any
    tissue in it, and one that holds all of the tissue: from neither can anything be learnt.
    """
    from benchmark.annotations import ClassNames, check_extent, placed, read_annotation, read_classes

    options = layout.options
    slide, facts, notes = open_slide(given, options.mpp)
    grid = layout.evaluation_grid(slide)
    tissue = layout.tissue(slide, grid)
    try:
        names = ClassNames(layout.classes, read_classes(options.classes or "", 2))
    except ValueError as error:
        raise DataError(f"--set classes: {error}", fix="--set classes='Invasive=1,Stroma=0'") from None
    where = f"slide {slide.id!r}: {file}"
    read = read_annotation(file, names, size=slide.size, bounds=facts.bounds, origin=options.origin)
    annotation = placed(read, slide.size, facts.bounds, where=where, origin=options.origin, tissue=(tissue, grid))
    more = check_extent(annotation, slide.size, facts.downsamples, where=where, tissue=(tissue, grid))
    said = [*notes, *(str(note) for note in (*annotation.notes, *more))]
    _check_overlap(annotation.labels(grid) > 0, tissue, annotation, where, options.tissue_mode)
    return Ready(slide, file, format_of(file), annotation, _shift(read, annotation), tuple(dict.fromkeys(said)))


def _check_overlap(
    inside: NDArray[np.bool_], tissue: NDArray[np.bool_], annotation: Annotation, where: str, mode: str
) -> None:
    """Raise `DataError` unless some tissue lies inside the annotation and some outside."""
    if not annotation.count():
        raise AnnotationError(f"{where}: it outlines nothing of the positive class", fix="--set classes='NAME=1'")
    of_tissue = inside[tissue]
    if not of_tissue.any():
        place = "on glass" if inside.any() else "between the centres of the cells, or beyond the slide"
        msg = f"{where}: the annotation and the tissue do not overlap: its outlines lie {place} (tissue_mode={mode})"
        raise DataError(msg, fix="is it the annotation of this slide? else --set tissue_mode=all, or a smaller cell")
    if of_tissue.all():
        msg = (
            f"{where}: the annotation encloses all {of_tissue.size} tissue cells, so nothing tells lesion from the rest"
        )
        raise DataError(msg, fix="outline the lesion alone, or annotate a slide with normal tissue")


def _shift(read: Annotation, laid: Annotation) -> tuple[float, float]:
    """By how much an annotation was moved onto the canvas."""
    from benchmark.annotations import Polygons

    if read is laid or not isinstance(read, Polygons):  # a label image would be traced, and says its place by itself
        return 0.0, 0.0
    before, after = read.polygons(), laid.polygons()
    if not before or not after:
        return 0.0, 0.0
    (left, top, *_), (own_left, own_top, *_) = before[0].geometry.bounds, after[0].geometry.bounds
    return own_left - left, own_top - top
