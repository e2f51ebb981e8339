"""Refine the annotations of slides of one's own: no manifest, no truth, no splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.applying.annotation_files import SUFFIXES, require_drawable, write_annotation
from benchmark.applying.export_run import outlined_cells
from benchmark.applying.out_folder import writing
from benchmark.applying.own_layout import OwnLayout
from benchmark.applying.refine_plan import Ready, RefinePlan, made_ready
from benchmark.applying.refined_page import write_page
from benchmark.applying.refined_slide import Refined, picture_of, summed_up
from benchmark.applying.score_tiff import write_score_tiff
from benchmark.cachehome import cache_home
from benchmark.context import Context, Reporter, SilentReporter
from benchmark.csv_text import csv_text
from benchmark.digest import content_digest
from benchmark.errors import BlankSlideError, DataError
from benchmark.file_names import file_name
from benchmark.identity import digest_of, facts_of
from benchmark.method import Prediction
from benchmark.running.device import choose_device, prepare
from benchmark.seeds import seed_of
from benchmark.slides import Slide
from benchmark.storage import whole_file
from benchmark.supervision import Labels, Ledger, View

if TYPE_CHECKING:
    from benchmark.annotations import Annotation

PAGE, TABLE, SCORES, OVERLAY = "refined.html", "refined.csv", ".scores.tif", ".overlay.jpg"


@dataclass
class Refinement:
    """What came of it: `slides` by id, for each slide that could not be refined, why, and the id of the stored run."""

    out: Path
    method: str
    slides: dict[str, Refined] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    data_digest: str = ""
    run: str | None = None

    @property
    def page(self) -> Path:
        """The page with before and after."""
        return self.out / PAGE

    @property
    def table(self) -> Path:
        """The figures of every slide."""
        return self.out / TABLE

    @property
    def written(self) -> list[Path]:
        """Every file that was written; the folder may hold others of the user's."""
        ends = (SCORES, OVERLAY)
        own = [
            path for one in self.slides.values() for path in (one.file, *(_place(self.out, one.id, e) for e in ends))
        ]
        return [*own, self.page, self.table]


def _place(out: Path, slide: str, ending: str) -> Path:
    return out / file_name(slide, ending)


class OwnAnnotations:
    """A `LabelSource` of coarse annotations; there is no truth."""

    def __init__(self, classes: tuple[str, ...], ready: Mapping[str, Ready]) -> None:
        self.classes = classes
        self._ready = ready

    def truth(self, slide: Slide) -> Annotation:
        """Always `DataError`."""
        raise DataError(f"slide {slide.id!r} has no truth: a slide of one's own has its annotation alone")

    def coarse(self, slide: Slide) -> Annotation:
        """The annotation that was given."""
        return self._ready[slide.id].annotation

    def annotated(self, slide: Slide) -> bool:
        """False: there is no fine annotation."""
        return False

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """1: somebody outlined a lesion."""
        return np.ones((1, 1), np.int8)


