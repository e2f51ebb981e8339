"""A bad slide or annotation costs itself: it is named, and the others are used."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.annotations import read_annotation
from benchmark.dataset import Split
from benchmark.digest import content_digest
from benchmark.errors import DataError
from benchmark.registry import datasets

DIGITS = "9" * 5000


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda root, image: loop(root / image), "does not exist"),
        (lambda root, image: edit(root / "manifest.csv", image, image.replace("_", "\0_")), "does not exist"),
        (lambda root, image: (root / image).write_bytes((root / image).read_bytes()[:5000]), "cannot be read"),
    ],
    ids=["loop", "NUL", "cut short"],
)
def test_a_slide_of_a_manifest(
    miniatures: dict[str, Path], tmp_path: Path, spoil: Callable[[Path, str], None], why: str
) -> None:
    root = Path(shutil.copytree(miniatures["slides"], tmp_path / "copy"))
    kind = datasets().load("slides")
    before = kind(root, kind.Options())
    spoil(root, before.slides(Split.TEST)[0].path.relative_to(root).as_posix())
    dataset = kind(root, kind.Options())
    (reason,) = dataset.missing(Split.TEST).values()
    assert why in reason and dataset.slides(Split.TEST) == before.slides(Split.TEST)[1:]
    assert content_digest(dataset.root, dataset.files())


def test_a_file_name_longer_than_any_is_refused_with_its_line(miniatures: dict[str, Path], tmp_path: Path) -> None:
    root = Path(shutil.copytree(miniatures["slides"], tmp_path / "copy"))
    edit(root / "manifest.csv", "images/", f"images/{'x' * 400}")
    kind = datasets().load("slides")
    with pytest.raises(DataError, match=r"manifest\.csv, line 2.*cannot name files"):
        kind(root, kind.Options())


def test_links_to_themselves_in_a_released_set(miniatures: dict[str, Path], tmp_path: Path) -> None:
    root = Path(shutil.copytree(miniatures["camelyon16"], tmp_path / "copy"))
    loop(next(root.glob("testing/lesion_annotations/*.xml")))
    loop(next(root.glob("training/normal/*.tif")))
    kind = datasets().load("camelyon16")
    dataset = kind(root, kind.Options())
    reasons = [why for split in Split for why in dataset.missing(split).values()]
    assert len(reasons) == 2 and all("symbolic links" in why for why in reasons)
    assert content_digest(dataset.root, dataset.files())


CORNERS = '<Coordinate Order="0" X="0" Y="0"/><Coordinate Order="1" X="0" Y="9"/><Coordinate Order="2" X="9" Y="9"/>'
ASAP = (
    '<ASAP_Annotations><Annotations><Annotation Name="a" Type="Polygon" PartOfGroup="tumor"><Coordinates>'
    f"{CORNERS}</Coordinates></Annotation></Annotations></ASAP_Annotations>"
)
QUPATH = '{"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [[[0,0],[0,9],[9,9]]]}}'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("a.xml", ASAP.replace('Order="2"', f'Order="{order}"')) for order in ("²", "٣", DIGITS, "two")),
        ("a.geojson", QUPATH.replace("[9,9]", f"[9,{DIGITS}]")),
        *(("a.geojson", re.sub(r'"geometry": .*}}', f'"geometry": {geometry}}}', QUPATH)) for geometry in ("3", "[]")),
    ],
)
def test_an_annotation_is_refused_by_its_name(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_annotation(path)
