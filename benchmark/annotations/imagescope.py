"""Aperio ImageScope's XML: layers of regions, as PAIP2019 and 2020 are annotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from benchmark.annotations.annotation import Annotation
from benchmark.annotations.drawn import Drawing, attribute, class_name, lowered, outlines_of, read_xml
from benchmark.annotations.polygons import Polygons
from benchmark.errors import DataError
from benchmark.storage import whole_file

AREAS = ("0", "1", "2")
"""Region types with an area: freehand, rectangle, ellipse; the others are lines and arrows."""
ELLIPSE = "2"
COLOURS = ("65535", "255", "65280", "16711680")
"""Line colours, as blue-green-red numbers."""


def read_imagescope(path: Path, layers: Mapping[str, int] | None = None) -> Polygons:
    """Read an ImageScope file; level-0 px.

    `layers`: Id or Name (any case) of a layer → class index; layers not named there are passed over, which the
    notes say. By default every layer is class 1. Regions with `NegativeROA="1"` are holes in their own layer.

    Raises `DataError` for a file that cannot be read, or that has none of the layers asked for.
    """
    root = read_xml(path, "Annotations", "ImageScope annotation")
    known = lowered(layers.items()) if layers else None
    drawing, skipped = Drawing(path), []
    spans: list[tuple[int, int]] = []
    for layer in root.iter("Annotation"):
        number, name = layer.get("Id", ""), layer.get("Name", "")
        label = 1 if known is None else known.get(number.lower(), known.get(name.strip().lower()))
        if label is None:
            skipped.append(f"{number} {name}".strip())
            continue
        first = len(drawing.regions)
        for region in layer.iter("Region"):
            _add(drawing, region, label, path)
        spans.append((first, len(drawing.regions)))
    for first, last in reversed(spans if len(spans) > 1 else []):
        drawing.seal(first, last)
    if known is not None and not spans:
        there = ", ".join(skipped) or "none"
        raise DataError(f"{path} has none of the layers {', '.join(known)}; it has: {there}")
    if skipped:
        drawing.notes.append(f"layers passed over: {', '.join(skipped)}")
    return drawing.finish()


def _add(drawing: Drawing, region: ElementTree.Element, label: int, path: Path) -> None:
    what = f"region {region.get('Id', '?')}"
    kind = region.get("Type", "0")
    corners = [(attribute(corner, "X", path), attribute(corner, "Y", path)) for corner in region.iter("Vertex")]
    if kind not in AREAS:
        drawing.notes.append(f"{what} is a line or an arrow, passed over")
    elif kind == ELLIPSE and len(corners) <= 4:
        drawing.notes.append(f"{what} is an ellipse given by its box, passed over")
    else:
        drawing.add(corners, 0 if region.get("NegativeROA") == "1" else label, what)


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
