"""ASAP's XML: polygons in named groups, as CAMELYON16 and 17 are annotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from benchmark.annotations.annotation import Annotation
from benchmark.annotations.class_names import ClassNames
from benchmark.annotations.drawn import Drawing, class_name, outlines_of
from benchmark.annotations.notes import Kind
from benchmark.annotations.polygons import Polygons
from benchmark.annotations.shapes import closes, rectangle
from benchmark.annotations.xmlfile import XmlFile
from benchmark.storage import whole_file

OUTLINES = ("polygon", "spline", "rectangle", "none", "")
"""Types that enclose an area; dots, point sets and measures do not."""
RELEASED_HOLES = ("_2", "exclusion")
"""Groups that LC-MIL's reader cuts out, letter by letter: `Exclusion` it passes over."""
COLOUR = "#F4FA58"


def read_asap(path: Path, names: ClassNames | None = None) -> Polygons:
    """Read an ASAP file; level-0 px.

    An outline is what its group is called, or the group that its group lies in. Rectangles may be given by two corners;
    splines are read as the polygon of their points, which the notes say; dots, point sets and measures are passed over.

    Raises `DataError` for a file that cannot be read, `AnnotationError` for a group that is not understood.
    """
    file = XmlFile(path, "ASAP_Annotations", "ASAP annotation")
    parents = {group.get("Name", ""): group.get("PartOfGroup", "") for group in file.root.iter("Group")}
    drawing = Drawing(path, "group", RELEASED_HOLES)
    for element in file.root.iter("Annotation"):
        place, kind = f"annotation {element.get('Name', 'without a name')!r}", element.get("Type", "Polygon").lower()
        if kind not in OUTLINES:
            drawing.count("dots or measures passed over", place)
            continue
        corners = file.ring(element, place)
        if kind == "rectangle":
            corners = rectangle(corners)
        elif kind == "spline" and not closes(corners):
            drawing.count("splines read as the polygon of their points", place, Kind.ASSUMED)
        drawing.add(corners, _line(element.get("PartOfGroup", ""), parents), place)
    return drawing.finish(names)


def _line(group: str, parents: Mapping[str, str]) -> list[str]:
    """The group and those around it, from the inside out."""
    line: list[str] = []
    while group and group not in line:
        line.append(group)
        group = parents.get(group, "")
    return line[:1] + [name for name in line[1:] if name.strip().lower() != "none"]


def write_asap(path: Path, annotation: Annotation, classes: Sequence[str] = ("normal", "tumor")) -> None:
    """Write the visible outlines for ASAP: a group per class, and the group Exclusion for holes."""
    root = ElementTree.Element("ASAP_Annotations")
    listed, groups = ElementTree.SubElement(root, "Annotations"), ElementTree.SubElement(root, "AnnotationGroups")
    used: dict[str, None] = {}
    for polygon, label in outlines_of(annotation):
        rings = [(class_name(label, classes), polygon.exterior)]
        rings += [("Exclusion", hole) for hole in polygon.interiors]
        for group, ring in rings:
            used.setdefault(group)
            number = len(listed)
            facts = {"Name": f"Annotation {number}", "Type": "Polygon", "PartOfGroup": group, "Color": COLOUR}
            corners = ElementTree.SubElement(ElementTree.SubElement(listed, "Annotation", facts), "Coordinates")
            for order, (x, y) in enumerate(list(ring.coords)[:-1]):
                ElementTree.SubElement(corners, "Coordinate", {"Order": str(order), "X": repr(x), "Y": repr(y)})
    for group in used:
        facts = {"Name": group, "PartOfGroup": "None", "Color": COLOUR}
        ElementTree.SubElement(ElementTree.SubElement(groups, "Group", facts), "Attributes")
    ElementTree.indent(root, "\t")
    with whole_file(path) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)
