"""A folder filled by the GDC: barcodes, slides as gdc-client leaves them, and its manifests. Nothing is decoded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import DataError

from ..tables import Row, read_table
from .cases import Index, keep_one, walk

MANIFESTS = "gdc_manifest*.txt"
COLUMNS = ("id", "filename", "md5", "size", "state")
SUFFIX, PARTIAL = ".svs", ".partial"
CHUNK = 1 << 22

PATIENT = 12
"""Characters of a barcode that name the patient: TCGA-05-4244."""

_PATIENT = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])")
_SLIDE = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}-(\d{2})[A-Z]-\d{2}-(DX|TS|BS|MS)[A-Z0-9]*")

NORMAL_FROM = 10
"""Sample types from here on are normal tissue and controls, below are tumours. Source: GDC, sample type codes."""


@dataclass(frozen=True)
class Barcode:
    """The barcode of a slide. `diagnostic`: cut from fixed tissue (DX); the others are frozen sections."""

    text: str
    diagnostic: bool
    tumour: bool

    @property
    def patient(self) -> str:
        """The first 12 characters."""
        return self.text[:PATIENT]


def slide_barcode(name: str) -> Barcode | None:
    """The barcode of a slide file, `TCGA-05-4244-01Z-00-DX1.<uuid>.svs`; None for another name."""
    text = name.split(".")[0].upper()
    match = _SLIDE.fullmatch(text)
    return Barcode(text, match[2] == "DX", int(match[1]) < NORMAL_FROM) if match else None


def patient_of(text: str) -> str | None:
    """The patient of any barcode, whether it names a patient, a sample or a slide; None for another text."""
    match = _PATIENT.match(text.strip().upper())
    return match[0] if match else None


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
            return f"the slide file {name} does not exist{where}"
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


@dataclass(frozen=True)
class Downloads(Index):
    """A folder with `downloads`: every slide in it or in a manifest, by barcode. `tables`: the manifests."""

    downloads: Mapping[str, Download] = field(default_factory=dict)


def read_downloads(root: Path) -> Downloads:
    """Every slide of the folder and of its manifests, not yet as cases.

    Slides are found by name in any folder (`<uuid>/<barcode>.<uuid>.svs`, or all in one). Raises `DataError` when
    one appears twice, or a manifest cannot be read.
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
    notes: list[str] = []
    for path in manifests:
        entries, remarks = _read_manifest(path)
        notes += remarks
        for name, entry in entries.items():
            other = expected.setdefault(name, entry)
            if (other.md5, other.size) != (entry.md5, entry.size):
                msg = f"{entry.where}: {name} is another file than in {other.where}"
                raise DataError(msg, fix=f"keep the manifest in {root} that the slides were downloaded with")
    barcodes |= {name: code for name, entry in expected.items() if (code := slide_barcode(entry.name))}
    downloads = {
        name: Download(barcodes[name], files.get(name), partial.get(name), expected.get(name))
        for name in sorted(barcodes)
    }
    return Downloads(root, (), manifests, tuple(notes), downloads)


def _read_manifest(path: Path) -> tuple[Mapping[str, Expected], tuple[str, ...]]:
    """Barcode → what is expected, and notes; files that are no slides are ignored."""
    fix = f"download {path.name} again from the GDC portal: cart, Download Cart, Manifest"
    expected: dict[str, Expected] = {}
    table = read_table(path, COLUMNS[:4], fix=fix)
    for row in table.rows:
        code = slide_barcode(row["filename"])
        if code is None or not row["filename"].lower().endswith(SUFFIX):
            continue
        if not row["size"].isdigit() or not _is_md5(row["md5"]):
            msg = f"{row.where}: size {row['size']!r} and md5 {row['md5']!r}; expected bytes and 32 hexadecimal digits"
            raise DataError(msg, fix=fix)
        expected[code.text] = _expected(row)
    return expected, table.notes


def _expected(row: Row) -> Expected:
    return Expected(row.where, row["id"], row["filename"], row["md5"].lower(), int(row["size"]))


def _is_md5(text: str) -> bool:
    return len(text) == 32 and all(digit in "0123456789abcdef" for digit in text.lower())
