"""What the names in annotation files mean: understood by one rule in every format, or refused with what settles it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import defusedxml.ElementTree
import numpy as np
import pytest
import shapely
from PIL import Image

from benchmark.annotations import Annotation, ClassNames, Meaning, Polygons, read_annotation, read_classes
from benchmark.annotations.class_names import words
from benchmark.annotations.class_words import POSITIVE as POSITIVE_WORDS
from benchmark.errors import AnnotationError
from benchmark.slides import Grid

SIDE, CELL = 2048, 64
GRID = Grid.regular((SIDE, SIDE), CELL)
TUMOR, OTHER = shapely.box(820, 820, 1434, 1434), shapely.box(240, 240, 700, 700)
LESION = 81
"""Cells of `TUMOR` by the centre rule; `OTHER` has 49, and does not touch it."""
Named = tuple[str | None, shapely.Polygon]
ORDINARY: Named = ("Tumor", TUMOR)


def geojson(path: Path, *drawn: Named, **properties: Any) -> Path:
    features = []
    for name, shape in drawn:
        own = {"objectType": "annotation", **properties}
        if name is not None:
            own["classification"] = {"name": name, "color": [200, 0, 0]}
        features.append({"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": own})
    path = path.with_suffix(".geojson")
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def corners(shape: shapely.Polygon, tag: str) -> str:
    return "".join(f'<{tag} Order="{n}" X="{x}" Y="{y}"/>' for n, (x, y) in enumerate(list(shape.exterior.coords)[:-1]))


def asap(path: Path, *drawn: Named, parents: dict[str, str] | None = None) -> Path:
    outlines = "".join(
        f'<Annotation Name="Annotation {n}" Type="Polygon" PartOfGroup="{escaped(name or "None")}">'
        f"<Coordinates>{corners(shape, 'Coordinate')}</Coordinates></Annotation>"
        for n, (name, shape) in enumerate(drawn)
    )
    groups = "".join(f'<Group Name="{own}" PartOfGroup="{outer}"/>' for own, outer in (parents or {}).items())
    text = f"<Annotations>{outlines}</Annotations><AnnotationGroups>{groups}</AnnotationGroups>"
    path = path.with_suffix(".xml")
    path.write_text(f"<ASAP_Annotations>{text}</ASAP_Annotations>", encoding="utf-8")
    return path


def layers(path: Path, *drawn: Named) -> Path:
    """ImageScope with a layer for each name."""
    return imagescope(path, *((name or "", "", shape) for name, shape in drawn))


def texts(path: Path, *drawn: Named) -> Path:
    """ImageScope as BACH has it: one layer without a name, the class in the region's text."""
    regions = "".join(region(name or "", shape) for name, shape in drawn)
    path = path.with_suffix(".xml")
    path.write_text(f'<Annotations><Annotation Id="1" Name="">{regions}</Annotation></Annotations>', encoding="utf-8")
    return path


def region(text: str, shape: shapely.Polygon, kind: str = "0") -> str:
    vertices = f"<Vertices>{corners(shape, 'Vertex')}</Vertices>"
    return f'<Regions><Region Id="1" Type="{kind}" Text="{escaped(text)}" NegativeROA="0">{vertices}</Region></Regions>'


def imagescope(path: Path, *drawn: tuple[str, str, shapely.Polygon]) -> Path:
    body = "".join(
        f'<Annotation Id="{n}" Name="{escaped(name)}">{region(text, shape)}</Annotation>'
        for n, (name, text, shape) in enumerate(drawn, start=1)
    )
    path = path.with_suffix(".xml")
    path.write_text(f"<Annotations>{body}</Annotations>", encoding="utf-8")
    return path


FORMATS: dict[str, Callable[..., Path]] = {"geojson": geojson, "asap": asap, "layers": layers, "texts": texts}


def cells(found: Annotation) -> int:
    return int((found.labels(GRID) > 0).sum())


