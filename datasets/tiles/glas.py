"""GlaS: glands in H&E-stained sections of colorectal tissue (Warwick-QU, MICCAI 2015 challenge)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from benchmark.annotations import Annotation, LabelImage, Note, simulate_coarse
from benchmark.dataset import Dataset, DatasetCard, Split, TissueSource, VerifyReport
from benchmark.dataset import Options as BaseOptions
from benchmark.errors import DataError
from benchmark.seeds import generator
from benchmark.slides import Grid, Slide

from ..folds import patient_folds, validation_patients
from ..latest import Latest
from .glas_files import OFFICIAL_FOLDER, TABLE, Case, find_folder, image_fault, read_cases
from .glas_numbers import Numbering, numbering
from .glas_options import GlasOptions

MPP = 0.62005
"""Microns per pixel, the same for all images."""

KEPT = 8
"""Truths held in memory: reviewing and patch labels ask for the same few again and again."""


class Glas(Dataset):
    """165 images with the outline of every gland, 74 benign and 91 malignant, of 16 patients.

    `target=gland` is the papers' task: every image contains glands, so crops carry the weak labels.
    `target=malignant` is a true image-level task on the same pixels: the truth is the glands of malignant images.
    """

    name = "glas"
    Options = GlasOptions
    card: ClassVar[DatasetCard] = DatasetCard(
        title="GlaS – gland segmentation in colon histology (Warwick-QU)",
        homepage="https://warwick.ac.uk/fac/cross_fac/tia/data/glascontest/",
        licence="research use only; cite the challenge paper",
        citation="Sirinukunwattana et al., Gland segmentation in colon histology images: the GlaS challenge "
        "contest, Medical Image Analysis 35 (2017) 489–502",
        size="165 images of up to 775 × 522 px, about 250 MB as BMP",
        obtain="Ask for the archive on the homepage and unpack it; name the folder with --data, or put it "
        "into data/glas.",
        layout=f"{OFFICIAL_FOLDER}/ with train_1..85, testA_1..60, testB_1..20 as .bmp (or .png), "
        f"for each NAME_anno.bmp (0 = background, 1..n = glands), and {TABLE}. The folder itself, or the one "
        "above it, is the data root.",
    )

    def __init__(self, root: Path, options: BaseOptions) -> None:
        """Match images, label images and `Grade.csv`. Raises `DataError` when they do not belong together."""
        if not isinstance(options, GlasOptions):
            raise TypeError(f"Glas takes GlasOptions, got {type(options).__name__}")
        super().__init__(find_folder(root), options)
        self.settings = options
        malignant = options.target == "malignant"
        self.classes = ("benign", "malignant") if malignant else ("non-gland", "gland")
        cases, self._table_notes = read_cases(self.root)
        self.cases: Mapping[str, Case] = {case.name: case for case in cases}
        self._truths: Latest[LabelImage] = Latest(KEPT)
        dealt = _split(cases, options)
        self._faulty = {case.name: why for case in cases if (why := image_fault(case.image))}
        self._missing = {part: [s.id for s in slides if s.id in self._faulty] for part, slides in dealt.items()}
        self._splits = {part: [s for s in slides if s.id not in self._faulty] for part, slides in dealt.items()}
        for split, part in self._splits.items():
            if not part and split is not Split.VALIDATION:
                some = "; ".join(self._faulty.values()) if self._missing[split] else ""
                told = f"{self.root} holds no {split} images under protocol={options.protocol}"
                raise DataError(f"{told} that can be used: {some}" if some else told)

    @classmethod
    def unrooted(cls, options: BaseModel) -> Self:
        """See `Dataset`; crops and patches are of a fixed size in pixels."""
        assert isinstance(options, GlasOptions)
        bare = cls.__new__(cls)
        Dataset.__init__(bare, Path(), options)
        bare.settings = options
        return bare

    def slides(self, split: Split) -> Sequence[Slide]:
        """The images of one split: train before testA before testB, by number."""
        return self._splits[split]

    def missing(self, split: Split) -> Mapping[str, str]:
        """Images that are cut short or cannot be opened, with the reason."""
        return {name: self._faulty[name] for name in self._missing[split]}

    @property
    def objects(self) -> bool:
        """Whether glands can be told apart: target=gland, and the label images number them."""
        return self.settings.target == "gland" and self.numbering.reason is None

    @cached_property
    def numbering(self) -> Numbering:
        """Which label images number their glands; reads them all, once."""
        return numbering([(case.name, case.mask) for case in self.cases.values()])

    def reading_notes(self, slide: Slide) -> Sequence[str]:
        """What was supposed of the numbers in its mask."""
        return tuple(map(str, self.notes.get(slide.id, ())))

    @property
    def notes(self) -> Mapping[str, tuple[Note, ...]]:
        """What had to be supposed of single images, by id."""
        return {name: tuple(note.of(name) for note in self.numbering.notes) for name in self.numbering.unnumbered}

    def subsets(self) -> Mapping[str, Sequence[Slide]]:
        """Test parts A and B, which the challenge scored apart; none under protocol=patient."""
        if self.settings.protocol == "patient":
            return {}
        test = self._splits[Split.TEST]
        parts = {part: [slide for slide in test if self.cases[slide.id].part == part] for part in ("testA", "testB")}
        return {part: slides for part, slides in parts.items() if slides}

    def subgroups(self, slide: Slide) -> Mapping[str, str]:
        """Both grades of `Grade.csv`, and the official part."""
        case = self.cases[slide.id]
        return {"grade": case.grade, "subtype": case.subtype, "part": case.part}

    def truth(self, slide: Slide) -> Annotation:
        """Every gland (target=gland), or the glands of malignant images and nothing of benign ones."""
        return self._truths.get(slide.id, lambda: self._read_truth(slide))

    def _read_truth(self, slide: Slide) -> LabelImage:
        case = self.cases[slide.id]
        hidden = self.settings.target == "malignant" and case.grade == "benign"
        separated = case.name in self.numbering.unnumbered
        annotation = LabelImage(case.mask, classes={} if hidden else None, separated=separated)
        annotation.check_size(slide.size, slide.id)
        return annotation

    def coarse(self, slide: Slide) -> Annotation:
        """Simulated from the truth, the same every time for one image."""
        rng = generator(self.name, "coarse", slide.id)
        return simulate_coarse(self.truth(slide), slide.size, self.settings.coarse, rng)

    def unit_grid(self, slide: Slide) -> Grid:
        """Overlapping crops (target=gland) or the whole image."""
        if self.settings.target == "malignant":
            return Grid.whole(slide.size)
        return Grid.windows(slide.size, self.settings.unit_side, self.settings.unit_stride)

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """1 where gland covers more than `presence` of the crop (OEEM: 5 %), or where the image is malignant."""
        if self.settings.target == "malignant":
            return np.array([[self.cases[slide.id].grade == "malignant"]], np.int8)
        shares = self.truth(slide).fractions(self.unit_grid(slide), len(self.classes))
        return np.asarray(shares[..., 1] > self.settings.presence, np.int8)

    def unit_top(self, slide: Slide) -> int:
        """As many pixels as `presence` asks for: a unit is positive when that much of it is gland."""
        grid = self.unit_grid(slide)
        return max(1, round(self.settings.presence * grid.width * grid.height))

    def patch_grid(self, slide: Slide) -> Grid:
        """A finer lattice of crops, the instances of multiple-instance learning."""
        return Grid.windows(slide.size, self.settings.patch_side, self.settings.patch_stride)

    def evaluation_grid(self, slide: Slide) -> Grid:
        """Every pixel."""
        return Grid.pixels(slide.size)

    def files(self) -> Sequence[Path]:
        """`Grade.csv`, then each image and its label image."""
        usable = [case for case in self.cases.values() if case.name not in self._faulty]
        both = (file for case in usable for file in (case.image, case.mask))
        return [self.root / TABLE, *(file for file in both if file.is_file())]  # not a link to itself

    def verify(self) -> VerifyReport:
        """Decode everything, compare with the official counts, and count patients in both train and test."""
        from .glas_verify import verify_cases

        return verify_cases(list(self.cases.values()), self._table_notes, self.numbering, synthetic=self.synthetic)

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write a miniature: BMP, label images and `Grade.csv`. See `glas_miniature.write_miniature`."""
        from .glas_miniature import write_miniature

        if side is not None:
            raise DataError(f"side = {side}: the images of GlaS have sizes of their own", fix="leave --side out")
        write_miniature(root, slides=slides, seed=seed, tissue=tissue)

    @classmethod
    def tissue_source(cls, root: Path) -> TissueSource:
        """All images as tissue: malignant glands become lesions, benign images normal tissue."""
        from .glas_tissue import GlasTissue

        return GlasTissue(root)


def _split(cases: Sequence[Case], options: GlasOptions) -> dict[Split, list[Slide]]:
    patients, grades = [case.patient for case in cases], [case.grade for case in cases]
    if options.protocol == "patient":
        fold_of = patient_folds(patients, grades, options.folds, options.split_seed)
        in_test = [fold == options.fold for fold in fold_of]
    else:
        in_test = [case.part != "train" for case in cases]
    rest = [case for case, test in zip(cases, in_test, strict=True) if not test]
    aside = validation_patients(
        [case.patient for case in rest], [case.grade for case in rest], options.validation, options.split_seed
    )
    return {
        Split.TRAIN: [_slide(case) for case in rest if case.patient not in aside],
        Split.VALIDATION: [_slide(case) for case in rest if case.patient in aside],
        Split.TEST: [_slide(case) for case, test in zip(cases, in_test, strict=True) if test],
    }


def _slide(case: Case) -> Slide:
    return Slide(case.name, case.image, case.patient, MPP)
