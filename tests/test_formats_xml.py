"""ASAP and ImageScope files as they are found, sound and broken."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapely

from benchmark.annotations import (
    ClassNames,
    Polygons,
    Region,
    read_annotation,
    read_asap,
    read_imagescope,
    write_asap,
    xmlfile,
)
from benchmark.errors import AnnotationError, DataError
from benchmark.slides import Grid

GRID = Grid.regular((100, 100), 1)
Corners = list[tuple[float, float]]
SQUARE: Corners = [(10, 10), (90, 10), (90, 90), (10, 90)]
SMALL: Corners = [(30, 30), (60, 30), (60, 60), (30, 60)]
BOWTIE: Corners = [(10, 10), (90, 90), (90, 10), (10, 90)]


def asap(path: Path, *drawn: tuple[str, Corners], kind: str = "Polygon", backwards: bool = False) -> Path:
    lines = []
    for group, corners in drawn:
        listed = [f'<Coordinate Order="{n}" X="{x}" Y="{y}" />' for n, (x, y) in enumerate(corners)]
        body = "".join(reversed(listed) if backwards else listed)
        lines.append(
            f'<Annotation Name="A" Type="{kind}" PartOfGroup="{group}"><Coordinates>{body}</Coordinates></Annotation>'
        )
    text = f'<?xml version="1.0"?><ASAP_Annotations><Annotations>{"".join(lines)}</Annotations></ASAP_Annotations>'
    path.write_text(text, encoding="utf-8")
    return path


def imagescope(path: Path, *layers: tuple[str, str, list[tuple[str, Corners]]], kind: str = "0") -> Path:
    text = ""
    for number, name, regions in layers:
        text += f'<Annotation Id="{number}" Name="{name}"><Regions>'
        for negative, corners in regions:
            vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in corners)
            text += f'<Region Id="7" Type="{kind}" NegativeROA="{negative}"><Vertices>{vertices}</Vertices></Region>'
        text += "</Regions></Annotation>"
    path.write_text(f'<Annotations MicronsPerPixel="0.5">{text}</Annotations>', encoding="utf-8")
    return path


def area(found: Polygons) -> int:
    return int((found.labels(GRID) > 0).sum())


@pytest.mark.parametrize("group", ["_0", "_1", "Tumor", "tumor", "TUMOR", "Metastases", "metastases"])
def test_lesion_groups(tmp_path: Path, group: str) -> None:
    assert area(read_asap(asap(tmp_path / "a.xml", (group, SQUARE)))) == 6400


@pytest.mark.parametrize("group", ["_2", "Exclusion", "exclusion", "EXCLUSION"])
@pytest.mark.parametrize("first", [True, False])
def test_hole_groups_erase_wherever_they_are_listed(tmp_path: Path, group: str, first: bool) -> None:
    drawn = [(group, SMALL), ("_0", SQUARE)]
    found = read_asap(asap(tmp_path / "a.xml", *(drawn if first else drawn[::-1])))
    assert area(found) == 6400 - 900
    assert sorted(region.label for region in found.polygons()) == [0, 1]


@pytest.mark.parametrize("kind", ["Polygon", "Spline", "Rectangle", "polygon"])
def test_types_with_an_area(tmp_path: Path, kind: str) -> None:
    assert area(read_asap(asap(tmp_path / "a.xml", ("_0", SQUARE), kind=kind))) == 6400


def test_dots_are_passed_over_and_said(tmp_path: Path) -> None:
    found = read_asap(asap(tmp_path / "a.xml", ("_0", SQUARE[:1]), kind="Dot"))
    assert found.regions == ()
    assert tuple(map(str, found.notes)) == ("1 dots or measures passed over",)


def test_corners_go_by_their_order(tmp_path: Path) -> None:
    corners: Corners = [(10 * (i % 10 + 1), 5 * i + 10) for i in range(12)] + [(5, 90)]
    forwards = read_asap(asap(tmp_path / "a.xml", ("_0", corners)))
    backwards = read_asap(asap(tmp_path / "b.xml", ("_0", corners), backwards=True))
    assert forwards.regions == backwards.regions


def test_an_outline_without_a_group_is_lesion_and_said(tmp_path: Path) -> None:
    found = read_asap(asap(tmp_path / "a.xml", ("None", SQUARE)))
    assert area(found) == 6400
    assert tuple(map(str, found.notes)) == ("1 outlines without a group taken as class 1",)


def test_an_unknown_group_is_named_unless_it_is_mapped(tmp_path: Path) -> None:
    path = asap(tmp_path / "a.xml", ("Stroma", SQUARE))
    with pytest.raises(AnnotationError, match=r"a\.xml: the group 'Stroma'.*6400 px² \(100.0%\)") as raised:
        read_asap(path)
    assert raised.value.fix is not None and raised.value.fix.startswith("--set classes='Stroma=0'")
    assert read_asap(path, ClassNames(("a", "b", "c"), {"stroma": 2})).regions[0].label == 2
    assert area(read_asap(path, ClassNames(given={"Stroma": 0}))) == 0


def test_holes_alone_are_nothing(tmp_path: Path) -> None:
    found = read_asap(asap(tmp_path / "a.xml", ("_2", SQUARE)))
    assert area(found) == 0
    assert found.count() == 0


def test_mended_short_and_flat_outlines_are_reported(tmp_path: Path) -> None:
    flat: Corners = [(0, 0), (1, 1), (2, 2)]
    found = read_asap(asap(tmp_path / "a.xml", ("_0", BOWTIE), ("_0", SQUARE[:2]), ("_0", [(1, 1)] * 5), ("_0", flat)))
    assert tuple(map(str, found.notes)) == (
        "2 outlines of fewer than three corners left out",
        "1 outlines that cross themselves mended",
        "1 outlines without area left out",
    )
    assert len(found.regions) == 1
    assert area(found) == pytest.approx(3200, abs=100)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "ten", ""])
def test_corners_that_no_slide_has(tmp_path: Path, value: str) -> None:
    path = asap(tmp_path / "a.xml", ("_0", SQUARE))
    path.write_text(path.read_text().replace('X="90"', f'X="{value}"'))
    with pytest.raises(DataError, match=r"a\.xml: annotation 'A'.*corner"):
        read_asap(path)


def test_a_corner_without_x(tmp_path: Path) -> None:
    path = asap(tmp_path / "a.xml", ("_0", SQUARE))
    path.write_text(path.read_text().replace('X="90" ', ""))
    with pytest.raises(DataError, match="lacks the attribute X"):
        read_asap(path)


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<ASAP_Annotations>&c;</ASAP_Annotations>"""
OUTSIDE = '<!DOCTYPE x [<!ENTITY p SYSTEM "file:///etc/passwd">]><ASAP_Annotations>&p;</ASAP_Annotations>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (" ", "not well-formed"),
        ("<ASAP_Annotations><Annotations>", "not well-formed"),
        ("<ASAP_Annotations/>\x00", "not well-formed"),
        ("not xml", "not well-formed"),
        ("<html><body/></html>", "expected <"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "decoded|well-formed"),
        (BOMB, "declares entities"),
        (OUTSIDE, "declares entities"),
    ],
)
def test_broken_and_hostile_files(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.xml"
    path.write_text(content, encoding="utf-8")
    for read in (read_asap, read_imagescope, read_annotation):
        with pytest.raises(DataError, match=f"bad\\.xml.*({message})"):
            read(path)


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"gone\.xml cannot be read"):
        read_annotation(tmp_path / "gone.xml")
    (tmp_path / "folder.xml").mkdir()
    with pytest.raises(DataError, match=r"folder\.xml"):
        read_annotation(tmp_path / "folder.xml")
    with pytest.raises(DataError, match=r"notes\.txt.*expected one of \.geojson"):
        read_annotation(tmp_path / "notes.txt")
    monkeypatch.setattr(xmlfile, "LARGEST", 10)
    with pytest.raises(DataError, match="more than"):
        read_asap(asap(tmp_path / "a.xml", ("_0", SQUARE)))


