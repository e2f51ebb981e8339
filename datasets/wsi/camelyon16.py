"""CAMELYON16: metastases of breast cancer in sentinel lymph nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FilePath

from benchmark.annotations import UNNAMED, Annotation, read_asap, write_asap
from benchmark.dataset import DatasetCard, Split, TissueSource, VerifyReport
from benchmark.errors import DataError
from benchmark.slides import Grid, Slide

from .camelyon16_files import LCMIL_CAMELYON16, OFFICIAL, TABLE, read_index, slide_id
from .camelyon_plus import read_plus_labels
from .cases import Case, Index
from .splits import official_split
from .wsi_dataset import WsiDataset
from .wsi_miniature import Picture, Planned, shares, write_miniature
from .wsi_options import WsiOptions
from .wsi_verify import named

_WRITTEN = re.compile(
    r"training/(normal|tumor)/(normal|tumor)_\d{3}\.tif|testing/images/test_\d{3}\.tif|"
    r"(training|testing)/lesion_annotations/(tumor|test)_\d{3}\.xml|testing/reference\.csv"
)


class Camelyon16Options(WsiOptions):
    """The options of CAMELYON16: which slides count cell by cell, and whose labels."""

    partly_annotated: Literal["out", "count"] = Field(
        "out",
        description="slides that the release names as not exhaustively annotated (test_114 and 20 tumour slides) in "
        "figures over cells; out: they count in none, count: as if all that is not outlined were normal. Figures over "
        "slides keep them",
    )
    labels: FilePath | None = Field(
        None,
        description="slide labels that replace the release's: CAMELYON+'s table as a CSV file with the columns slide "
        "and label (negative, itc, micro, macro); a slide without a row is left out",
    )


class Camelyon16(WsiDataset):
    """399 slides, 270 for training; the unit is the slide, its label the folder's or the table's."""

    Options = Camelyon16Options
    name = "camelyon16"
    card: ClassVar[DatasetCard] = DatasetCard(
        title="CAMELYON16 – metastases in sentinel lymph nodes",
        homepage="https://camelyon16.grand-challenge.org/",
        licence="CC0",
        citation="Litjens et al., 1399 H&E-stained sentinel lymph node sections of breast cancer patients: the "
        "CAMELYON dataset, GigaScience 7 (2018) giy065",
        size="399 slides of up to 250 000 px a side, about 700 GB",
        obtain="Links are on https://camelyon17.grand-challenge.org/Data/ (GigaScience, AWS, Baidu). Unpack the "
        "annotations, and name the folder with --data.",
        layout="training/normal/normal_*.tif, training/tumor/tumor_*.tif, training/lesion_annotations/tumor_*.xml, "
        "testing/images/test_*.tif, testing/lesion_annotations/test_*.xml, testing/reference.csv. Files are found by "
        "name in any folder, so the flat layout (images/, annotations/, reference.csv anywhere) is read as well; "
        "masks and everything else are ignored. The folder itself, or the one above CAMELYON16/, is the root.",
    )
    nominal_mpp = 0.25
    listed = LCMIL_CAMELYON16

    @classmethod
    def index(cls, root: Path, options: WsiOptions, patients: Mapping[str, str]) -> Index:
        """See `camelyon16_files.read_index`."""
        assert isinstance(options, Camelyon16Options)
        plus = read_plus_labels(options.labels, slide_id) if options.labels is not None else None
        return read_index(root, patients, plus)

    @property
    def own(self) -> Camelyon16Options:
        """The options, as what they are."""
        assert isinstance(self.settings, Camelyon16Options)
        return self.settings

    def split(self, cases: Sequence[Case]) -> dict[str, Split]:
        """The folders: normal and tumor train, test tests."""
        return official_split(cases)

    def unit_grid(self, slide: Slide) -> Grid:
        """The whole slide."""
        return Grid.whole(slide.size)

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """1 for a slide that holds a metastasis."""
        return np.array([[bool(self.cases[slide.id].lesion)]], np.int8)

    def annotated(self, slide: Slide) -> bool:
        """False for a slide that only CAMELYON+ calls a lesion: nobody outlined it."""
        case = self.cases[slide.id]
        return not case.lesion or case.annotation is not None

    def uncounted(self, slide: Slide) -> str | None:
        """A lesion that is not outlined, or not all of it, unless partly_annotated=count."""
        case = self.cases[slide.id]
        if not self.annotated(slide):
            return "nobody outlined its lesion"
        if case.lesion and not case.exhaustive and self.own.partly_annotated == "out":
            return "not exhaustively annotated, as the release says (partly_annotated=count counts it)"
        return None

    def reading_notes(self, slide: Slide) -> Sequence[str]:
        """See `WsiDataset`; also another label, and an annotation that leaves lesions out."""
        case, notes = self.cases[slide.id], list(super().reading_notes(slide))
        if case.relabelled:
            notes.insert(0, f"label: {case.relabelled}")
        if why := self.uncounted(slide):
            notes.append(f"its cells count in no figure: {why}")
        elif case.lesion and not case.exhaustive:
            notes.append("not exhaustively annotated, as the release says; its cells count (partly_annotated=count)")
        return tuple(notes)

    def _expert(self, slide: Slide) -> Annotation:
        if not self.annotated(slide):
            msg = f"slide {slide.id!r} ({slide.path}) holds a lesion that nobody outlined"
            raise DataError(msg, fix="use a method that learns from image labels: bench list methods")
        return super()._expert(slide)

    def read_truth(self, case: Case) -> Annotation:
        """The ASAP file: groups _0, _1, Tumor and no group are lesion, _2 and Exclusion are cut out."""
        assert case.annotation is not None
        return read_asap(case.annotation, self.names(case, (UNNAMED, 1)))

    def check_counts(self, report: VerifyReport) -> None:
        """159 normal, 111 tumour and 129 test slides; the table names every test slide."""
        for kind, numbers in OFFICIAL.items():
            there = [case for case in self.cases.values() if case.id.startswith(kind) and case.image]
            report.facts[f"{kind}_slides"] = len(there)
            text = f"{kind}: {len(there)} slides"
            report.check(len(there) == len(numbers), f"{text}; the release has {len(numbers)}")
        partly = sorted(case.id for case in self.cases.values() if not case.exhaustive and case.image)
        if partly:
            rule = self.own.partly_annotated
            said = f"{len(partly)} slides are not exhaustively annotated, as the release says: {partly[0]} …"
            report.note(f"{said} (figures over cells: partly_annotated={rule})")
        changed = [f"{case.id}: {case.relabelled}" for case in self.cases.values() if case.relabelled and case.image]
        if changed:
            report.note(f"{len(changed)} slides have another label than in the release: {named(changed)}")

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write pyramidal TIFF, ASAP XML and the table in the layout of the challenge; normal slides prevail."""
        planned = plan(slides)
        tests = sorted((slide.name, slide.lesion) for slide in planned if slide.split is Split.TEST)

        def finish(folder: Path, patients: Mapping[str, tuple[str, ...]]) -> None:
            rows = [f"{name},{'Tumor' if lesion else 'Normal'}" for name, lesion in tests]
            (folder / "testing" / TABLE).write_text("\n".join(rows) + "\n", encoding="utf-8")  # it has no header

        write_miniature(root, cls.name, planned, _write, finish, ours=_WRITTEN, seed=seed, tissue=tissue, side=side)


