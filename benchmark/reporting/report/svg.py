"""Figures as SVG inside a page: text stays text, ink has the page's colours, ids are the page's own.

Nothing refers to elsewhere, not even a namespace: inside HTML an `svg` needs none.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, tostring

from defusedxml.ElementTree import fromstring

from benchmark.reporting.style import BLACK, FAINT, INK, PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID = "#d8dee4"
"""The colour of the grid in `style.plain`."""

THEMED = {INK: "var(--ink)", BLACK: "var(--ink)", FAINT: "var(--faint)", GRID: "var(--line)", PAPER: "var(--paper)"}
"""Ink and paper become variables of the page, for light and dark; all other colours stay."""

_SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "histobench", "text.parse_math": False}
_NOT_SAID = {"Date": None, "Creator": None, "Format": None, "Type": None}
_DROPPED = ("metadata", "style")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_REFERENCE = re.compile(r"(?<=#)[\w-]+(?=\)|$)")
_FONT = re.compile(r"font(-family)?: [^;]*(;|$)")
_SIZE = re.compile(r"font: (?:[^;]*? )??((?:bold |[6-9]00 )?)(\d+(?:\.\d+)?)px [^;]*")
_LONG = re.compile(r"-?\d+\.\d{3,}")


@contextmanager
def drawing() -> Iterator[None]:
    """Figures made and saved within are alike on every machine, and no label is read as a formula."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield


def colour(value: str) -> str:
    """A colour of the house as the page writes it."""
    return THEMED.get(value.lower(), value)


def inline(drawn: Figure, prefix: str, label: str) -> str:
    """The figure as an `svg` element of class `chart` that may stand in HTML as it is.

    Args:
        drawn: made within `drawing()`, where this has to be called too.
        prefix: unique in the page; every id in the picture begins with it.
        label: what a screen reader says.
    """
    written = io.BytesIO()
    drawn.savefig(written, format="svg", transparent=True, metadata=_NOT_SAID)
    root: Element = fromstring(written.getvalue())
    _cleaned(root)
    _renamed(root, prefix)
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "chart", "role": "img", "aria-label": label}
    return tostring(root, encoding="unicode")


def _cleaned(element: Element) -> None:
    """Plain names, variables for ink, short numbers; no metadata, and no style sheet, which would be the page's."""
    element.tag = _plain(element.tag)
    element.attrib = {_plain(name): value for name, value in element.attrib.items()}
    for name, value in element.attrib.items():
        if name in ("style", "fill", "stroke"):
            element.attrib[name] = _styled(value)
        elif name in ("d", "x", "y", "width", "height", "transform"):
            element.attrib[name] = _LONG.sub(lambda found: f"{float(found[0]):.2f}", value)
    if element.tag != "text" and not (element.text or "").strip():
        element.text = None
    for child in list(element):
        child.tail = None
        if _plain(child.tag) in _DROPPED:
            element.remove(child)
        else:
            _cleaned(child)


def _plain(name: str) -> str:
    return name.rpartition("}")[2]


def _styled(value: str) -> str:
    """Colours of the page, and no font family: text has the page's."""
    value = _COLOUR.sub(lambda found: colour(found[0]), value)
    size = _SIZE.search(value)
    kept = _FONT.sub("", value).strip().rstrip(";")
    if size is None:
        return kept
    weight = f"font-weight: {size[1].strip()}; " if size[1] else ""
    return f"{weight}font-size: {size[2]}px; {kept}".rstrip("; ")


def _renamed(root: Element, prefix: str) -> None:
    """Keep the ids that something refers to, numbered after `prefix`."""
    pointing = ("href", "clip-path", "mask", "fill", "stroke")
    used = {
        found
        for element in root.iter()
        for name in pointing
        for found in _REFERENCE.findall(element.get(name, "") if name in element.attrib else "")
    }
    known = [element.attrib["id"] for element in root.iter() if element.get("id") in used]
    names = {name: f"{prefix}-{number}" for number, name in enumerate(dict.fromkeys(known))}
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in names:
            element.attrib["id"] = names[name]
        for key in pointing:
            if "#" in element.get(key, ""):
                element.attrib[key] = _REFERENCE.sub(lambda found: names.get(found[0], found[0]), element.attrib[key])
