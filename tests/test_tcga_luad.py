"""TCGA-LUAD: the GDC's layout and manifests, barcodes, the label table, and folds of patients."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.dataset import SYNTHETIC_MARK, Split, VerifyReport
from benchmark.datasets.wsi.mutations import read_mutations
from benchmark.datasets.wsi.tcga_files import patient_of, slide_barcode
from benchmark.datasets.wsi.tcga_luad import MANIFEST, TcgaLuad, plan
from benchmark.errors import DataError
from benchmark.registry import methods
from benchmark.running.evaluate import evaluate
from benchmark.slides.facts import slide_facts
from benchmark.testing.datasets import shared_root
from benchmark.testing.methods import fit, labels_of

Rows = list[dict[str, str]]


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_root(TcgaLuad, tmp_path_factory)


@pytest.fixture
def root(miniature: Path, tmp_path: Path) -> Path:
    """A copy that a test may break, without the mark: as the GDC delivers it."""
    copy = Path(shutil.copytree(miniature, tmp_path / "luad"))
    (copy / SYNTHETIC_MARK).unlink()
    return copy


def open_set(root: Path, **options: object) -> TcgaLuad:
    dataset = TcgaLuad(root, TcgaLuad.Options(**options))
    dataset.slides(Split.TRAIN)
    return dataset


def changed(path: Path, change: Callable[[Rows], object]) -> None:
    delimiter = "\t" if path.suffix == ".txt" else ","
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter=delimiter))
    change(rows)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def faults(dataset: TcgaLuad) -> str:
    return "\n".join(finding.text for finding in dataset.verify().findings if finding.ok is False)


def missing(dataset: TcgaLuad) -> dict[str, str]:
    return {slide: why for split in Split for slide, why in dataset.missing(split).items()}


def path_of(root: Path, number: int) -> Path:
    return next(root.glob(f"*/TCGA-05-{number:04d}-*.svs"))


def name_of(number: int) -> str:
    return f"TCGA-05-{number:04d}-01Z-00-DX1"


def test_barcodes() -> None:
    code = slide_barcode("TCGA-05-4244-01Z-00-DX1.D4FF32CD-38CF-40EA-8213-45C2B100AC01.svs")
    assert code is not None and (code.text, code.patient) == ("TCGA-05-4244-01Z-00-DX1", "TCGA-05-4244")
    assert code.diagnostic and code.tumour
    frozen, normal = slide_barcode("TCGA-05-4244-01A-01-BS1.svs"), slide_barcode("TCGA-05-4244-11A-01-TSA.svs")
    assert frozen is not None and not frozen.diagnostic and frozen.tumour
    assert normal is not None and not normal.tumour
    assert slide_barcode("slide_001.svs") is None and slide_barcode("TCGA-05-4244.svs") is None
    assert patient_of("tcga-05-4244-01") == "TCGA-05-4244" and patient_of("TCGA-05-42441") is None


def test_miniature_has_the_layout_of_the_gdc(miniature: Path) -> None:
    dataset = open_set(miniature)
    assert dataset.synthetic and dataset.verify().ok and not missing(dataset)
    for slide in dataset.slides(Split.TRAIN):
        facts = slide_facts(slide.path, slide.id)
        assert facts.vendor == "aperio" and len(slide.path.parent.name) == 36 and slide.path.parent.parent == miniature
    header, *rows = (miniature / MANIFEST).read_text().splitlines()
    assert header.split("\t") == ["id", "filename", "md5", "size", "state"] and len(rows) == len(plan(9)) == 9


def test_patients_are_the_first_twelve_characters_and_slides_of_one_stay_together(root: Path) -> None:
    for number in range(1, 10):
        path = path_of(root, number)
        shutil.copy(path, path.with_name(path.name.replace("DX1", "DX2")))
    tested: list[str] = []
    for fold in range(3):
        dataset = open_set(root, folds=3, fold=fold)
        parts = {split: {slide.patient for slide in dataset.slides(split)} for split in Split}
        assert all(parts.values()) and len(set().union(*parts.values())) == sum(map(len, parts.values())) == 9
        assert all(slide.patient == slide.id[:12] for slide in dataset.slides(Split.TEST))
        assert {int(dataset.unit_labels(slide).item()) for slide in dataset.slides(Split.TEST)} == {0, 1}
        tested += [slide.id for slide in dataset.slides(Split.TEST)]
    assert len(tested) == 18 and len(set(tested)) == 18
    other = [{slide.id for slide in open_set(root, folds=3, fold_seed=n).slides(Split.TEST)} for n in range(4)]
    assert any(part != other[0] for part in other)


def test_no_slide_has_an_outline(root: Path) -> None:
    dataset = open_set(root, target="TP53")
    for split in Split:
        for slide in dataset.slides(split):
            assert not dataset.annotated(slide)
            with pytest.raises(DataError, match=f"{slide.id}.*TP53"):
                dataset.truth(slide)
    assert dataset.subsets() == {} and dataset.classes == ("wildtype", "mutated")
    assert "0 of 0" not in "".join(finding.text for finding in dataset.verify().findings)


def test_methods_that_need_no_outline_are_scored(miniature: Path, tmp_path: Path) -> None:
    dataset = open_set(miniature)
    trial = fit(methods().load("constant"), dataset, tmp_path / "stages")
    labels = labels_of(trial.method, dataset, Split.TEST, trial.ledger)
    tests = dataset.slides(Split.TEST)
    done = evaluate(trial.method, dataset, tests, labels, trial.context, what="test")
    assert [evidence.slide for evidence in done.evidence] == [slide.id for slide in tests] and not done.unreadable


def test_the_target_chooses_the_column(root: Path) -> None:
    def one_gene(rows: Rows) -> None:
        for number, row in enumerate(rows):
            row.update(STK11="mutated" if number % 2 else "wildtype", KRAS="" if number < 3 else row["KRAS"])

    changed(root / "labels.csv", one_gene)
    dataset = open_set(root, target="STK11")
    assert [bool(dataset.cases[name_of(n)].lesion) for n in range(1, 10)] == [bool(n % 2) for n in range(9)]
    kras = open_set(root, target="KRAS", validation=0)
    assert kras.cases.keys() == {name_of(n) for n in range(4, 10)}
    notes = "\n".join(finding.text for finding in kras.verify().findings)
    assert "3 patients have no KRAS label in labels.csv and are left out: TCGA-05-0001, TCGA-05-0002" in notes


def test_frozen_sections_and_normal_tissue(root: Path) -> None:
    source = path_of(root, 1)
    for name in ("TCGA-05-0001-01A-01-TS1", "TCGA-05-0001-11A-01-TS1"):
        shutil.copy(source, root / f"{name}.svs")
    dataset = open_set(root)
    assert len(dataset.cases) == 9 and "2 frozen sections and slides of normal" in "".join(dataset.contents.notes)
    everything = open_set(root, slides="all")
    assert everything.cases.keys() - dataset.cases.keys() == {"TCGA-05-0001-01A-01-TS1"}


def test_absent_and_partial_downloads_are_missing(root: Path) -> None:
    absent, cut, begun = (path_of(root, number) for number in (1, 2, 3))
    absent.unlink()
    size = cut.stat().st_size
    cut.write_bytes(cut.read_bytes()[: size // 2])
    begun.rename(begun.with_name(begun.name + ".partial"))
    dataset = open_set(root, validation=0)
    why = missing(dataset)
    assert why.keys() == {name_of(number) for number in (1, 2, 3)}
    assert "gdc_manifest.txt, line" in why[name_of(1)] and "does not exist" in why[name_of(1)]
    assert f"has {size // 2} of {size} bytes" in why[name_of(2)] and "the download is partial" in why[name_of(3)]
    said = faults(dataset)
    assert "6 of 9 slides of the manifest are here, whole" in said
    assert all(name_of(number) in said for number in (1, 2, 3)) and why[name_of(3)] in said


def test_folders_do_not_matter_and_neither_does_the_manifest(root: Path) -> None:
    before = {split: [slide.id for slide in open_set(root).slides(split)] for split in Split}
    for path in root.glob("*/*.svs"):
        path.rename(root / path.name)
    (root / MANIFEST).unlink()
    flat = open_set(root)
    assert {split: [slide.id for slide in flat.slides(split)] for split in Split} == before
    assert root / "labels.csv" in flat.files() and not flat.missing(Split.TRAIN)
    inner = root.parent / "above" / "TCGA-LUAD"
    inner.parent.mkdir()
    root.rename(inner)
    assert open_set(inner.parent).root == inner


def test_checksums_are_compared_when_every_byte_is_read(root: Path) -> None:
    victim = path_of(root, 5)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0xFF
    victim.write_bytes(bytes(content))
    dataset, report = open_set(root), VerifyReport()
    dataset.verify_bytes(report)
    assert [finding.ok for finding in report.findings] == [False, False]
    assert victim.name in report.findings[0].text and "8 of 9 slides have the MD5" in report.findings[1].text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[2].update(size="many"), r"gdc_manifest\.txt, line 4: size 'many'"),
        (lambda rows: rows[0].update(md5="0123"), r"line 2: .*md5 '0123'"),
    ],
)
def test_a_manifest_that_is_none_is_refused(root: Path, change: Callable[[Rows], object], message: str) -> None:
    changed(root / MANIFEST, change)
    with pytest.raises(DataError, match=message):
        open_set(root)


def test_manifests_that_contradict_each_other_are_refused(root: Path) -> None:
    shutil.copy(root / MANIFEST, root / "gdc_manifest.2024.txt")
    assert len(open_set(root).cases) == 9
    changed(root / "gdc_manifest.2024.txt", lambda rows: rows[1].update(size="17"))
    with pytest.raises(DataError, match="is another file than in"):
        open_set(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[3].update(EGFR="maybe"), r"labels\.csv, line 5: EGFR is 'maybe'"),
        (lambda rows: rows[3].update(patient="patient 4"), r"line 5: 'patient 4' is not a TCGA barcode"),
        (lambda rows: rows.append({**rows[0], "EGFR": "0"}), r"line 11: EGFR of TCGA-05-0001 contradicts .* line 2"),
        (lambda rows: [row.pop("EGFR") for row in rows], r"has no column EGFR; its columns are: patient, kras"),
        (lambda rows: [row.update(EGFR="") for row in rows], "has no EGFR label for any patient of the 9 slides"),
        (lambda rows: [row.update(EGFR="0") for row in rows], "train slides that can be used are wildtype"),
    ],
)
def test_label_tables_that_cannot_be_meant_are_refused(
    root: Path, change: Callable[[Rows], object], message: str
) -> None:
    changed(root / "labels.csv", change)
    with pytest.raises(DataError, match=message) as refused:
        open_set(root)
    assert refused.value.fix


def test_the_key_of_a_label_may_be_a_slide(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("slide,EGFR\nTCGA-05-4244-01Z-00-DX1,mutated\nTCGA-05-4245-01Z-00-DX1.x.svs,WT\nTCGA-05-4246,NA\n")
    assert read_mutations(table, "EGFR").mutated == {"TCGA-05-4244": True, "TCGA-05-4245": False}
    table.write_text("case,EGFR\nTCGA-05-4244,1\n")
    with pytest.raises(DataError, match="has no column patient or slide"):
        read_mutations(table, "EGFR")
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        read_mutations(tmp_path / "none.csv", "EGFR")


def test_options_and_folders_that_do_not_fit(root: Path) -> None:
    with pytest.raises(ValueError, match="fold = 5 does not exist"):
        TcgaLuad.Options(fold=5)
    with pytest.raises(DataError, match="9 patients cannot be dealt into folds=10"):
        open_set(root, folds=10)
    shutil.copy(path_of(root, 1), root)
    with pytest.raises(DataError, match=f"{name_of(1)} appears twice"):
        open_set(root)
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (root / "notes.txt").write_text("")
    with pytest.raises(DataError, match="holds no slide such as TCGA-05-4244"):
        open_set(root)


def test_a_miniature_of_few_patients_is_dealt_into_fewer_folds(tmp_path: Path) -> None:
    TcgaLuad.synthesize(tmp_path / "few", slides=4, seed=0)
    dataset = open_set(tmp_path / "few")
    assert [len(dataset.slides(split)) for split in Split] == [2, 1, 1] and dataset.verify().ok
