"""XML annotation files: checked, read without what may harm, and without an object for every corner."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.annotations.shapes import Points, ring
from benchmark.errors import DataError
from benchmark.plain_yaml import short

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LARGEST = 1 << 29
"""Bytes of an annotation file beyond which it is not read: the largest known ones have some 10 MB."""
CORNERS = frozenset(("Coordinate", "Vertex", "V"))
"""What ASAP, ImageScope and HALO call a corner."""
BLOCK = 1 << 20
_ORDER = re.compile(r"-?[0-9]{1,18}")
Corner = tuple[str | None, str | None, str | None]
"""X, Y and the number in the order, as text."""


class XmlFile:
    """The elements of a file, and apart from them the corners of each.

    `kind` says in messages what the file should be, `root` the name of its root element. Raises `DataError` for a file
    that is missing, empty, too large, malformed, not of this kind, or that declares entities (which can be made to
    expand without end).
    """

    def __init__(self, path: Path, root: str, kind: str) -> None:
        from xml.etree.ElementTree import ParseError

        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import DefusedXMLParser

        check_file(path)
        self.path = path
        builder = _Builder()
        again = "export the annotation again"
        try:
            parser = DefusedXMLParser(target=builder, forbid_dtd=False)
            with path.open("rb") as stream:
                while block := stream.read(BLOCK):
                    parser.feed(block)
            parser.close()
        except ParseError as error:
            raise DataError(f"{path} is not well-formed XML: {error}", fix=again) from None
        except DefusedXmlException as error:
            what = f"{path} declares entities or refers to other files, which annotations never do: {error!r}"
            raise DataError(what, fix=f"{again}, and ask where this file comes from") from None
        except (ValueError, LookupError) as error:  # an encoding that does not exist, or is not kept
            raise DataError(f"{path} cannot be decoded: {error}", fix=again) from None
        if builder.root is None or builder.root.tag != root:
            found = "nothing" if builder.root is None else f"<{builder.root.tag}>"
            raise DataError(f"{path} is no {kind}: its root is {found}, expected <{root}>")
        self.root: Element = builder.root
        self._corners = builder.corners

    def ring(self, element: Element, what: str) -> Points:
        """The corners within an element, by their order where they are numbered, n × 2. Raises `DataError`."""
        listed = [corner for part in element.iter() for corner in self._corners.get(id(part), ())]
        for x, y, _ in listed:
            if x is None or y is None:
                lacking = "X" if x is None else "Y"
                raise DataError(f"{self.path}: {what} has a corner that lacks the attribute {lacking}")
        if any(order is not None for _, _, order in listed):
            listed.sort(key=lambda corner: self._order(corner[2], what))
        return ring(((x, y) for x, y, _ in listed), f"{self.path}: {what}")

    def _order(self, text: str | None, what: str) -> int:
        """The number of a corner, 0 where it has none. Raises `DataError` for one that is no number."""
        if not text or not text.strip():
            return 0
        if not _ORDER.fullmatch(text.strip()):
            raise DataError(f"{self.path}: {what} has a corner whose Order is {short(text)}, expected a whole number")
        return int(text)


class _Builder:
    """Builds the tree; corners are kept as text beside it, under the id of the element that holds them."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self.corners: dict[int, list[Corner]] = {}
        self._open: list[Any] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        from xml.etree.ElementTree import Element

        if tag in CORNERS and self._open:
            corner = (attributes.get("X"), attributes.get("Y"), attributes.get("Order"))
            self.corners.setdefault(id(self._open[-1]), []).append(corner)
            return
        element = Element(tag, attributes)
        if self._open:
            self._open[-1].append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, tag: str) -> None:
        if not (tag in CORNERS and self._open and self._open[-1].tag != tag):
            self._open.pop()

    def data(self, text: str) -> None:
        """Texts between the elements are not read."""

    def close(self) -> Element | None:
        return self.root


def check_file(path: Path) -> None:
    """Raise `DataError` unless `path` is a file of sensible size with something in it."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"the annotation {path} cannot be read: {error.strerror}", fix=f"ls {path.parent}") from None
    if not path.is_file():
        raise DataError(f"{path} is no file", fix=f"ls {path.parent}")
    if size == 0:
        raise DataError(f"the annotation {path} is empty", fix="export it again")
    if size > LARGEST:
        raise DataError(f"the annotation {path} has {size >> 20} MB, more than the {LARGEST >> 20} MB that are read")