def plan(slides: int) -> list[Planned]:
    """About 4 of 9 slides of each part hold lesions, at least one; the tumour slides that test are LC-MIL's."""
    listed = [int(name[-3:]) for name in LCMIL_CAMELYON16 if name.startswith("test")]
    free = [number for number in OFFICIAL["test"] if number not in listed]
    numbers = {
        "normal": iter(OFFICIAL["normal"]),
        "tumor": iter([n for n in OFFICIAL["tumor"] if f"tumor_{n:03d}" not in LCMIL_CAMELYON16]),
        "test tumor": iter([*listed, *free[1::2]]),
        "test normal": iter(free[::2]),
    }
    planned = []
    for split, count in shares(slides).items():
        tumours = max(int(split is not Split.VALIDATION), count * 4 // 9)
        for index in range(count):
            lesion = index < tumours
            kind = "tumor" if lesion else "normal"
            pool, prefix = (f"test {kind}", "test") if split is Split.TEST else (kind, kind)
            planned.append(Planned(f"{prefix}_{next(numbers[pool]):03d}", split, lesion))
    return planned


def _write(folder: Path, slide: Planned, composed: Picture) -> None:
    from benchmark.slides.pyramid import write_pyramid

    part = folder / ("testing" if slide.split is Split.TEST else "training")
    images = part / ("images" if slide.split is Split.TEST else "tumor" if slide.lesion else "normal")
    annotations = part / "lesion_annotations"
    for made in (images, annotations):
        made.mkdir(parents=True, exist_ok=True)
    write_pyramid(images / f"{slide.name}.tif", composed.bands(), composed.size, mpp=composed.mpp)
    if slide.lesion:
        write_asap(annotations / f"{slide.name}.xml", composed.lesion)