POSITIVE = """Tumor|tumor|TUMOUR|Tumors|tumours|Metastases|metastasis|Lesion|lésion|Carcinoma|Invasive carcinoma|
Carcinoma invasive|Invasive|invasive ductal carcinoma|Cancer|Malignant|Tumor area|tumor_region|Tumor-1|TumorRegion|
Whole tumor|viable tumour|Tumor 2|Ｔｕｍｏｒ|Tu\u200bmor|Tumor\u00a0|_0|_1|Positive|Adenocarcinoma|Neoplasm""".replace(
    "\n", ""
)
NEGATIVE = """normal|Normal|Benign|Healthy|Normal tissue|non-tumor|NonTumor|no tumour|Background|Negative|
Normal epithelium|Region*|ROI*|Whitespace|benign gland""".replace("\n", "")
IGNORED = "Ignore*|ignore|Artifact|Artefacts|Other*|Necrosis*|Fold artefact|Immune cells*"
REFUSED = """Stroma|Necrosis|Immune cells|Other|Carcinoma in situ|In situ carcinoma|DCIS|Tumor stroma|Tumor bed|Tumor*|
benign tumor|Tumor border|Atypia|_3|x|class 2b|腫瘍|Tumor necrosis|lymphocytes|Dysplasia|?""".replace("\n", "")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", POSITIVE.split("|"))
def test_words_of_a_lesion(tmp_path: Path, form: str, name: str) -> None:
    assert cells(read_annotation(FORMATS[form](tmp_path / "a", (name, TUMOR)))) == LESION


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", NEGATIVE.split("|"))
def test_words_of_the_surroundings_add_nothing_and_cut_nothing(tmp_path: Path, form: str, name: str) -> None:
    inner = shapely.box(900, 900, 1100, 1100)
    found = read_annotation(FORMATS[form](tmp_path / "a", ORDINARY, (name, OTHER), (name, inner)))
    assert cells(found) == LESION
    assert found.count() == 1
    assert not found.ignored(GRID).any()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", IGNORED.split("|"))
def test_areas_to_ignore_count_nowhere(tmp_path: Path, form: str, name: str) -> None:
    found = read_annotation(FORMATS[form](tmp_path / "a", ORDINARY, (name, OTHER)))
    assert cells(found) == LESION
    np.testing.assert_array_equal(
        found.ignored(GRID), read_annotation(geojson(tmp_path / "o", ("Tumor", OTHER))).labels(GRID) > 0
    )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", REFUSED.split("|"))
def test_anything_else_is_refused_with_its_area_and_the_option(tmp_path: Path, form: str, name: str) -> None:
    path = FORMATS[form](tmp_path / "a", ORDINARY, (name, OTHER))
    with pytest.raises(AnnotationError) as raised:
        read_annotation(path)
    assert str(path) in raised.value.what
    assert f"{name!r} (not known): 1 outlines, 211600 px² (35.9%)" in raised.value.what
    assert "'Tumor': 1 outlines, 376996 px² (64.1%)" in raised.value.what
    assert raised.value.fix is not None
    offered = "?" if words(name) & POSITIVE_WORDS else "0"
    assert raised.value.fix.startswith(f"--set classes='{name}={offered}'")
    for value, expected, ignored in (
        ("0", LESION, 0),
        ("1", LESION + 49, 0),
        ("ignore", LESION, 49),
        ("hole", LESION, 0),
    ):
        names = ClassNames(given=read_classes(f"{name}={value}"))
        found = read_annotation(path, names)
        assert (cells(found), found.ignored(GRID).sum()) == (expected, ignored)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["Exclusion", "exclude", "Hole", "_2", "tumor exclusion"])
def test_holes_are_cut_out_and_said_where_they_lie_on_nothing(tmp_path: Path, form: str, name: str) -> None:
    inner = shapely.box(960, 960, 1152, 1152)
    found = read_annotation(FORMATS[form](tmp_path / "a", (name, inner), ORDINARY))
    assert cells(found) == LESION - 9
    assert not [note for note in found.notes if "holes" in note.text]
    beside = read_annotation(FORMATS[form](tmp_path / "b", (name, OTHER), ORDINARY))
    assert cells(beside) == LESION
    assert "1 holes lie on nothing" in "".join(map(str, beside.notes))


def test_a_frame_is_said(tmp_path: Path) -> None:
    """QuPath's Region* is the area that was looked at; around the lesion it is no lesion."""
    found = read_annotation(geojson(tmp_path / "a", ("Region*", shapely.box(205, 205, 1843, 1843)), ORDINARY))
    assert cells(found) == LESION
    [note] = found.notes
    assert "'Region*' passed over" in note.text
    assert (note.kind, note.place, note.file) == ("passed over", "feature 0", str(tmp_path / "a.geojson"))


@pytest.mark.parametrize("form", FORMATS)
def test_outlines_that_overlap_a_lesion_under_another_name_are_said(tmp_path: Path, form: str) -> None:
    inner = shapely.box(960, 960, 1152, 1152)
    found = read_annotation(FORMATS[form](tmp_path / "a", ORDINARY, ("normal", inner), ("Ignore*", inner)))
    assert cells(found) == LESION
    assert found.ignored(GRID).sum() == 9
    said = " ".join(map(str, found.notes))
    assert "1 outlines of the negative class overlap a lesion" in said
    assert "1 areas to ignore overlap a lesion" in said


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_without_names_is_the_positive_class_and_says_so(tmp_path: Path, form: str) -> None:
    found = read_annotation(FORMATS[form](tmp_path / "a", (None, TUMOR)))
    assert cells(found) == LESION
    assert "1 outlines without a" in str(found.notes[0])
    refused = ClassNames(("a", "b", "c"))
    with pytest.raises(AnnotationError, match="none of a, b, c"):
        read_annotation(FORMATS[form](tmp_path / "a", (None, TUMOR)), refused)


