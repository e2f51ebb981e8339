"""TCGA-LUAD: mutations of lung adenocarcinoma, predicted from the slide."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from benchmark.dataset import DatasetCard, Split, TissueSource, VerifyReport
from benchmark.errors import DataError
from benchmark.seeds import generator
from benchmark.slides import Slide

from ..tables import write_table
from .cases import Case, data_root
from .labelled import LabelledOptions, LabelledSlides
from .mutations import GENES, TABLE, Mutations, read_mutations
from .splits import fold_split
from .tcga_files import COLUMNS, Download, Downloads, read_downloads
from .wsi_miniature import Picture, Planned, shares, write_miniature
from .wsi_options import WsiOptions
from .wsi_verify import named

MANIFEST = "gdc_manifest.txt"
_WRITTEN = re.compile(r"[0-9a-f-]{36}/TCGA-05-\d{4}-01Z-00-DX1\.[0-9A-F-]{36}\.svs|gdc_manifest\.txt|labels\.csv")


class TcgaLuadOptions(LabelledOptions):
    """Which gene, which slides, and the folds."""

    target: Literal["EGFR", "KRAS", "STK11", "TP53"] = Field("EGFR", description="the gene whose mutation is predicted")
    slides: Literal["diagnostic", "all"] = Field(
        "diagnostic", description="diagnostic: slides of fixed tissue (DX); all: frozen sections of the tumour as well"
    )
    folds: int = Field(5, ge=2, le=16, description="number of folds of whole patients, alike in their labels")
    fold: int = Field(0, ge=0, le=15, description="index of the fold that is tested")
    fold_seed: int = Field(0, ge=0, description="seed of the folds")

    @model_validator(mode="after")
    def _fold_exists(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"fold = {self.fold} does not exist; expected 0 to folds - 1 = {self.folds - 1}")
        return self


class TcgaLuad(LabelledSlides):
    """Slides of lung adenocarcinoma; a slide is positive when its patient's tumour carries the mutation."""

    name = "tcga-luad"
    Options = TcgaLuadOptions
    classes = ("wildtype", "mutated")
    card: ClassVar[DatasetCard] = DatasetCard(
        title="TCGA-LUAD – mutations in lung adenocarcinoma",
        homepage="https://portal.gdc.cancer.gov/projects/TCGA-LUAD",
        licence="open access, under the NIH Genomic Data Sharing policy",
        citation="The Cancer Genome Atlas Research Network, Comprehensive molecular profiling of lung adenocarcinoma, "
        "Nature 511 (2014) 543–550",
        size="about 540 diagnostic slides of about 480 patients, several hundred GB",
        obtain="On the GDC portal choose the project TCGA-LUAD, data type Slide Image, experimental strategy "
        "Diagnostic Slide; put the files into the cart, download its manifest, and in the root run "
        "`gdc-client download -m gdc_manifest….txt`. Mutations: cBioPortal (cbioportal.org), a study of TCGA lung "
        "adenocarcinoma; query EGFR, KRAS, STK11 and TP53, download mutations per patient, write them as labels.csv.",
        layout="<file uuid>/<barcode>.<uuid>.svs as gdc-client leaves them, or all in one folder; gdc_manifest*.txt "
        "(if there, names, sizes and with verify --full MD5 are compared); labels.csv with a column patient or slide "
        "(barcode) and columns EGFR, KRAS, STK11, TP53 with 0/1 or wildtype/mutated, empty where not profiled. The "
        "folder itself, or the one above TCGA-LUAD/, is the root.",
    )
    nominal_mpp = 0.25
    balance = "--set fold_seed=1, or fewer folds; bench data verify tcga-luad tells how many slides are mutated"

    @classmethod
    def index(cls, root: Path, options: WsiOptions, patients: Mapping[str, str]) -> Downloads:
        """Every labelled slide that is there or that a manifest names; what is left out goes to the notes."""
        assert isinstance(options, TcgaLuadOptions)
        folder = data_root(root, cls.name, "TCGA-LUAD")
        index = read_downloads(folder)
        if not index.downloads:
            msg = f"data root {root} holds no slide such as TCGA-05-4244-01Z-00-DX1.svs in any folder, and no manifest"
            raise DataError(msg, fix="bench data info tcga-luad   (how to obtain it)")
        labels = read_mutations(folder / TABLE, options.target)
        chosen = {name: slide for name, slide in index.downloads.items() if _is_chosen(slide, options)}
        labelled = {name: slide for name, slide in chosen.items() if slide.barcode.patient in labels.mutated}
        if not labelled:
            msg = f"{folder / TABLE} has no {options.target} label for any patient of the {len(chosen)} slides"
            raise DataError(
                msg, fix="check that its barcodes are those of the slides; --set target=KRAS for another gene"
            )
        notes = (*index.notes, *labels.notes, *_left_out(index.downloads, chosen, labels, options))
        cases = tuple(_case(slide, labels.mutated) for slide in labelled.values())
        return Downloads(folder, cases, (folder / TABLE, *index.tables), notes, labelled)

    @property
    def own(self) -> TcgaLuadOptions:
        """The options, as what they are."""
        assert isinstance(self.settings, TcgaLuadOptions)
        return self.settings

    @property
    def downloads(self) -> Mapping[str, Download]:
        """The slides with a label, by barcode."""
        assert isinstance(self.contents, Downloads)
        return self.contents.downloads

    def split(self, cases: Sequence[Case]) -> dict[str, Split]:
        """Folds over every slide that should be there, so that an absent one moves no other."""
        return fold_split(cases, self._folds(cases), self.own.fold, self.own.fold_seed)

    def _folds(self, cases: Sequence[Case]) -> int:
        """As asked for; a miniature may have fewer patients than that."""
        patients = len({case.patient for case in cases})
        return max(self.own.fold + 1, 2, min(self.own.folds, patients)) if self.synthetic else self.own.folds

    def subgroups(self, slide: Slide) -> Mapping[str, str]:
        """The site that gave the tissue (its code in the barcode), and how the slide was made."""
        code = self.downloads[slide.id].barcode
        return {"site": code.text.split("-")[1], "section": "diagnostic" if code.diagnostic else "frozen"}

    def annotated(self, slide: Slide) -> bool:
        """False: where on a slide a mutation shows is not known."""
        return False

    def not_annotated(self, slide: Slide) -> DataError:
        """There is no outline of a mutation."""
        msg = f"slide {slide.id!r}: it has no outline of where {self.own.target} shows; only the patient has a label"
        return DataError(msg, fix="use a method that learns from image labels: bench list methods")

    def check_counts(self, report: VerifyReport) -> None:
        """What the manifests name is there; the table's labels are counted."""
        expected = [slide for slide in self.downloads.values() if slide.expected is not None]
        for name, slide in self.downloads.items():
            if slide.file is None and slide.partial is not None:
                report.check(False, f"{name}: {slide.fault}")
        if expected:
            whole = sum(slide.fault is None for slide in expected)
            report.check(whole == len(expected), f"{whole} of {len(expected)} slides of the manifest are here, whole")
        patients = {case.patient: bool(case.lesion) for case in self.cases.values()}
        mutated = sum(patients.values())
        report.note(f"{self.own.target} is mutated in {mutated} of {len(patients)} patients with slide and label")
        report.facts.update(labelled_patients=len(patients), mutated_patients=mutated)

    def verify_bytes(self, report: VerifyReport) -> None:
        """Compare the MD5 of every slide with the manifest's: reads all bytes."""
        known = [slide for slide in self.downloads.values() if slide.expected is not None and slide.fault is None]
        damaged = [why for slide in known if (why := slide.damage()) is not None]
        for why in damaged:
            report.check(False, why)
        report.check(not damaged, f"{len(known) - len(damaged)} of {len(known)} slides have the MD5 of the manifest")

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write Aperio-style SVS in folders as gdc-client makes them, a manifest and a label table."""
        planned = plan(slides)
        write_miniature(
            root,
            cls.name,
            planned,
            _write,
            lambda folder, patients: _write_tables(folder, planned, seed),
            ours=_WRITTEN,
            seed=seed,
            tissue=tissue,
            side=side,
        )


def plan(slides: int) -> list[Planned]:
    """One slide per patient. Half of each part are mutated, so that a fold has some; a part of two has both classes."""
    planned: list[Planned] = []
    for split, count in shares(slides).items():
        mutated = min(count - 1, (count + 1) // 2) if count > 1 else int(split is Split.TEST)
        for index in range(count):
            planned.append(Planned(f"TCGA-05-{len(planned) + 1:04d}-01Z-00-DX1", split, index < mutated))
    return planned


def _is_chosen(slide: Download, options: TcgaLuadOptions) -> bool:
    return slide.barcode.tumour and (slide.barcode.diagnostic or options.slides == "all")


def _left_out(
    downloads: Mapping[str, Download], chosen: Mapping[str, Download], labels: Mutations, options: TcgaLuadOptions
) -> tuple[str, ...]:
    """Which slides and which patients have no part in the set, in words."""
    passed = sorted(downloads.keys() - chosen.keys())
    patients = {slide.barcode.patient for slide in chosen.values()}
    bare, absent = sorted(patients - labels.mutated.keys()), sorted(labels.mutated.keys() - patients)
    listed = any(slide.expected for slide in downloads.values())
    strangers = [name for name, slide in chosen.items() if listed and slide.expected is None]
    sections = "frozen sections and " if options.slides == "diagnostic" else ""
    lines = (
        (passed, f"{len(passed)} {sections}slides of normal tissue are ignored"),
        (bare, f"{len(bare)} patients have no {options.target} label in {TABLE} and are left out"),
        (absent, f"{len(absent)} patients of {TABLE} have no slide here"),
        (strangers, f"{len(strangers)} slides are in no GDC manifest: only opened, not compared"),
    )
    return tuple(f"{text}: {named(names)}" for names, text in lines if names)


def _case(slide: Download, mutated: Mapping[str, bool]) -> Case:
    code = slide.barcode
    return Case(code.text, slide.file, None, code.patient, "", mutated[code.patient], True, slide.fault)


def _uuid(*axes: str) -> str:
    text = hashlib.sha256("\x1f".join(axes).encode()).hexdigest()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:32]))


def _write(folder: Path, slide: Planned, composed: Picture) -> None:
    from benchmark.slides.pyramid import write_pyramid

    own = folder / _uuid("folder", slide.name)
    own.mkdir()
    path = own / f"{slide.name}.{_uuid('file', slide.name).upper()}.svs"
    write_pyramid(path, composed.bands(), composed.size, mpp=composed.mpp, style="svs")


def _write_tables(folder: Path, planned: Sequence[Planned], seed: int) -> None:
    """The first gene is the tissue's, the others are random."""
    listed = []
    for path in sorted(folder.glob("*/*.svs")):
        content = path.read_bytes()
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        listed.append((path.parent.name, path.name, digest, len(content), "released"))
    write_table(folder / MANIFEST, COLUMNS, listed, separator="\t")
    lots = generator("tcga-luad", "genes", seed).integers(0, 2, (len(planned), len(GENES) - 1))
    labels = [(slide.name[:12], int(slide.lesion), *other) for slide, other in zip(planned, lots.tolist(), strict=True)]
    write_table(folder / TABLE, ("patient", *GENES), labels)
