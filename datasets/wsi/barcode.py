"""TCGA barcodes: what the name of a slide says."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
