"""The dataset `slides`: manifests, their mistakes, splits, and slides without an outline."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.annotations import Polygons, read_geojson, write_asap, write_geojson
from benchmark.config import read_setting
from benchmark.dataset import SYNTHETIC_MARK, Split
from benchmark.datasets.wsi.manifest_paths import inside
from benchmark.datasets.wsi.slides import Slides, plan
from benchmark.errors import AnnotationError, DataError
from benchmark.methods.cleaning.coarse import Coarse
from benchmark.methods.mil.topk_mil import TopkMil
from benchmark.registry import methods
from benchmark.running.applicable import not_applicable
from benchmark.running.evaluate import evaluate
from benchmark.slides.pyramid import write_pyramid
from benchmark.testing.datasets import shared_root
from benchmark.testing.methods import fit, labels_of

Rows = list[dict[str, str]]
TOOLS = ("slide", "patient", "label", "split", "annotation", "mpp", "id")


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_root(Slides, tmp_path_factory)


@pytest.fixture
def root(miniature: Path, tmp_path: Path) -> Path:
    """A copy that a test may break, without the mark: as a user's own folder."""
    copy = Path(shutil.copytree(miniature, tmp_path / "mine"))
    (copy / SYNTHETIC_MARK).unlink()
    return copy


def rows_of(root: Path) -> Rows:
    with (root / "manifest.csv").open(newline="") as stream:
        return [{column: row.get(column, "") for column in TOOLS} for row in csv.DictReader(stream)]