def test_imagescope_layers_and_negative_regions(tmp_path: Path) -> None:
    layers = (
        ("1", "viable tumor", [("0", SMALL)]),
        ("2", "Whole tumor", [("1", SMALL), ("0", SQUARE)]),
    )
    path = imagescope(tmp_path / "i.xml", *layers)
    assert area(read_imagescope(path, {"1": 1})) == 900
    assert area(read_imagescope(path, {"2": 1})) == 6400 - 900
    assert area(read_imagescope(path, {"whole TUMOR": 1})) == 6400 - 900
    assert tuple(map(str, read_imagescope(path, {"1": 1}).notes)) == ("layers passed over: 2 Whole tumor",)
    assert isinstance(read_annotation(path), Polygons)


def test_a_negative_region_cuts_its_own_layer_alone(tmp_path: Path) -> None:
    path = imagescope(tmp_path / "i.xml", ("1", "core", [("0", SMALL)]), ("2", "rim", [("0", SQUARE), ("1", SMALL)]))
    labels = read_imagescope(path, {"core": 2, "rim": 1}).labels(GRID)
    assert ((labels == 2).sum(), (labels == 1).sum()) == (900, 5500)


def test_imagescope_layer_that_is_not_there(tmp_path: Path) -> None:
    path = imagescope(tmp_path / "i.xml", ("1", "viable", [("0", SMALL)]))
    with pytest.raises(DataError, match=r"none of the layers 5; it has: 1 viable"):
        read_imagescope(path, {"5": 1})


def test_imagescope_lines_are_said(tmp_path: Path) -> None:
    path = imagescope(tmp_path / "i.xml", ("1", "x", [("0", SMALL)]), kind="4")
    assert str(read_imagescope(path).notes[0]) == "1 lines or arrows passed over"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="class 3"):
        write_asap(tmp_path / "a.xml", Polygons([Region(shapely.box(0, 0, 9, 9), 3)]))
    assert list(tmp_path.iterdir()) == []
