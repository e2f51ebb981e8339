"""CAMELYON16: metastases of breast cancer in sentinel lymph nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations import UNNAMED, Annotation, read_asap, write_asap
from benchmark.dataset import DatasetCard, Split, TissueSource, VerifyReport
from benchmark.slides import Grid, Slide

from .camelyon16_files import LCMIL_CAMELYON16, OFFICIAL, TABLE, read_index
from .cases import Case, Index
from .splits import official_split
from .wsi_dataset import WsiDataset
from .wsi_miniature import Picture, Planned, shares, write_miniature
from .wsi_options import WsiOptions

_WRITTEN = re.compile(
    r"training/(normal|tumor)/(normal|tumor)_\d{3}\.tif|testing/images/test_\d{3}\.tif|"
    r"(training|testing)/lesion_annotations/(tumor|test)_\d{3}\.xml|testing/reference\.csv"
)


class Camelyon16(WsiDataset):
    """399 slides, 270 for training; the unit is the slide, its label the folder's or the table's."""

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
        return read_index(root, patients)

    def split(self, cases: Sequence[Case]) -> dict[str, Split]:
        """The folders: normal and tumor train, test tests."""
        return official_split(cases)

    def unit_grid(self, slide: Slide) -> Grid:
        """The whole slide."""
        return Grid.whole(slide.size)

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """1 for a slide that holds a metastasis."""
        return np.array([[bool(self.cases[slide.id].lesion)]], np.int8)

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
            report.note(f"{len(partly)} slides are not exhaustively annotated, as the release says: {partly[0]} …")

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write pyramidal TIFF, ASAP XML and the table in the layout of the challenge; normal slides prevail."""
        planned = plan(slides)
        tests = sorted((slide.name, slide.lesion) for slide in planned if slide.split is Split.TEST)

        def finish(folder: Path) -> None:
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
