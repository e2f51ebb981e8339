"""`bench data init`: the manifest of a folder, what it says is missing, and that nothing is lost."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from benchmark.commands import data, data_init
from benchmark.datasets.wsi.camelyon16 import Camelyon16
from benchmark.datasets.wsi.slides import Slides
from benchmark.datasets.wsi.tcga_luad import TcgaLuad
from benchmark.errors import DataError
from benchmark.registry import RegistryError
from benchmark.slides.pyramid import write_pyramid

KINDS = {"slides": Slides, "tcga-luad": TcgaLuad, "camelyon16": Camelyon16}


class Registry:
    """Stands for the entry points."""

    def names(self) -> list[str]:
        return sorted(KINDS)

    def load(self, name: str) -> type:
        if name not in KINDS:
            raise RegistryError(f"no dataset {name}")
        return KINDS[name]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("benchmark.commands.data", "benchmark.commands.data_init", "benchmark.datahome"):
        monkeypatch.setattr(f"{module}.datasets", Registry)


def bench(*words: object) -> Result:
    return CliRunner().invoke(data.app, [str(word) for word in words])


def slide(path: Path, mpp: float | None = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((64, 96, 3), 200, np.uint8)
    style = "svs" if path.suffix == ".svs" else "tiff"
    write_pyramid(path, [pixels], (96, 64), mpp=mpp, style=style, tile=32)


def text(path: Path, content: str = "{}") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "stomach"
    slide(root / "train/normal/a.tif")
    slide(root / "train/Tumor/b.tif", mpp=None)
    slide(root / "Test/tumor/TCGA-05-4244-01Z-00-DX1.svs")
    slide(root / "later/c.svs")
    text(root / "train/Tumor/b.geojson")
    text(root / "outlines/c.xml", "<Annotations/>")
    return root


def rows_of(root: Path) -> dict[str, dict[str, str]]:
    with (root / "manifest.csv").open(newline="") as stream:
        return {row["slide"]: row for row in csv.DictReader(stream)}


def test_names_and_folders_are_told(folder: Path) -> None:
    done = bench("init", "slides", folder)
    assert done.exit_code == 0, done.output
    rows = rows_of(folder)
    told = {name: [row[key] for key in ("patient", "label", "split", "annotation")] for name, row in rows.items()}
    assert told == {
        "Test/tumor/TCGA-05-4244-01Z-00-DX1.svs": ["TCGA-05-4244", "tumor", "test", ""],
        "later/c.svs": ["c", "", "", "outlines/c.xml"],
        "train/Tumor/b.tif": ["b", "tumor", "train", "train/Tumor/b.geojson"],
        "train/normal/a.tif": ["a", "normal", "train", ""],
    }
    assert all(row["mpp"] == row["id"] == "" for row in rows.values())


def test_what_is_missing_is_counted_and_the_next_command_named(folder: Path) -> None:
    output = bench("init", "slides", folder).output
    for words in (
        "1 slides without a label",
        "1 slides without a split",
        "1 positive slides without an annotation",
        "1 slides whose file does not say its resolution",
        "the patient of 3 slides is the name of the file",
    ):
        assert words in output
    assert output.rstrip().endswith(f"edit {folder}/manifest.csv, then: bench data verify slides --data {folder}")


def test_a_manifest_is_never_written_over_without_force(folder: Path) -> None:
    text(folder / "manifest.csv", "mine")
    refused = bench("init", "slides", folder)
    assert isinstance(refused.exception, DataError) and "--force" in str(refused.exception)
    assert (folder / "manifest.csv").read_text() == "mine"
    assert bench("init", "slides", folder, "--force").exit_code == 0 and len(rows_of(folder)) == 4
    text(folder / "manifest.parquet", "mine")
    assert "manifest.parquet" in str(bench("init", "slides", folder, "--force").exception)


def test_a_refusal_ends_with_exit_code_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmark.cli import main

    text(folder / "manifest.csv", "mine")
    with pytest.raises(SystemExit) as ended:
        main(["data", "init", "slides", str(folder)])
    assert ended.value.code == 2 and "is not overwritten" in capsys.readouterr().err


def test_images_that_cannot_be_read_are_named_and_have_no_row(folder: Path) -> None:
    text(folder / "later/broken.svs", "no slide")
    whole = (folder / "train/normal/a.tif").read_bytes()
    (folder / "train/normal/cut.tif").write_bytes(whole[: len(whole) // 2])
    output = bench("init", "slides", folder).output
    assert "later/broken.svs" in output and "train/normal/cut.tif" in output and len(rows_of(folder)) == 4


def test_masks_and_plain_images_are_no_slides(folder: Path) -> None:
    slide(folder / "masks/b_mask.tif")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "masks/thumbnail.tif")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "train/normal/a.png")
    output = bench("init", "slides", folder).output
    rows = rows_of(folder)
    assert len(rows) == 4 and "1 plain TIFF images are ignored" in output
    assert rows["train/normal/a.tif"]["annotation"] == "train/normal/a.png"


def test_slides_of_one_name_get_an_id_each_and_only_annotations_beside_them(folder: Path) -> None:
    slide(folder / "later/b.svs")
    text(folder / "outlines/b.xml", "<Annotations/>")
    assert bench("init", "slides", folder).exit_code == 0
    rows = rows_of(folder)
    assert (rows["later/b.svs"]["id"], rows["train/Tumor/b.tif"]["id"]) == ("later_b", "train_Tumor_b")
    assert (rows["later/b.svs"]["annotation"], rows["train/Tumor/b.tif"]["annotation"]) == ("", "train/Tumor/b.geojson")


def test_names_that_are_no_ids_get_one(folder: Path) -> None:
    slide(folder / "later/what: 1?.svs")
    assert bench("init", "slides", folder).exit_code == 0
    assert rows_of(folder)["later/what: 1?.svs"]["id"] == "what_ 1_"


def test_several_annotations_of_a_slide_are_left_to_the_user(folder: Path) -> None:
    text(folder / "more/c.geojson")
    output = bench("init", "slides", folder).output
    assert "later/c.svs has 2 annotations" in output and rows_of(folder)["later/c.svs"]["annotation"] == ""


def test_folders_without_slides_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no slide that OpenSlide opens" in str(bench("init", "slides", tmp_path / "empty").exception)
    assert "is not a folder" in str(bench("init", "slides", tmp_path / "nowhere").exception)
    assert not (tmp_path / "empty/manifest.csv").exists()


def test_only_datasets_that_read_a_table_of_yours(folder: Path) -> None:
    refused = bench("init", "camelyon16", folder).exception
    assert isinstance(refused, DataError) and "init is for: slides" in str(refused)


def test_what_is_long_is_shortened_on_the_screen_and_whole_in_the_file(tmp_path: Path) -> None:
    for number in range(12):
        slide(tmp_path / f"many/train/normal/{number}.tif")
        text(tmp_path / f"many/x{number}.svs", "no slide")
    output = bench("init", "slides", tmp_path / "many").output
    assert "12 rows in" in output and f"and {12 - data_init.SHOWN} more images that cannot be read" in output
    assert len(rows_of(tmp_path / "many")) == 12


def test_the_proposed_manifest_of_a_sorted_folder_can_be_read_as_it_is(tmp_path: Path) -> None:
    root = tmp_path / "sorted"
    Slides.synthesize(tmp_path / "mini", slides=4, seed=7)
    with (tmp_path / "mini/manifest.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            target = root / row["split"] / row["label"] / Path(row["slide"]).name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tmp_path / "mini" / row["slide"], target)
            if row["annotation"]:
                shutil.copy(tmp_path / "mini" / row["annotation"], target.with_suffix(".geojson"))
    done = bench("init", "slides", root)
    assert "nothing is missing" in done.output
    verified = bench("verify", "slides", "--data", root)
    assert verified.exit_code == 0 and "sound" in verified.output
    assert "2 of 2 annotations can be read" in verified.output


def test_verify_takes_options_and_compares_checksums(tmp_path: Path) -> None:
    root = tmp_path / "luad"
    TcgaLuad.synthesize(root, slides=4, seed=0)
    assert "4 of 4 slides have the MD5" in bench("verify", "tcga-luad", "--data", root, "--full").output
    other = bench("verify", "tcga-luad", "--data", root, "--set", "gene=KRAS").exception
    assert "--set gene" in str(other)
    named = bench("verify", "tcga-luad", "--data", root, "--set", "labels=x").exception
    assert "--set labels" in str(named)
    victim = next(root.glob("*/*.svs"))
    content = bytearray(victim.read_bytes())
    content[-1] ^= 0xFF
    victim.write_bytes(bytes(content))
    damaged = bench("verify", "tcga-luad", "--data", root, "--full")
    assert damaged.exit_code == 2 and "has MD5" in damaged.output.replace("\n", " ")