def write_rows(root: Path, rows: Rows, columns: tuple[str, ...] = TOOLS) -> None:
    with (root / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def changed(root: Path, change: Callable[[Rows], object], columns: tuple[str, ...] = TOOLS) -> None:
    rows = rows_of(root)
    change(rows)
    write_rows(root, rows, columns)


def open_set(root: Path, **options: object) -> Slides:
    dataset = Slides(root, Slides.Options(**options))
    dataset.slides(Split.TRAIN)
    return dataset


def ids(dataset: Slides, split: Split) -> set[str]:
    return {slide.id for slide in dataset.slides(split)}


MISTAKES: dict[str, tuple[Callable[[Rows], object], str]] = {
    "no patient": (lambda rows: rows[1].update(patient=""), r"manifest\.csv, line 3: no patient"),
    "no label": (
        lambda rows: [row.update(label="") for row in rows if not row["annotation"]],
        r"no label, but split=\w+; a slide without label can only test",
    ),
    "annotated without label": (
        lambda rows: [row.update(label="", split="test") for row in rows],
        r"an annotation and no label",
    ),
    "twice": (lambda rows: rows.append(dict(rows[0])), r"line 11: the slide slide_001\.tif appears twice, .* line 2"),
    "other words, same file": (
        lambda rows: rows.append({**rows[0], "slide": "images/../images/slide_001.tif", "id": "other"}),
        "appears twice",
    ),
    "same id": (lambda rows: rows[3].update(id="slide_001"), r"line 5: the id 'slide_001' appears twice, .* line 2"),
    "two splits": (
        lambda rows: rows[8].update(patient=rows[0]["patient"]),
        r"line 10: patient 'patient_001' is in test, but in train in manifest\.csv, line 2",
    ),
    "label": (
        lambda rows: rows[0].update(label="grade 3"),
        r"line 2: the label 'grade 3' .*Labels found: 'normal' \(6",
    ),
    "annotation": (
        lambda rows: rows[0].update(annotation="annotations/x.xml"),
        r"line 2: the annotation .*x\.xml does not exist",
    ),
    "above": (lambda rows: rows[4].update(slide="../slide.tif"), r"line 6: the slide \.\./slide\.tif lies outside"),
    "absolute": (
        lambda rows: rows[4].update(annotation="/etc/passwd"),
        r"line 6: the annotation /etc/passwd lies outside",
    ),
    "drive": (lambda rows: rows[4].update(slide="C:\\slides\\slide.tif"), r"line 6: the slide C:.* lies outside"),
    "other case": (
        lambda rows: rows[4].update(slide="Images/SLIDE_005.tif"),
        r"line 6: the slide Images/SLIDE_005\.tif does not exist, but images/slide_005\.tif is",
    ),
    "patient as a number": (
        lambda rows: [rows[0].update(patient="17"), rows[4].update(patient="17.0")],
        r"line 6, column patient: '17\.0', but '17' in manifest\.csv, line 2: one patient or two",
    ),
    **{
        f"id {text}": (
            lambda rows, text=text: rows[2].update(id=text),
            r"line 4, column id: the id .* cannot name files; expected a file name of at most 200 bytes",
        )
        for text in ("/abs/victim", "../../../pwned", "..", ".hidden", "a/b", "a\\b", "C:x", "a\tb", "what?", "x" * 201)
    },
    "split": (lambda rows: rows[0].update(split="fold 1"), r"line 2: the split 'fold 1' is not known"),
    "some splits": (lambda rows: rows[5].update(split=""), r"line 7: no split, but 8 of 9 rows have one"),
    "no test": (
        lambda rows: [row.update(split="train") for row in rows],
        r"manifest\.csv names no test slides; it has 9 train",
    ),
    "all gone": (
        lambda rows: [row.update(slide=f"gone/{number}.tif") for number, row in enumerate(rows)],
        r"none of the 9 slides of .* is there; the first: manifest\.csv, line 2",
    ),
    **{
        f"mpp {text}": (lambda rows, text=text: rows[2].update(mpp=text), rf"line 4: mpp is '{text}'; expected microns")
        for text in ("0", "-0.5", "nan", "inf", "fine", "250")
    },
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_the_manifest_are_told_with_line_and_fix(root: Path, mistake: str) -> None:
    change, message = MISTAKES[mistake]
    changed(root, change)
    with pytest.raises(DataError, match=message) as refused:
        open_set(root)
    assert refused.value.fix


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; expected the columns slide, patient"),
        ("slide,patient,label\n", "has a header and no rows"),
        ("slide,label\na.svs,normal\n", "has no column patient; its columns are: slide, label"),
        ("slide,patient,label,label\na.svs,p,1,1\n", "the column label appears twice"),
        ("slide,patient,label\na.svs,p\n", "line 2: 2 cells, but the header has 3"),
        ('slide,patient,label\n"a.svs,p,1\n', "cannot be read as a table"),
    ],
)
def test_tables_that_are_none_are_refused(root: Path, content: str, message: str) -> None:
    (root / "manifest.csv").write_text(content)
    with pytest.raises(DataError, match=message) as refused:
        open_set(root)
    assert refused.value.fix


def test_a_folder_without_manifest_or_with_two_is_refused(root: Path) -> None:
    shutil.copy(root / "manifest.csv", root / "manifest.parquet")
    with pytest.raises(DataError, match="both") as refused:
        open_set(root)
    assert "--set manifest=" in str(refused.value)
    assert len(open_set(root, manifest="manifest.csv").cases) == 9
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        open_set(root, manifest="manifest.parquet")
    for path in root.glob("manifest.*"):
        path.unlink()
    with pytest.raises(DataError, match=r"holds no manifest\.csv or manifest\.parquet") as refused:
        open_set(root)
    assert f"bench data init slides {root}" in str(refused.value)
    with pytest.raises(DataError, match="expected the name of a .csv, .tsv, .txt, .parquet file inside"):
        open_set(root, manifest="../manifest.csv")
    with pytest.raises(DataError, match=r"other\.csv does not exist"):
        open_set(root, manifest="other.csv")