@pytest.mark.parametrize("form", FORMATS)
def test_an_outline_without_a_name_beside_named_ones_is_refused_unless_it_frames_them(
    tmp_path: Path, form: str
) -> None:
    path = FORMATS[form](tmp_path / "a", ORDINARY, (None, OTHER))
    with pytest.raises(AnnotationError, match=r"--set classes='unclassified=0'"):
        read_annotation(path)
    assert cells(read_annotation(path, ClassNames(given={"unclassified": 0}))) == LESION
    around = FORMATS[form](tmp_path / "b", (None, shapely.box(100, 100, 1900, 1900)), ORDINARY)
    found = read_annotation(around)
    assert cells(found) == LESION
    assert "that frame others passed over" in str(found.notes[0])


def test_layers_without_names_are_refused_when_there_are_several(tmp_path: Path) -> None:
    path = imagescope(tmp_path / "a", ("", "", TUMOR), ("Layer 2", "", OTHER))
    with pytest.raises(AnnotationError, match=r"--set classes='layer 1=0,layer 2=0'"):
        read_annotation(path)
    assert cells(read_annotation(path, ClassNames(given=read_classes("Layer 1=1,layer 2=0")))) == LESION


def test_a_region_s_text_wins_over_its_layer(tmp_path: Path) -> None:
    path = imagescope(tmp_path / "a", ("Tumor", "", TUMOR), ("Tumor", "Benign", OTHER))
    assert cells(read_annotation(path)) == LESION
    unknown = imagescope(tmp_path / "b", ("Tumor", "seen with Dr. K", TUMOR))
    found = read_annotation(unknown)
    assert cells(found) == LESION
    assert str(found.notes[0]) == "layer or text 'seen with Dr. K' is not known: taken as 'Tumor', in which it lies"
    with pytest.raises(AnnotationError, match="Necrosis"):
        read_annotation(imagescope(tmp_path / "c", ("Tumor", "", TUMOR), ("Tumor", "Necrosis", OTHER)))


def test_a_layer_s_description_is_its_name(tmp_path: Path) -> None:
    path = imagescope(tmp_path / "a", ("", "", OTHER))
    described = '<Attributes><Attribute Name="Description" Value="Stroma"/></Attributes>'
    path.write_text(path.read_text().replace('Name="">', f'Name="">{described}'))
    with pytest.raises(AnnotationError, match="'Stroma'"):
        read_annotation(path)


def test_nested_groups_of_asap(tmp_path: Path) -> None:
    found = read_annotation(asap(tmp_path / "a", ("macro", TUMOR), parents={"Tumor": "None", "macro": "Tumor"}))
    assert cells(found) == LESION
    assert str(found.notes[0]) == "group 'macro' is not known: taken as 'Tumor', in which it lies"
    deep = {"Tumor": "None", "a": "Tumor", "b": "a"}
    assert cells(read_annotation(asap(tmp_path / "b", ("b", TUMOR), parents=deep))) == LESION
    with pytest.raises(AnnotationError, match="'stroma'"):
        read_annotation(asap(tmp_path / "c", ("stroma", TUMOR), parents={"stroma": "Tumor", "Tumor": "None"}))
    with pytest.raises(AnnotationError, match="'a'"):
        read_annotation(asap(tmp_path / "d", ("a", TUMOR), parents={"a": "b", "b": "a"}))


@pytest.mark.parametrize("kind", ["detection", "cell", "tile", "tmaCore", "root", "PathDetectionObject"])
@pytest.mark.parametrize("older", [False, True])
def test_only_annotations_of_qupath_count(tmp_path: Path, kind: str, older: bool) -> None:
    path = geojson(tmp_path / "a", ORDINARY, ("Tumor", OTHER))
    content = json.loads(path.read_text())
    del content["features"][1]["properties"]["objectType"]
    content["features"][1]["properties"]["object_type" if older else "objectType"] = kind
    path.write_text(json.dumps(content))
    found = read_annotation(path)
    assert cells(found) == LESION
    [note] = found.notes
    assert note.text.startswith("1 objects of type") and note.place == "feature 1"


