"""ASAP's XML: polygons in named groups, as CAMELYON16 and 17 are annotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from benchmark.annotations.annotation import Annotation
from benchmark.annotations.drawn import HOLES, Drawing, attribute, class_name, label_of, lowered, outlines_of, read_xml
from benchmark.annotations.polygons import Polygons
from benchmark.storage import whole_file

LESION = ("_0", "_1", "tumor", "tumour", "metastases", "metastasis", "lesion")
"""Groups of CAMELYON16's files, in lower case: all of them are lesion."""
UNGROUPED = "none"
OUTLINES = ("polygon", "spline", "rectangle")
"""Types that enclose an area; dots and measures are passed over."""
COLOUR = "#F4FA58"


def read_asap(path: Path, groups: Mapping[str, int] | None = None) -> Polygons:
    """Read an ASAP file; level-0 px.

    `groups`: group name (any case) → class index, 0 cuts a hole. By default CAMELYON16's groups are lesion (1) and
    `_2` and `Exclusion` are holes. Outlines without a group are lesion, which the notes say.

    Raises `DataError` for a file that cannot be read, or a group that is not known.
    """
    root = read_xml(path, "ASAP_Annotations", "ASAP annotation")
    known = lowered(groups.items()) if groups else {**dict.fromkeys(LESION, 1), **dict.fromkeys(HOLES, 0)}
    drawing = Drawing(path)
    ungrouped = other = 0
    for element in root.iter("Annotation"):
        name, kind = element.get("Name", "without a name"), element.get("Type", "Polygon").lower()
        if kind not in OUTLINES:
            other += 1
            continue
        group = element.get("PartOfGroup", UNGROUPED).strip()
        if group.lower() == UNGROUPED and UNGROUPED not in known:
            label, ungrouped = max(known.values()), ungrouped + 1
        else:
            label = label_of(group, known, path, "group")
        listed = list(element.iter("Coordinate"))
        listed.sort(key=lambda corner: int(corner.get("Order") or 0) if (corner.get("Order") or "0").isdigit() else 0)
        corners = [(attribute(corner, "X", path), attribute(corner, "Y", path)) for corner in listed]
        drawing.add(corners, label, f"annotation {name!r}")
    if ungrouped:
        drawing.notes.append(f"{ungrouped} outlines without a group taken as class {max(known.values())}")
    if other:
        drawing.notes.append(f"{other} dots or measures passed over")
    return drawing.finish()


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