def test_missing_empty_and_broken_slides_are_listed_and_the_others_go_on(root: Path) -> None:
    (root / "images/slide_003.tif").unlink()
    (root / "images/slide_004.tif").write_bytes(b"")
    dataset = open_set(root)
    missing = dataset.missing(Split.TRAIN)
    assert missing.keys() == {"slide_003", "slide_004"} and "manifest.csv, line 4" in missing["slide_003"]
    assert ids(dataset, Split.TRAIN) == {"slide_001", "slide_002", "slide_005"} and not dataset.missing(Split.TEST)
    faults = [finding.text for finding in dataset.verify().findings if finding.ok is False]
    assert any("slide_003" in fault for fault in faults) and any("slide_004" in fault for fault in faults)


def test_train_slides_of_one_class_teach_no_image_labels(root: Path) -> None:
    changed(root, lambda rows: [row.update(label="normal", annotation="") for row in rows if row["split"] == "train"])
    dataset = open_set(root)
    told = "image labels of both classes, and all 5 train slides that can be used are normal, none is tumor"
    assert told in str(not_applicable(TopkMil, dataset)) and not_applicable(Coarse, dataset) is None


def test_parquet_says_the_same_as_csv(root: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = rows_of(root)
    table: dict[str, list[object]] = {column: [row[column] or None for row in rows] for column in TOOLS[:5]}
    table["label"] = [int(row["label"] == "tumor") for row in rows]
    table["mpp"] = [0.5, *[float("nan")] * 8]
    csv_set = open_set(root)
    (root / "manifest.csv").unlink()
    pyarrow.parquet.write_table(pyarrow.table(table), root / "manifest.parquet")
    parquet = open_set(root)
    for split in Split:
        assert ids(parquet, split) == ids(csv_set, split)
    assert parquet.classes == ("0", "1") and parquet.slide("slide_001").mpp == 0.5
    assert {case.id for case in parquet.cases.values() if case.lesion} == {"slide_001", "slide_002", "slide_007"}
    table["label"][3] = None
    pyarrow.parquet.write_table(pyarrow.table(table), root / "manifest.parquet")
    with pytest.raises(DataError, match=r"manifest\.parquet, row 4: no label, but split="):
        open_set(root)


def test_labels_of_ones_own_are_named_by_option(root: Path) -> None:
    words = {"normal": "MSS", "tumor": "MSI-high"}
    changed(root, lambda rows: [row.update(label=words[row["label"]]) for row in rows])
    with pytest.raises(DataError, match=r"'MSS' \(6 rows\), 'MSI-high' \(3 rows\)") as refused:
        open_set(root)
    assert "--set negative=" in str(refused.value)
    dataset = open_set(root, negative="mss", positive="msi-high")
    assert dataset.classes == ("mss", "msi-high")
    assert [int(dataset.unit_labels(slide)[0, 0]) for slide in dataset.slides(Split.TEST)] == [1, 0, 0]
    with pytest.raises(DataError, match="cannot mean both classes"):
        open_set(root, positive="normal")


def test_a_positive_slide_without_annotation_counts_by_its_label_alone(root: Path) -> None:
    changed(root, lambda rows: rows[6].update(annotation=""))
    dataset = open_set(root)
    slide = dataset.slide("slide_007")
    assert not dataset.annotated(slide) and dataset.unit_labels(slide).item() == 1
    for ask in (dataset.truth, dataset.coarse):
        with pytest.raises(DataError, match=r"slide_007.*manifest\.csv, line 8"):
            ask(slide)
    assert [slide.id for slide in dataset.subsets()["annotated"]] == ["slide_008", "slide_009"]
    report = dataset.verify()
    assert report.ok and report.facts["annotated_positive"] == 2
    assert "1 positive slides have no annotation: they count by their label alone" in [f.text for f in report.findings]
    assert not open_set(root, manifest="manifest.csv").missing(Split.TEST)


def test_scoring_takes_slides_with_and_without_outline(root: Path, tmp_path: Path) -> None:
    changed(root, lambda rows: rows[6].update(annotation=""))
    dataset = open_set(root)
    trial = fit(methods().load("constant"), dataset, tmp_path / "stages")
    labels = labels_of(trial.method, dataset, Split.TEST, trial.ledger)
    done = evaluate(trial.method, dataset, dataset.slides(Split.TEST), labels, trial.context, what="test")
    assert not done.unreadable
    assert {one.slide: (one.unit_labels.tolist(), one.scored > 0) for one in done.evidence} == {
        "slide_007": ([1], True),
        "slide_008": ([0], True),
        "slide_009": ([0], True),
    }


def add_outline(root: Path, name: str, box: list[int], slide: str = "slide_007") -> None:
    """Draw a rectangle (left, top, right, bottom) of another class into a slide's annotation."""
    path = root / f"annotations/{slide}.geojson"
    content = json.loads(path.read_text())
    left, top, right, bottom = box
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    own = {"objectType": "annotation", "classification": {"name": name}}
    content["features"].append({"type": "Feature", "geometry": geometry, "properties": own})
    path.write_text(json.dumps(content))


def scored(root: Path, tmp_path: Path, **options: object) -> tuple[int, int]:
    """Cells that count of slide_007, and those of them that are lesion."""
    dataset = open_set(root, **options)
    trial = fit(methods().load("constant"), dataset, tmp_path / f"stages{len(list(tmp_path.iterdir()))}")
    labels = labels_of(trial.method, dataset, Split.TEST, trial.ledger)
    done = evaluate(trial.method, dataset, [dataset.slide("slide_007")], labels, trial.context, what="test")
    [evidence] = done.evidence
    assert evidence.cells is not None
    return evidence.scored, evidence.cells.tp + evidence.cells.fn


def test_ignored_areas_count_nowhere(root: Path, tmp_path: Path) -> None:
    dataset = open_set(root)
    slide = dataset.slide("slide_007")
    grid = dataset.evaluation_grid(slide)
    tissue, lesion = dataset.tissue(slide, grid), dataset.truth(slide).labels(grid) > 0
    before = scored(root, tmp_path)
    assert before == (tissue.sum(), (tissue & lesion).sum())
    side = dataset.cell(slide)
    rows, cols = np.nonzero(tissue)
    row, col = int(np.median(rows)), int(np.median(cols))
    add_outline(root, "Ignore*", [(col - 2) * side, (row - 2) * side, (col + 2) * side, (row + 2) * side])
    left_out = np.zeros_like(tissue)
    left_out[row - 2 : row + 2, col - 2 : col + 2] = True
    assert (tissue & left_out).any()
    assert scored(root, tmp_path) == ((tissue & ~left_out).sum(), (tissue & lesion & ~left_out).sum())


def test_names_are_settled_by_the_option_or_by_a_column(root: Path) -> None:
    add_outline(root, "Stroma", [0, 0, 256, 256])
    dataset = open_set(root)
    slide = dataset.slide("slide_007")
    with pytest.raises(
        AnnotationError, match=r"(?s)slide_007\.geojson: the classification 'Stroma'.*--set classes='Stroma=0'"
    ):
        dataset.truth(slide)
    report = dataset.verify()
    assert not report.ok
    assert any("--set classes='Stroma=0'" in finding.text for finding in report.findings)
    grid = dataset.evaluation_grid(slide)
    counts = {value: open_set(root, classes=f"Stroma={value}") for value in ("0", "1", "ignore")}
    lesion = {value: int((own.truth(slide).labels(grid) > 0).sum()) for value, own in counts.items()}
    assert lesion["0"] == lesion["ignore"] == lesion["1"] - (256 // dataset.cell(slide)) ** 2
    changed(root, lambda rows: [row.update(classes="Stroma=0") for row in rows[6:7]], (*TOOLS, "classes"))
    assert (open_set(root).truth(slide).labels(grid) > 0).sum() == lesion["0"]
    assert (open_set(root, classes="stroma=1").truth(slide).labels(grid) > 0).sum() == lesion["0"], "the row wins"
    changed(root, lambda rows: rows[6].update(classes="Stroma"), (*TOOLS, "classes"))
    with pytest.raises(DataError, match=r"manifest\.csv, line 8: classes: 'Stroma' is no name=value"):
        open_set(root)


def test_the_option_is_checked_and_takes_what_yaml_makes_of_it(root: Path) -> None:
    with pytest.raises(ValueError, match="'b'; expected a class index, ignore or hole"):
        open_set(root, classes="a=b")
    settings = dict(read_setting(text) for text in ("classes=Tumor: Positive=1,Stroma=0",))
    assert open_set(root, **settings).settings.classes == "Tumor: Positive=1,Stroma=0"
    assert open_set(root, classes={"Stroma": 0, "a, b": "ignore"}).settings.classes == 'Stroma=0,"a, b=ignore"'


def test_notes_on_annotations_name_slide_file_and_place(root: Path) -> None:
    add_outline(root, "Region*", [0, 0, 1536, 1536])
    dataset = open_set(root)
    dataset.truth(dataset.slide("slide_007"))
    [note] = dataset.notes["slide_007"]
    assert (note.slide, note.kind) == ("slide_007", "passed over")
    assert note.file.endswith("slide_007.geojson") and note.place.startswith("feature ")
    assert any("slide_007: 1 outlines named 'Region*' passed over" in f.text for f in dataset.verify().findings)


def test_no_subset_where_all_or_none_are_annotated(root: Path) -> None:
    assert open_set(root).subsets() == {}
    changed(root, lambda rows: [row.update(label="tumor", annotation="") for row in rows if row["split"] == "test"])
    assert open_set(root).subsets() == {}


def test_annotations_are_read_in_any_format_that_is_known(root: Path) -> None:
    drawn = read_geojson(root / "annotations/slide_001.geojson")
    write_asap(root / "annotations/outline.xml", drawn)
    before = open_set(root)
    expected = before.truth(before.slide("slide_001")).labels(before.evaluation_grid(before.slide("slide_001")))
    changed(root, lambda rows: rows[0].update(annotation="annotations/outline.xml"))
    after = open_set(root)
    slide = after.slide("slide_001")
    assert expected.any()
    np.testing.assert_array_equal(after.truth(slide).labels(after.evaluation_grid(slide)), expected)


def test_an_outline_on_a_negative_slide_is_a_fault_and_an_empty_file_is_none(root: Path) -> None:
    shutil.copy(root / "annotations/slide_001.geojson", root / "annotations/slide_009.geojson")
    write_geojson(root / "annotations/slide_008.geojson", Polygons())
    for number in (7, 8):
        changed(root, lambda rows, n=number: rows[n].update(annotation=f"annotations/slide_00{n + 1}.geojson"))
    dataset = open_set(root)
    assert dataset.truth(dataset.slide("slide_008")).count() == 0
    with pytest.raises(DataError, match=r"'slide_009' is normal, but .*slide_009\.geojson outlines"):
        dataset.truth(dataset.slide("slide_009"))
    faults = [finding.text for finding in dataset.verify().findings if finding.ok is False]
    assert any("slide_009" in fault for fault in faults) and not any("slide_008" in fault for fault in faults)


def test_the_manifests_resolution_wins_over_the_files(root: Path) -> None:
    plain = root / "images/slide_002.tif"
    before = open_set(root)
    pixels = before.slide("slide_002").read(0, 0, *before.slide("slide_002").size)
    write_pyramid(plain, [pixels], (pixels.shape[1], pixels.shape[0]), mpp=None)
    changed(root, lambda rows: [rows[0].update(mpp="0.25"), rows[1].update(mpp="1")])
    dataset = open_set(root, scales="mixed")
    assert [dataset.slide(f"slide_00{n}").mpp for n in (1, 2)] == [0.25, 1.0]
    assert [dataset.cell(dataset.slide(f"slide_00{n}")) for n in (1, 2, 3)] == [256, 64, 128]
    assert "no resolution" not in "".join(finding.text for finding in dataset.verify().findings)


def test_splits_are_cut_by_patient_where_the_manifest_names_none(root: Path) -> None:
    def cut(rows: Rows) -> None:
        for number, row in enumerate(rows):
            row.update(split="", patient=f"p{number // 2 if row['label'] == 'normal' else number}")

    changed(root, cut)
    parts = {seed: open_set(root, split_seed=seed, test=0.4) for seed in range(6)}
    for dataset in parts.values():
        patients = [{slide.patient for slide in dataset.slides(split)} for split in Split]
        assert all(patients) and len(set().union(*patients)) == sum(map(len, patients))
        for split in (Split.TRAIN, Split.TEST):
            assert {int(dataset.unit_labels(slide).item()) for slide in dataset.slides(split)} == {0, 1}
        assert 2 <= len(dataset.slides(Split.TEST)) <= 5
    assert ids(open_set(root, split_seed=3, test=0.4), Split.TEST) == ids(parts[3], Split.TEST)
    assert len({frozenset(ids(dataset, Split.TEST)) for dataset in parts.values()}) > 1
    changed(root, lambda rows: None, TOOLS[:3])
    assert ids(open_set(root, split_seed=3, test=0.4), Split.TEST) == ids(parts[3], Split.TEST), "no column split"
    changed(root, lambda rows: [row.update(patient="one") for row in rows], TOOLS[:3])
    assert len(open_set(root).slides(Split.TEST)) == 9, "one patient cannot be split"


def test_validation_is_the_manifests_or_cut_from_train(root: Path) -> None:
    assert ids(open_set(root, validation=0.5), Split.VALIDATION) == {"slide_006"}
    changed(root, lambda rows: rows[5].update(split="train"))
    assert not open_set(root, validation=0).slides(Split.VALIDATION)
    cut = open_set(root, validation=0.3)
    assert ids(cut, Split.VALIDATION) and not ids(cut, Split.VALIDATION) & ids(cut, Split.TRAIN)
    assert ids(cut, Split.TEST) == {"slide_007", "slide_008", "slide_009"}


def test_a_folder_named_slides_below_the_manifest_leads_to_it(root: Path) -> None:
    (root / "images").rename(root / "slides")
    changed(root, lambda rows: [row.update(slide=row["slide"].replace("images", "slides")) for row in rows])
    assert open_set(root / "slides").root == root and open_set(root).root == root


def test_paths_are_judged_by_their_words_so_that_links_may_lead_elsewhere(root: Path, tmp_path: Path) -> None:
    (root / "images").rename(tmp_path / "disk")
    (root / "images").symlink_to(tmp_path / "disk")
    assert len(ids(open_set(root), Split.TRAIN)) == 5
    assert inside(root, "images\\a.svs") == root / "images/a.svs" and inside(root, "a/../b.svs") == root / "b.svs"
    assert [inside(root, text) for text in ("a/../../b.svs", "/a.svs", "..", "a/..")] == [None] * 4


def test_absolute_paths_inside_the_root_are_inside(root: Path, tmp_path: Path) -> None:
    before = ids(open_set(root), Split.TRAIN)
    changed(root, lambda rows: [row.update(slide=str(root / row["slide"])) for row in rows])
    assert ids(open_set(root), Split.TRAIN) == before
    (tmp_path / "link").symlink_to(root)
    far = str(tmp_path / "link")
    changed(root, lambda rows: [row.update(slide=row["slide"].replace(str(root), far)) for row in rows])
    assert ids(open_set(root), Split.TRAIN) == before and open_set(tmp_path / "link").cases.keys() >= before
    assert inside(root, f"{root}/../other.svs") is None and inside(root, str(root)) is None


def test_names_are_compared_in_one_unicode_form(root: Path) -> None:
    composed, apart = "M\u00fcller", "Mu\u0308ller"
    (root / "images/slide_001.tif").rename(root / f"images/{apart}.tif")
    (root / "annotations").rename(root / f"Anno {composed}")

    def change(rows: Rows) -> None:
        rows[0].update(slide=f"images/{composed}.tif", patient=composed)
        rows[1].update(patient=apart)
        for row in rows:
            row.update(annotation=row["annotation"].replace("annotations", f"Anno {apart}"))

    changed(root, change)
    dataset = open_set(root)
    assert dataset.slide(composed).path.is_file() and not dataset.missing(Split.TRAIN)
    assert {dataset.slide(name).patient for name in (composed, "slide_002")} == {composed}
    rows = rows_of(root)
    write_rows(root, [*rows, {**rows[0], "slide": f"images/{apart}.tif", "id": "other"}])
    with pytest.raises(DataError, match=r"line 11: the slide .*tif appears twice, also in manifest\.csv, line 2"):
        open_set(root)


def test_ids_and_numbers_stay_as_they_are_written(root: Path) -> None:
    changed(root, lambda rows: [row.update(id=f"{n:03d}", patient=f"{n:04d}", mpp="0,5") for n, row in enumerate(rows)])
    dataset = open_set(root)
    assert dataset.slide("003").patient == "0003" and dataset.slide("003").mpp == 0.5
    assert "manifest.csv: 9 values of mpp have a decimal comma: 0,5 is 0.5" in dataset.contents.notes


SPREADSHEETS: dict[str, tuple[Callable[[str], str | bytes], str]] = {
    "semicolons": (lambda text: text.replace(",", ";"), "UTF-8, separated by semicolons"),
    "tabs": (lambda text: text.replace(",", "\t"), "UTF-8, separated by tabs"),
    "utf-16": (lambda text: text.encode("utf-16"), "UTF-16 with byte order mark, separated by commas"),
    "latin-1": (lambda text: text.replace("patient_", "Pätient_").encode("latin-1"), "Windows"),
    "old mac": (lambda text: text.replace("\n", "\r"), ""),
    "labels as numbers": (lambda text: text.replace("normal", "0.0").replace("tumor", "1.0"), "decimals, such as 1.0"),
    "capitals": (lambda text: text.replace("slide,patient,label,split", "Slide , Patient,LABEL, Split "), ""),
    "trailing commas": (lambda text: text.replace("\n", ",,\n") + ",,,,,,,,\n", "1 empty rows are ignored"),
    "quoted": (lambda text: '"' + text.strip().replace(",", '","').replace("\n", '"\n"') + '"\n', ""),
    "backslash": (lambda text: text.replace("images/", ".\\images\\"), ""),
    "zero-width space": (lambda text: text.replace("001.tif", "001.tif\u200b"), "invisible characters"),
    "no-break space": (lambda text: text.replace(",normal", ",normal\u00a0"), ""),
}


@pytest.mark.parametrize("program", SPREADSHEETS)
def test_manifests_of_spreadsheets_are_read_alike_and_told(root: Path, program: str) -> None:
    save, told = SPREADSHEETS[program]
    before = {split: ids(open_set(root), split) for split in Split}
    text = (root / "manifest.csv").read_text().replace("\r\n", "\n")
    content = save(text)
    (root / "manifest.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    dataset = open_set(root)
    assert {split: ids(dataset, split) for split in Split} == before
    assert told in "\n".join(finding.text for finding in dataset.verify().findings)


def test_other_columns_are_passed_over_and_it_is_said(root: Path) -> None:
    rows = [{**row, "scanner": "A"} for row in rows_of(root)]
    write_rows(root, rows, (*TOOLS, "scanner"))
    assert "manifest.csv: columns that only group slides: scanner" in [f.text for f in open_set(root).verify().findings]


def test_every_split_of_a_miniature_has_both_classes_where_slides_allow() -> None:
    for slides in (4, 9, 24, 120):
        for split in Split:
            kinds = [slide.lesion for slide in plan(slides) if slide.split is split]
            assert len(set(kinds)) == min(2, len(kinds)) and 2 * sum(kinds) <= len(kinds) + 1