def test_classes_of_the_data_set_s_own_win_over_the_words(tmp_path: Path) -> None:
    path = geojson(tmp_path / "a", ("In situ", TUMOR), ("Invasive", OTHER))
    assert cells(read_annotation(path, ClassNames(("Invasive", "in situ")))) == LESION
    with pytest.raises(AnnotationError, match="'Invasive'"):
        read_annotation(path, ClassNames(("benign", "in situ")))
    primary = geojson(tmp_path / "b", ("Tumor", TUMOR))
    with pytest.raises(AnnotationError, match="'Tumor' is none of primary tumor, metastasis"):
        read_annotation(primary, ClassNames(("primary tumor", "metastasis")))
    three = ClassNames(("benign", "in situ carcinoma", "invasive carcinoma"))
    labels = read_annotation(
        texts(tmp_path / "c", ("Carcinoma in situ", TUMOR), ("Carcinoma invasive", OTHER)), three
    ).labels(GRID)
    assert ((labels == 1).sum(), (labels == 2).sum()) == (LESION, 49)


IMAGES: dict[str, tuple[list[int], str | None, int | None, int]] = {
    "one": ([1], None, LESION, 0),
    "255": ([255], None, LESION, 0),
    "tissue 1, tumour 2": ([2, 1], None, None, 0),
    "tumour 1, normal 2": ([1, 2], None, None, 0),
    "mapped": ([2, 1], "1=0,2=1", LESION, 0),
    "mapped the other way": ([1, 2], "1=1,2=0", LESION, 0),
    "255 besides": ([1, 255], None, None, 0),
    "255 ignored": ([1, 255], "1=1,255=ignore", LESION, 49),
    "128": ([128], None, None, 0),
    "2 alone": ([2], None, None, 0),
    "hole": ([1, 3], "1=1,3=hole", LESION, 0),
    "only part is mapped": ([1, 2], "2=0", None, 0),
    "both": ([1, 2], "1=1,2=1", LESION + 49, 0),
}


@pytest.mark.parametrize("case", IMAGES)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_values_of_label_images(tmp_path: Path, case: str, suffix: str) -> None:
    values, option, expected, ignored = IMAGES[case]
    pixels = np.zeros((SIDE // 8, SIDE // 8), np.uint8)
    for value, shape in zip(values, (TUMOR, OTHER), strict=False):
        left, top, right, bottom = (round(edge / 8) for edge in shape.bounds)
        pixels[top:bottom, left:right] = value
    path = tmp_path / f"mask{suffix}"
    Image.fromarray(pixels).save(path)
    names = ClassNames(given=read_classes(option or ""))
    if expected is None:
        with pytest.raises(AnnotationError, match=r"(?s)has the values 0: .* px \(.*%\); .*--set classes='"):
            read_annotation(path, names, size=(SIDE, SIDE))
        return
    found = read_annotation(path, names, size=(SIDE, SIDE))
    assert (cells(found), found.ignored(GRID).sum()) == (expected, ignored)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Stroma=0,Invasive=1", {"Stroma": 0, "Invasive": 1}),
        (' Fold = Ignore , Lumen=hole ,"a, b=0" ', {"Fold": "ignore", "Lumen": "hole", "a, b": 0}),
        ("x=y=positive", {"x=y": 1}),
        ("", {}),
    ],
)
def test_the_option(text: str, expected: dict[str, Meaning]) -> None:
    assert read_classes(text) == expected


@pytest.mark.parametrize("text", ["Stroma", "=1", "a=b", "a=-1", "a=0,a=1", "a=0,A=1", "a=5", "a=0,,b=1"])
def test_options_that_say_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="classes: "):
        read_classes(text, classes=2)


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name", ["tumor_002", "tumor_012", "tumor_038", "test_004", "patient_009_node_1", "patient_010_node_4"]
)
def test_the_files_of_camelyon_have_the_areas_that_shapely_finds(shared_data: Path, name: str) -> None:
    path = shared_data / "camelyon16-xml" / f"{name}.xml"
    lesion, cut = [], []
    for element in defusedxml.ElementTree.parse(path).iter("Annotation"):
        points = [(float(c.get("X")), float(c.get("Y"))) for c in element.iter("Coordinate")]
        group = element.get("PartOfGroup")
        if len(set(points)) > 2 and group != "normal":
            (cut if group in ("_2", "Exclusion") else lesion).append(shapely.make_valid(shapely.Polygon(points)))
    expected = shapely.union_all(lesion).difference(shapely.union_all(cut)).area
    found = read_annotation(path)
    assert isinstance(found, Polygons)
    drawn = [shape for region, shape in zip(found.regions, found.visible(), strict=True) if region.label]
    assert shapely.union_all(drawn).area == pytest.approx(expected, rel=1e-6)
    said = [note.text for note in found.notes if "negative class overlap" in note.text]
    assert bool(said) == (name == "patient_010_node_4")
