"""A folder filled by the GDC: slides as gdc-client leaves them, and the manifests it was given. Nothing is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError

from .barcode import Barcode, slide_barcode
from .cases import keep_one, walk
from .table import Row, read_table

MANIFESTS = "gdc_manifest*.txt"
COLUMNS = ("id", "filename", "md5", "size", "state")
SUFFIX, PARTIAL = ".svs", ".partial"
CHUNK = 1 << 22


@dataclass(frozen=True)
class Expected:
    """What a manifest says of a slide file. `where`: file and line. `folder`: the file's UUID at the GDC."""

    where: str
    folder: str
    name: str
    md5: str
    size: int


@dataclass(frozen=True)
class Download:
    """One slide, on the disk or in a manifest or both. `partial`: bytes of an unfinished download."""

    barcode: Barcode
    file: Path | None
    partial: int | None
    expected: Expected | None

    @property
    def fault(self) -> str | None:
        """Why the file cannot be used, from its size alone; None when it can."""
        of = f" of {self.expected.size}" if self.expected else ""
        where = f" ({self.expected.where})" if self.expected else ""
        if self.file is None:
            if self.partial is not None:
                return f"the download is partial: {self.partial}{of} bytes{where}"
            name = self.expected.name if self.expected else self.barcode.text
            return f"the slide file {name} is not there{where}"
        size = self.file.stat().st_size
        if self.expected is not None and size != self.expected.size:
            return f"{self.file.name} has {size}{of} bytes{where}: the download is partial or another file"
        return None

    def damage(self) -> str | None:
        """What is wrong with the bytes: reads all of them and compares the checksum. None when nothing is."""
        if self.file is None or self.expected is None:
            return None
        digest = hashlib.md5(usedforsecurity=False)
        with self.file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
        if digest.hexdigest() == self.expected.md5:
            return None
        return f"{self.file.name} has MD5 {digest.hexdigest()}, expected {self.expected.md5} ({self.expected.where})"


def read_downloads(root: Path) -> tuple[dict[str, Download], tuple[Path, ...]]:
    """Every slide of the folder and its manifests by barcode, and the manifests.

    Slides are found by name in any folder (`<uuid>/<barcode>.<uuid>.svs`, or all in one). Raises `DataError` when
    one is there twice, or a manifest cannot be read.
    """
    files: dict[str, Path] = {}
    partial: dict[str, int] = {}
    barcodes: dict[str, Barcode] = {}
    for file in walk(root):
        code = slide_barcode(file.name)
        if code is None:
            continue
        if file.name.lower().endswith(SUFFIX + PARTIAL):
            partial[code.text] = file.stat().st_size
        elif file.suffix.lower() == SUFFIX:
            keep_one(files, code.text, file)
        else:
            continue
        barcodes[code.text] = code
    manifests = tuple(sorted(root.glob(MANIFESTS)))
    expected: dict[str, Expected] = {}
    for path in manifests:
        for name, entry in _read_manifest(path).items():
            other = expected.setdefault(name, entry)
            if (other.md5, other.size) != (entry.md5, entry.size):
                msg = f"{entry.where}: {name} is another file than in {other.where}"
                raise DataError(msg, fix=f"keep the manifest in {root} that the slides were downloaded with")
    barcodes |= {name: code for name, entry in expected.items() if (code := slide_barcode(entry.name))}
    found = {
        name: Download(barcodes[name], files.get(name), partial.get(name), expected.get(name))
        for name in sorted(barcodes)
    }
    return found, manifests


def _read_manifest(path: Path) -> Mapping[str, Expected]:
    """Barcode → what is expected; files that are no slides are passed over."""
    fix = f"download {path.name} again from the GDC portal: cart, Download Cart, Manifest"
    expected: dict[str, Expected] = {}
    for row in read_table(path, COLUMNS[:4], delimiter="\t", fix=fix).rows:
        code = slide_barcode(row["filename"])
        if code is None or not row["filename"].lower().endswith(SUFFIX):
            continue
        if not row["size"].isdigit() or not _is_md5(row["md5"]):
            msg = f"{row.where}: size {row['size']!r} and md5 {row['md5']!r}; expected bytes and 32 hexadecimal digits"
            raise DataError(msg, fix=fix)
        expected[code.text] = _expected(row)
    return expected


def _expected(row: Row) -> Expected:
    return Expected(row.where, row["id"], row["filename"], row["md5"].lower(), int(row["size"]))


def _is_md5(text: str) -> bool:
    return len(text) == 32 and all(digit in "0123456789abcdef" for digit in text.lower())
