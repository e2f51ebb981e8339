"""The table of mutations: patient → whether a gene is mutated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError

from ..tables import Row, Table, read_table, refuse_rows, whole_number
from .tcga_files import patient_of

TABLE = "labels.csv"
GENES = ("EGFR", "KRAS", "STK11", "TP53")

WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("0", "wildtype", "wild type", "wild-type", "wt"), False),
    **dict.fromkeys(("1", "mutated", "mutant", "mut"), True),
    **dict.fromkeys(("", "na", "nan", "n/a", "not profiled"), None),
}
"""Cell → mutated or not; None where the gene was not profiled."""

FIX = "columns patient,EGFR,KRAS,STK11,TP53 with 0 or 1; bench data info tcga-luad tells where the mutations are"


@dataclass(frozen=True)
class Mutations:
    """`mutated`: patient → whether the gene is, for patients with a label. `notes`: see `tables.Table`."""

    mutated: Mapping[str, bool]
    notes: tuple[str, ...]


def read_mutations(path: Path, gene: str) -> Mutations:
    """Read the column of a gene. The key column is `patient` or `slide`, any barcode in it.

    Raises `DataError` when the table does not exist, has no such column, a cell that is no label, a key that is no
    barcode, or rows of one patient that contradict each other.
    """
    if not path.is_file():
        msg = f"the label table {path} does not exist; the slides alone do not say whether {gene} is mutated"
        raise DataError(msg, fix=f"write {TABLE}: {FIX}")
    table = read_table(path, (gene,), fix=FIX)
    key = next((column for column in ("patient", "slide") if column in table.columns), None)
    if key is None:
        msg = f"{path} has no column patient or slide; its columns are: {', '.join(table.columns)}"
        raise DataError(msg, fix=FIX)
    return Mutations(_mutated(table, key, gene), table.notes)


def _mutated(table: Table, key: str, gene: str) -> dict[str, bool]:
    edit, column = f"edit {table.path}", gene.lower()
    bad = [f"{row.where}: {row[key]!r} is not a TCGA barcode" for row in table.rows if patient_of(row[key]) is None]
    refuse_rows(bad, f"{edit}: barcodes such as TCGA-05-4244")
    odd = [f"{row.where}: {gene} is {row[column]!r}" for row in table.rows if _word(row[column]) not in WORDS]
    refuse_rows(odd, f"{edit}: expected 0 or wildtype, 1 or mutated, nothing where it is not known")
    known: dict[str, tuple[bool, Row]] = {}
    for row in table.rows:
        patient, mutated = patient_of(row[key]), WORDS[_word(row[column])]
        if patient is None or mutated is None:
            continue
        said, first = known.setdefault(patient, (mutated, row))
        if said is not mutated:
            msg = f"{row.where}: {gene} of {patient} contradicts {first.where}"
            raise DataError(msg, fix=f"{edit}: one answer per patient")
    return {patient: mutated for patient, (mutated, _) in known.items()}


def _word(cell: str) -> str:
    """In lower case; 1 for the 1.0 of a column that was once one of numbers."""
    return whole_number(cell) or cell.lower()
