"""Any folder of slides with a manifest: how a private set comes in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from benchmark.annotations import ClassNames, Meaning, write_geojson
from benchmark.dataset import DatasetCard, Split, TissueSource, VerifyReport
from benchmark.dataset import Options as BaseOptions
from benchmark.errors import DataError
from benchmark.slides import Slide

from ..folds import validation_patients
from ..tables import write_table
from .cases import Case, data_root
from .centre_split import centre_split
from .labelled import LabelledOptions, LabelledSlides
from .manifest import COLUMNS, NAMES, Manifest, read_manifest
from .manifest_template import Template, propose
from .wsi_miniature import Picture, Planned, linked, shares, write_miniature
from .wsi_options import WsiOptions

CLASSES = ("normal", "tumor")
_WRITTEN = re.compile(r"images/slide_\d{3}\.tif|annotations/slide_\d{3}\.geojson|manifest\.csv")


class SlidesOptions(LabelledOptions):
    """Which manifest is read and how; how slides are split where it does not say."""

    manifest: str | None = Field(
        None,
        description="the manifest: a .csv, .tsv, .txt or .parquet file inside the root; null: manifest.csv or .parquet",
    )
    negative: str | None = Field(
        None, description="the label of the negative class; null: normal, negative, benign or 0"
    )
    positive: str | None = Field(
        None,
        description="the label of the positive class; null: tumor, tumour, positive, malignant, lesion, cancer or 1",
    )
    centre: str | None = Field(
        None,
        description="the centre whose slides test, those of all others train (leave one centre out), whatever the "
        "manifest's splits: a name of its column centre; null: as the splits say",
    )
    test: float = Field(
        0.3,
        gt=0,
        lt=1,
        description="share of the slides held out for testing, by patient, where the manifest names no splits",
    )
    validation: float = Field(
        0.15,
        ge=0,
        le=0.5,
        description="share of training slides held out for validation, by patient, where the manifest names none; "
        "0: none",
    )
    split_seed: int = Field(0, ge=0, description="seed of the test and validation splits")

    @field_validator("centre", mode="before")
    @classmethod
    def _centre_is_text(cls, value: object) -> object:
        """A centre that is called 3 is a name, too."""
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Slides(LabelledSlides):
    """A folder of slides; the unit is the slide, its label the manifest's."""

    name = "slides"
    Options = SlidesOptions
    card: ClassVar[DatasetCard] = DatasetCard(
        title="Slides of your own – any folder with a manifest",
        homepage="none: the slides are yours",
        licence="yours",
        citation="yours",
        size="any number of slides that OpenSlide opens",
        obtain="bench data init slides DIR drafts a manifest of the slides in DIR and lists what is missing.",
        layout="manifest.csv or manifest.parquet with the columns slide (path relative to the root), patient, "
        "and where known label, split (train, validation or test; empty everywhere: cut by patient), annotation "
        "(path of a GeoJSON, ASAP or ImageScope XML, or label image), mpp (wins over the file's), "
        "id (default: the file's name), classes (what names in its annotation mean, as the option of that name). Any "
        "other column (grade, centre, scanner …) groups the slides: bench leaderboard --by COLUMN; the option centre "
        "leaves one out. "
        "Separator and encoding are recognised. "
        "A positive slide without annotation counts by its label alone.",
    )
    nominal_mpp = 0.25
    required = (Split.TEST,)

    def __init__(self, root: Path, options: BaseOptions) -> None:
        """Read the manifest. Raises `DataError`; see `manifest.read_manifest`."""
        super().__init__(root, options)
        self.classes = self.manifest.classes

    @classmethod
    def index(cls, root: Path, options: WsiOptions, patients: Mapping[str, str]) -> Manifest:
        """The slides that the manifest names."""
        assert isinstance(options, SlidesOptions)
        folder = _with_manifest(data_root(root, cls.name, "."))
        return read_manifest(folder, options.manifest, options.negative, options.positive)

    @property
    def manifest(self) -> Manifest:
        """The manifest as it was read."""
        assert isinstance(self.contents, Manifest)
        return self.contents

    @property
    def own(self) -> SlidesOptions:
        """The options, as what they are."""
        assert isinstance(self.settings, SlidesOptions)
        return self.settings

    @property
    def centres(self) -> Mapping[str, str]:
        """Id → centre, of the slides whose row names one in the column of that name."""
        named = {slide: columns.get("centre", "") for slide, columns in self.manifest.further.items()}
        return {slide: centre for slide, centre in named.items() if centre}

    def split(self, cases: Sequence[Case]) -> dict[str, Split]:
        """The manifest's; where it names none, `test` of the slides test: whole patients, alike in their labels.

        Patients with a slide without label test besides; where no two others are left, all slides test.
        """
        if self.own.centre is not None:
            return centre_split(cases, self.centres, self.own.centre, self.manifest.path)
        given = {case.id: Split(case.part) for case in cases if case.part}
        if given:
            return given
        unlabelled = {case.patient for case in cases if case.lesion is None}
        known = [case for case in cases if case.patient not in unlabelled]
        patients = [case.patient for case in known]
        if len(set(patients)) < 2:
            return {case.id: Split.TEST for case in cases}
        drawn = validation_patients(patients, [str(case.lesion) for case in known], self.own.test, self.own.split_seed)
        tests = drawn | unlabelled
        return {case.id: Split.TEST if case.patient in tests else Split.TRAIN for case in cases}

    def check_splits(self, slides: Mapping[Split, Sequence[Slide]]) -> None:
        """Nothing is refused: what a method lacks here, `bench data verify` and the run say (`running/applicable`)."""

    def _exclusion(self, case: Case) -> str | None:
        """Also slides without a label that would have to train, where one centre tests."""
        if self.own.centre is not None and case.lesion is None and self.parts[case.id] is Split.TRAIN:
            return f"no label, and not of the centre {self.own.centre!r}, which tests"
        return super()._exclusion(case)

    def aside(self, training: Sequence[Case]) -> frozenset[str]:
        """None where the manifest names validation slides."""
        if Split.VALIDATION in self.parts.values():
            return frozenset()
        return super().aside(training)

    def names(self, case: Case, *usual: tuple[str, Meaning]) -> ClassNames:
        """As the option `classes` says, and for its own slide the column of that name."""
        names = super().names(case, *usual)
        own = self._given(case.classes, f"{case.where}, column classes")
        return replace(names, given={**names.given, **own})

    def not_annotated(self, slide: Slide) -> DataError:
        """Names the row of the manifest."""
        where = f"{self.manifest.path.parent / self.cases[slide.id].where}"
        label = self.classes[1] if self.labelled(slide) else "without a label"
        msg = f"slide {slide.id!r} is {label} and has no annotation ({where}): its truth is not known"
        return DataError(msg, fix="name the file that outlines its lesions in the column annotation")

    def subgroups(self, slide: Slide) -> Mapping[str, str]:
        """Every column of the manifest that nothing else is read from."""
        return self.manifest.further[slide.id]

    def check_counts(self, report: VerifyReport) -> None:
        """There is no official count: note what the manifest names."""
        positive = [case for case in self.cases.values() if case.lesion]
        silent = [case for case in self.cases.values() if case.lesion is None]
        outlined = sum(case.annotation is not None for case in positive)
        names = f"{len(self.cases) - len(positive) - len(silent)} {self.classes[0]}, {len(positive)} {self.classes[1]}"
        table = f"{self.manifest.path.name} ({self.manifest.form})"
        bare = f", {len(silent)} without a label: they have outputs and no figures" if silent else ""
        report.note(f"{table} names {len(self.cases)} slides: {names} ({outlined} annotated){bare}")
        report.facts.update(positive=len(positive), annotated_positive=outlined)
        centres = Counter(self.centres.values())
        if centres:
            report.note(f"centres: {', '.join(f'{name} {number}' for name, number in sorted(centres.items()))}")

    table: ClassVar[str] = NAMES[0]
    """What `bench data init` writes."""

    @classmethod
    def template(cls, folder: Path) -> Template:
        """Its rows, as far as names and folders tell. Raises `DataError`; see `template.propose`."""
        return propose(folder)

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write pyramidal TIFF, GeoJSON and a manifest; normal slides prevail."""
        planned = plan(slides)

        def finish(folder: Path, patients: Mapping[str, tuple[str, ...]]) -> None:
            _write_manifest(folder / NAMES[0], planned, linked(patients))

        write_miniature(root, cls.name, planned, _write, finish, ours=_WRITTEN, seed=seed, tissue=tissue, side=side)


def plan(slides: int) -> list[Planned]:
    """About 4 of 9 slides of each split are positive; both classes are in every split of two slides or more."""
    planned: list[Planned] = []
    for split, count in shares(slides).items():
        positive = min(count - 1, max(1, count * 4 // 9)) if count > 1 else int(split is Split.TEST)
        for index in range(count):
            planned.append(Planned(f"slide_{len(planned) + 1:03d}", split, index < positive))
    return planned


def _write(folder: Path, slide: Planned, composed: Picture) -> None:
    from benchmark.slides.pyramid import write_pyramid

    for name in ("images", "annotations"):
        (folder / name).mkdir(exist_ok=True)
    write_pyramid(folder / f"images/{slide.name}.tif", composed.bands(), composed.size, mpp=composed.mpp)
    if slide.lesion:
        write_geojson(folder / f"annotations/{slide.name}.geojson", composed.lesion, CLASSES)


def _with_manifest(folder: Path) -> Path:
    """`folder`, or the one above where that holds the manifest: DIR/slides is looked for before DIR."""
    above = folder.parent
    if folder.name == Slides.name and not any((folder / name).is_file() for name in NAMES):
        return above if any((above / name).is_file() for name in NAMES) else folder
    return folder


def _write_manifest(path: Path, planned: Sequence[Planned], patients: Mapping[str, str]) -> None:
    names = {tissue: f"patient_{number:03d}" for number, tissue in enumerate(dict.fromkeys(patients.values()), start=1)}
    rows = [
        (
            f"images/{slide.name}.tif",
            names[patients[slide.name]],
            CLASSES[slide.lesion],
            slide.split,
            f"annotations/{slide.name}.geojson" if slide.lesion else "",
        )
        for slide in planned
    ]
    write_table(path, COLUMNS[:5], rows)
