"""Aperio ImageScope's XML and HALO's: layers of regions, as PAIP2019 and 2020 and BACH are annotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from benchmark.annotations.annotation import Annotation
from benchmark.annotations.class_names import IGNORE, ClassNames, Meaning, known_meaning, says_nothing
from benchmark.annotations.drawn import Drawing, class_name, outlines_of
from benchmark.annotations.notes import Kind, Note
from benchmark.annotations.polygons import Polygons
from benchmark.annotations.shapes import Points, closes, ellipse, rectangle
from benchmark.annotations.xmlfile import XmlFile
from benchmark.errors import DataError
from benchmark.storage import whole_file

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

KINDS = {"0": "polygon", "1": "rectangle", "2": "ellipse", "freehand": "polygon"}
"""Types of ImageScope's regions that have an area, by number; HALO has them in words. Others are lines and arrows."""
COLOURS = ("65535", "255", "65280", "16711680")
"""Line colours, as blue-green-red numbers."""


def read_imagescope(
    path: Path, layers: Mapping[str, int] | None = None, *, names: ClassNames | None = None
) -> Polygons:
    """Read an ImageScope or HALO file; level-0 px.

    A region is what its own text says (BACH), or where that is not understood what its layer is called. `layers` cuts
    that short: Id or Name (any case) of a layer → class index, but for regions whose text is a word for no lesion
    ("Normal"); all other layers are passed over, which the notes say.
    Regions with `NegativeROA="1"` are holes in their own layer, called like the region before them where they have no
    text. Rectangles and ellipses may be given by two corners;
    lines that close are outlines, all others and arrows are passed over, which the notes say.

    Raises `DataError` for a file that cannot be read, or that has none of the layers asked for; `AnnotationError` for
    a name that is not understood.
    """
    file = XmlFile(path, "Annotations", "ImageScope annotation")
    known = None if layers is None else {name.strip().lower(): label for name, label in layers.items()}
    drawing, skipped, read = Drawing(path, "layer or text"), [], 0
    for index, layer in enumerate(file.root.iter("Annotation")):
        number, name = layer.get("Id", ""), layer.get("Name", "")
        label = None if known is None else known.get(number.lower(), known.get(name.strip().lower()))
        if known is not None and label is None:
            skipped.append(f"{number} {name}".strip())
            continue
        read += 1
        called, before = _called(layer, number or str(index + 1)), list[str]()
        for region in layer.iter("Region"):
            text = region.get("Text", "").strip()
            own = [text] if text and not says_nothing(text) else []
            if region.get("NegativeROA") == "1":
                own = own or before  # written behind the region that it is cut from, mostly without a text
            else:
                before = own
            said = known_meaning(text) if label is not None and own else None
            if said in (0, IGNORE):
                drawing.count("regions whose own text says they are no lesion, in a layer that is one", text)
            _add(drawing, file, region, [*own, called], index, said if said in (0, IGNORE) else label)
    if known is not None and not read:
        there = ", ".join(skipped) or "none"
        raise DataError(f"{path} has none of the layers {', '.join(known)}; it has: {there}")
    if skipped:
        drawing.notes.append(Note(f"layers passed over: {', '.join(skipped)}", Kind.PASSED_OVER, file=str(path)))
    return drawing.finish(names)


def _called(layer: Element, number: str) -> str:
    """The name of a layer, its description where it has none, else its number."""
    described = (
        attribute.get("Value", "") for attribute in layer.iter("Attribute") if attribute.get("Name") == "Description"
    )
    for name in (layer.get("Name", ""), *described):
        if name.strip() and not says_nothing(name):
            return name.strip()
    return f"layer {number}"


def _add(drawing: Drawing, file: XmlFile, region: Element, names: list[str], layer: int, label: Meaning | None) -> None:
    place = f"region {region.get('Id', '?')} of layer {layer + 1}"
    kind = region.get("Type", "0").strip().lower()
    corners = file.ring(region, place)
    outline = _outline(KINDS.get(kind, kind), corners, region, f"{drawing.path}: {place}")
    if outline is None:
        drawing.count("lines or arrows passed over", place)
        return
    if KINDS.get(kind, kind) not in KINDS.values():
        drawing.count("lines that close read as outlines", place, Kind.ASSUMED)
    drawing.add(outline, names, place, negative=region.get("NegativeROA") == "1", layer=layer, meaning=label)


def _outline(kind: str, corners: Points, region: Element, where: str) -> Points | None:
    if kind == "rectangle":
        return rectangle(corners)
    if kind == "ellipse":
        return ellipse(corners, where, _number(region.get("Area"))) if len(corners) > 1 else corners
    if kind == "polygon":
        return corners
    return corners if closes(corners) else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value > 0 else None


def write_imagescope(
    path: Path, annotation: Annotation, classes: Sequence[str] = ("normal", "tumor"), mpp: float | None = None
) -> None:
    """Write the visible outlines for ImageScope: layer k is class k, holes are negative regions."""
    root = ElementTree.Element("Annotations", {"MicronsPerPixel": f"{mpp:g}"} if mpp else {})
    polygons = outlines_of(annotation)
    for label in range(1, len(classes)):
        facts = {"Id": str(label), "Name": classes[label], "Visible": "1", "LineColor": COLOURS[label % len(COLOURS)]}
        layer = ElementTree.SubElement(root, "Annotation", facts)
        regions = ElementTree.SubElement(layer, "Regions")
        for polygon in (polygon for polygon, own in polygons if own == label):
            rings = [(polygon.exterior, "0"), *((hole, "1") for hole in polygon.interiors)]
            for ring, negative in rings:
                facts = {"Id": str(len(regions) + 1), "Type": "0", "NegativeROA": negative}
                corners = ElementTree.SubElement(ElementTree.SubElement(regions, "Region", facts), "Vertices")
                for x, y in list(ring.coords)[:-1]:
                    ElementTree.SubElement(corners, "Vertex", {"X": repr(x), "Y": repr(y), "Z": "0"})
    for _, label in polygons:
        class_name(label, classes)
    ElementTree.indent(root, "\t")
    with whole_file(path) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)