def refine_slides(plan: RefinePlan, reporter: Reporter | None = None) -> Refinement:
    """Refine every slide of a plan and write what came of it into `plan.request.out`.

    Of each slide: the refined annotation, the score map (TIFF), a picture; of all, a page and a table. A slide that
    cannot be read, or whose annotation does not fit it, is named with its reason, and the others go on.

    Raises:
        DataError: not one slide can be refined.
        ConfigError: the folder cannot be written (a full disk).
    """
    reporter = reporter or SilentReporter()
    request, layout = plan.request, OwnLayout(plan.options)
    done = Refinement(request.out, plan.method.name)
    ready = _ready(plan, layout, done, reporter)
    files = [*(one.slide.path for one in ready), *(one.file.resolve() for one in ready)]
    done.data_digest = content_digest(Path(files[0].anchor), files)
    device = choose_device(request.device)
    prepare(device, seed_of("run", request.seed))
    method = plan.method(plan.params)
    cache = request.cache or cache_home()
    ledger = Ledger()
    context = Context(
        geometry=layout,
        folder=cache / "stages",
        ledger=ledger,
        seed=request.seed,
        device=device,
        data_digest=digest_of([done.data_digest, facts_of(plan.options)]),
        reporter=reporter,
        features=cache / "features",
    ).bind(method)
    slides = [one.slide for one in ready]
    source = OwnAnnotations(layout.classes, {one.slide.id: one for one in ready})
    labels = Labels(source, slides, method.supervision, ledger, owner=method.name, budgets=method.budgets())
    method.check_slides(slides, slides)
    method.prepare(slides, slides, context)
    method.fit(View(slides, labels), View([], labels), context)
    with writing(request.out):
        request.out.mkdir(parents=True, exist_ok=True)
        for one in context.track(ready, "refining slides", len(ready)):
            try:
                prediction = method.predict(one.slide, labels, context)
            except (DataError, BlankSlideError) as error:
                _leave_out(done, one.slide.id, error, reporter)
                continue
            refined = _written(plan, layout, one, prediction)
            done.slides[one.slide.id] = refined
            for warning in refined.warnings:
                reporter.say(f"warning: {one.slide.id}: {warning}")
        _refuse_none(done)
        _write_table(done)
        write_page(done.page, plan, list(done.slides.values()), done.failed)
    return done


def _ready(plan: RefinePlan, layout: OwnLayout, done: Refinement, reporter: Reporter) -> list[Ready]:
    ready = []
    for given in reporter.track(plan.slides, "reading slides and annotations", len(plan.slides)):
        file = plan.annotations[given.id]
        try:
            if isinstance(file, DataError):
                raise file
            one = made_ready(given, file, layout)
            require_drawable(plan.format or one.format, one.slide, layout.evaluation_grid(one.slide))
            ready.append(one)
        except DataError as error:
            if len(plan.slides) == 1:
                raise
            _leave_out(done, given.id, error, reporter)
    if not ready:
        _refuse_none(done)
    return ready


def _leave_out(done: Refinement, slide: str, error: DataError, reporter: Reporter) -> None:
    done.failed[slide] = str(error).replace("\n  → ", "; ")
    reporter.say(f"left out: {error.what}")


def _refuse_none(done: Refinement) -> None:
    if not done.slides:
        first = next(iter(done.failed.values()), "there is none")
        raise DataError(f"none of the {len(done.failed)} slides can be refined; the first: {first}")


def _written(plan: RefinePlan, layout: OwnLayout, one: Ready, prediction: Prediction) -> Refined:
    """Write the files of one slide."""
    slide, scores = one.slide, prediction.scores
    mask = prediction.mask if prediction.mask is not None else scores.values > 0.5
    kind = plan.format or one.format
    folder = plan.request.out
    target = folder / file_name(slide.id, f".refined{SUFFIXES[kind]}")
    shape = outlined_cells(mask, scores.grid)
    if kind != "label-image" and any(one.shift):
        shape = shape.moved(-one.shift[0], -one.shift[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    write_annotation(target, shape, kind, layout.classes, slide, scores.grid)
    write_score_tiff(_place(folder, slide.id, SCORES), scores, slide.size, slide.mpp)
    refined = summed_up(one, prediction, mask, layout, target)
    picture_of(refined, one, _place(folder, slide.id, OVERLAY))
    return refined


def _write_table(done: Refinement) -> None:
    from pandas import DataFrame

    rows = [
        {
            "slide": one.id,
            "path": str(one.path),
            "annotation": str(one.annotation),
            "refined": one.file.name,
            **one.figures,
            "warnings": "; ".join(one.warnings),
            "notes": "; ".join(one.notes),
        }
        for one in done.slides.values()
    ]
    rows += [{"slide": slide, "warnings": f"not refined: {why}"} for slide, why in done.failed.items()]
    with whole_file(done.table) as temporary:
        temporary.write_text(csv_text(DataFrame(rows)), encoding="utf-8", newline="")
