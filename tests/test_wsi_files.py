"""What the folders of the whole-slide sets hold, by name alone: nothing is opened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from benchmark.dataset import SYNTHETIC_MARK, Split
from benchmark.datasets.latest import Latest
from benchmark.datasets.wsi import camelyon16_files, paip
from benchmark.datasets.wsi.camelyon16_files import LCMIL_CAMELYON16, PARTLY_ANNOTATED, WITHDRAWN
from benchmark.datasets.wsi.cases import Case, Index, read_mark
from benchmark.datasets.wsi.coarse_files import CoarseFiles
from benchmark.datasets.wsi.paip import PaipOptions
from benchmark.datasets.wsi.paip2019 import LCMIL_PAIP2019
from benchmark.datasets.wsi.paip2019 import NAME as PAIP2019_NAME
from benchmark.datasets.wsi.paip2020 import LCMIL_PAIP2020, NAME, OFFICIAL
from benchmark.datasets.wsi.splits import fold_split, lcmil_split, official_split, set_aside
from benchmark.datasets.wsi.wsi_miniature import linked, paip_plan, shares
from benchmark.datasets.wsi.wsi_options import WsiOptions
from benchmark.errors import DataError
from benchmark.identity import facts_of
from benchmark.slides.resolution import power_of_two


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


def by_id(index: Index) -> dict[str, Case]:
    return {case.id: case for case in index.cases}


def camelyon(root: Path) -> Path:
    touch(
        root,
        "training/normal/normal_001.tif",
        "training/tumor/tumor_001.tif",
        "training/lesion_annotations/tumor_001.xml",
        "training/lesion_annotations/tumor_002.xml",
        "testing/images/test_001.tif",
        "testing/images/test_002.tif",
        "testing/lesion_annotations/test_001.xml",
        "testing/evaluation/test_001_mask.tif",
    )
    (root / "testing/reference.csv").write_text("test_001,Tumor,IDC,Macro\ntest_002,Normal,,None\n")
    return root


def test_camelyon_layout_is_read_as_it_is_distributed(tmp_path: Path) -> None:
    index = camelyon16_files.read_index(camelyon(tmp_path), {})
    cases = by_id(index)
    assert len(cases) == 159 + 111 + 129 and "normal_086" not in cases and "test_049" not in cases
    usable = {name for name, case in cases.items() if case.fault is None}
    assert usable == {"normal_001", "tumor_001", "test_001", "test_002"}
    assert cases["test_001"].lesion is True and cases["test_002"].lesion is False
    assert cases["test_001"].part == "test" and cases["tumor_001"].part == "train"
    assert "annotation tumor_002.xml is there" in (cases["tumor_002"].fault or "")
    assert [table.name for table in index.tables] == ["reference.csv"]
    assert not cases["tumor_010"].exhaustive and cases["tumor_001"].exhaustive


def test_flat_layout_and_other_spellings_are_read(tmp_path: Path) -> None:
    root = tmp_path / "CAMELYON16"
    touch(root, "images/Normal_001.tif", "images/Tumor_1.TIF", "images/test_001.tif", "annotations/tumor_001.XML")
    touch(root, "masks/tumor_001_mask.tif", ".hidden/normal_001.tif")
    (root / "evaluation").mkdir()
    (root / "evaluation/reference.csv").write_text("image,type\ntest_001.tif,normal\n")
    index = camelyon16_files.read_index(tmp_path, {})
    assert index.root == root
    assert {name for name, case in by_id(index).items() if case.fault is None} == {
        "normal_001",
        "tumor_001",
        "test_001",
    }


def test_camelyon_faults_are_named(tmp_path: Path) -> None:
    root = touch(camelyon(tmp_path), "testing/images/test_003.tif", "testing/lesion_annotations/test_002.xml")
    touch(root, "training/tumor/tumor_003.tif", "training/normal/normal_086.tif", "training/lesion_annotations.zip")
    index = camelyon16_files.read_index(root, {})
    cases = by_id(index)
    assert cases["test_003"].fault == "test_003.tif has no row in reference.csv, so its label is not known"
    assert "outlines a lesion" in (cases["test_002"].fault or "")
    assert cases["tumor_003"].fault == "tumor_003.tif has no annotation"
    assert any("normal_086 is ignored" in note for note in index.notes)


def test_a_slide_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    touch(camelyon(tmp_path), "elsewhere/tumor_001.tif")
    with pytest.raises(DataError, match="tumor_001 appears twice"):
        camelyon16_files.read_index(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test_001,Tumor\ntest_002,perhaps\n", "line 2, column 2: test_002 is 'perhaps'"),
        ("test_001,Tumor\nsomething,Tumor\n", "line 2, column 1: 'something' is not a slide"),
        ("test_001,Tumor\ntest_001,Normal\n", "line 2: test_001 has another row"),
        (b"\xff\xfe\x00", "cannot be read as a table: it is not UTF-16 text"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    table = camelyon(tmp_path) / "testing/reference.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        camelyon16_files.read_index(tmp_path, {})


def test_paip_slides_lie_in_folders_of_their_own_or_together(tmp_path: Path) -> None:
    touch(tmp_path, "Training_phase_1_001/01_01_0083.svs", "Training_phase_1_001/01_01_0083.xml", "01_01_0085.SVS")
    touch(tmp_path, "01_01_0085.xml", "01_01_0094.svs", "01_01_0094.xml", "Training_phase_1_001/01_01_0083_viable.tif")
    touch(tmp_path, "01_01_0150.svs", "01_01_0087.svs")
    index = paip.read_index(tmp_path, {}, name="paip2019", pattern=PAIP2019_NAME, expected=LCMIL_PAIP2019)
    cases = by_id(index)
    assert {name for name, case in cases.items() if case.fault is None} == {"01_01_0083", "01_01_0085", "01_01_0094"}
    assert cases["01_01_0087"].fault == "01_01_0087.svs has no annotation"
    assert cases["01_01_0088"].fault == "the slide file does not exist"
    assert "01_01_0150" not in cases and any("01_01_0150" in note for note in index.notes)


def test_paip_validation_slides_without_annotation_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "training_data_01.svs", "training_data_01.xml", "validation_data_01.svs", "notes.xml")
    index = paip.read_index(tmp_path, {}, name="paip2020", pattern=NAME, expected=OFFICIAL)
    assert len(index.cases) == 47 and index.notes
    with pytest.raises(DataError, match=r"training_data_01\.svs"):
        paip.read_index(touch(tmp_path / "x", "a.svs"), {}, name="paip2020", pattern=NAME, expected=OFFICIAL)


def test_the_published_lists_have_the_papers_sizes() -> None:
    assert [len(set(ids)) for ids in (LCMIL_CAMELYON16, LCMIL_PAIP2019, LCMIL_PAIP2020)] == [24, 54, 42]
    assert set(LCMIL_PAIP2020) < set(OFFICIAL) and not PARTLY_ANNOTATED & set(LCMIL_CAMELYON16)
    assert len(PARTLY_ANNOTATED) == 21 and set(WITHDRAWN) == {"normal_086", "test_049"}


def case(name: str, part: str = "train", lesion: bool = True) -> Case:
    return Case(name, None, None, name, part, lesion)


def test_splits_follow_the_paper_and_the_folders() -> None:
    cases = [case("a"), case("b", lesion=False), case("c"), case("d", "test")]
    assert lcmil_split(cases, {"c", "d"}) == {"a": Split.TRAIN, "c": Split.TEST, "d": Split.TEST}
    assert official_split(cases)["d"] is Split.TEST and official_split(cases)["b"] is Split.TRAIN


def test_folds_cover_every_slide_once() -> None:
    cases = [case(f"s{number}") for number in range(11)]
    tests = [
        {name for name, split in fold_split(cases, 3, fold, 0).items() if split is Split.TEST} for fold in range(3)
    ]
    assert set().union(*tests) == {one.id for one in cases} and sum(map(len, tests)) == 11


def test_validation_is_cut_by_patient() -> None:
    assert set_aside([], 0.5, 0) == frozenset() and set_aside([case("a")], 0.0, 0) == frozenset()
    cases = [Case(f"s{n}", None, None, f"p{n // 2}", "train", n % 2 == 0) for n in range(12)]
    aside = set_aside(cases, 0.3, 0)
    assert aside and {f"s{n}" for n in range(12) if f"s{n ^ 1}" in aside} == aside


def test_slides_that_share_patients_count_as_one_patient() -> None:
    groups = linked({"a": ("1", "2"), "b": ("3",), "c": ("2", "4"), "d": (), "e": ("4", "3")})
    assert groups["a"] == groups["b"] == groups["c"] == groups["e"] == "1+2+3+4" and groups["d"] == "d"


@pytest.mark.parametrize("slides", [4, 5, 6, 9, 12, 40, 120])
def test_every_number_of_slides_fills_every_split(slides: int) -> None:
    from benchmark.datasets.wsi.camelyon16 import plan

    assert sum(shares(slides).values()) == slides and min(shares(slides).values()) >= 1
    planned = plan(slides)
    assert len({one.name for one in planned}) == slides
    for split in (Split.TRAIN, Split.TEST):
        kinds = [one.lesion for one in planned if one.split is split]
        assert any(kinds), "every part needs a tumour"
        assert slides < 6 or not all(kinds)
    assert 2 * sum(one.lesion for one in planned) <= slides
    for pattern, listed in (("01_01_{:04d}", LCMIL_PAIP2019), ("training_data_{:02d}", LCMIL_PAIP2020)):
        assert all((one.name in listed) == (one.split is Split.TEST) for one in paip_plan(slides, pattern, listed))


@pytest.mark.parametrize(("slides", "message", "fix"), [(3, "at least 4", 4), (121, "at most 120", 120)])
def test_too_few_and_too_many_slides_say_how_many_it_takes(slides: int, message: str, fix: int) -> None:
    with pytest.raises(DataError, match=message) as caught:
        shares(slides)
    assert caught.value.fix == f"--slides {fix}"


@pytest.mark.parametrize(
    ("mpp", "cell"), [(0.25, 256), (0.243, 256), (0.226, 256), (0.5, 128), (0.62005, 128), (64, 1)]
)
def test_a_cell_is_the_power_of_two_nearest_to_64_microns(mpp: float, cell: int) -> None:
    assert power_of_two(64.0, mpp) == cell


def test_the_simulation_shrinks_its_dilation_on_small_slides() -> None:
    options = WsiOptions()
    assert options.simulation((110_000, 90_000), 256).dilation == 5
    assert options.simulation((5120, 5120), 128).dilation == 2 and options.simulation((1536, 1536), 128).dilation == 1
    assert WsiOptions(coarse_dilation=3).simulation((1536, 1536), 128).dilation == 3
    assert WsiOptions(label_rule="released").simulation((1536, 1536), 128).rule == "released"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"coarse": "published"}, "needs coarse_path=FILE"),
        ({"coarse": "drawn"}, "needs coarse_path=FOLDER"),
        ({"coarse_version": "top1"}, "no meaning with coarse=simulated"),
        ({"coarse": "drawn", "coarse_path": "file.sav"}, "needs coarse_path=FOLDER"),
        ({"coarse": "published", "coarse_path": "folder"}, "needs coarse_path=FILE"),
        ({"coarse": "published", "coarse_path": "nowhere.sav"}, "coarse_path"),
        ({"fold": 5}, "fold = 5 does not exist"),
        ({"fold": 1}, "no meaning with protocol=lcmil"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(tmp_path: Path, settings: dict, message: str) -> None:
    (tmp_path / "file.sav").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValidationError, match=message):
        PaipOptions(**settings)


def test_what_coarse_path_holds_is_part_of_the_identity(tmp_path: Path) -> None:
    for name in ("one", "two"):
        touch(tmp_path / name, "test_016.geojson", "inner/test_026.xml")

    def digest(name: str) -> str:
        return str(facts_of(WsiOptions(coarse="drawn", coarse_path=tmp_path / name))["coarse_path"])

    assert digest("one") == digest("two"), "where the folder lies does not matter"
    (tmp_path / "two/inner/test_026.xml").write_text("moved")
    assert digest("one") != digest("two")


def test_drawn_annotations_are_found_by_the_name_of_the_slide(tmp_path: Path) -> None:
    touch(tmp_path, "test_016.geojson", "v2/test_026.xml", "test_040.xml", "test_040.json", "readme.txt")
    files = CoarseFiles(WsiOptions(coarse="drawn", coarse_path=tmp_path))
    assert files.lack("test_016") is None and "test_026" in (files.lack("test_026") or "")
    with pytest.raises(DataError, match=r"test_040\.json, test_040\.xml"):
        files.lack("test_040")
    second = CoarseFiles(WsiOptions(coarse="drawn", coarse_path=tmp_path, coarse_version="v2"))
    assert second.lack("test_026") is None and second.lack("test_016")
    for version in ("v3", "../.."):
        with pytest.raises(DataError, match="no such folder"):
            CoarseFiles(WsiOptions(coarse="drawn", coarse_path=tmp_path, coarse_version=version)).lack("test_016")
    assert CoarseFiles(WsiOptions()).lack("anything") is None
    (tmp_path / "test_041.bmp").write_bytes(b"")
    assert CoarseFiles(WsiOptions(coarse="drawn", coarse_path=tmp_path)).lack("test_041") is None
    assert ".bmp" in (files.lack("test_026") or "")


def test_a_mark_that_is_no_mark_is_refused(tmp_path: Path) -> None:
    assert read_mark(tmp_path, "camelyon16") == {}
    for text in ("{", "[]", '{"patients": 3}', json.dumps({"patients": {"a": 1}})):
        (tmp_path / SYNTHETIC_MARK).write_text(text)
        with pytest.raises(DataError, match=SYNTHETIC_MARK):
            read_mark(tmp_path, "camelyon16")


def test_the_longest_unused_result_is_dropped() -> None:
    latest: Latest[int] = Latest(2)
    made: list[str] = []

    def make(key: str) -> int:
        return latest.get(key, lambda: made.append(key) or len(made))

    for key in ("a", "b", "a", "c", "a", "b"):
        make(key)
    assert made == ["a", "b", "c", "b"]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "listed"), [("CAMELYON16", LCMIL_CAMELYON16), ("PAIP2019", LCMIL_PAIP2019), ("PAIP2020", LCMIL_PAIP2020)]
)
def test_the_authors_files_hold_every_slide_of_the_paper(shared_data: Path, name: str, listed: tuple[str, ...]) -> None:
    file = shared_data / "lcmil" / f"coarse_annotations_{name}.sav"
    for version in (None, "pathologist_1"):
        files = CoarseFiles(WsiOptions(coarse="published", coarse_path=file, coarse_version=version))
        assert [slide for slide in listed if files.lack(slide)] == []
        assert all(files.read(slide, ("normal", "lesion"), (1, 1)).count() >= 1 for slide in listed)
    assert "no coarse annotation" in (files.lack("tumor_001") or "")


@pytest.mark.realdata
def test_a_file_of_one_slide_is_named_after_it(shared_data: Path, tmp_path: Path) -> None:
    content = (shared_data / "lcmil" / "coarse_annotations.sav").read_bytes()
    (tmp_path / "test_016.sav").write_bytes(content)
    files = CoarseFiles(WsiOptions(coarse="published", coarse_path=tmp_path / "test_016.sav"))
    assert files.lack("test_016") is None and files.lack("test_026")
    assert files.read("test_016", ("normal", "lesion"), (1, 1)).count() == 1
