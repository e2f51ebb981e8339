"""The one reader of tables: what spreadsheets write is read right, or refused with the place in the file."""

from __future__ import annotations

import codecs
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.datasets.tables import number, read_table, whole_number, write_table
from benchmark.errors import DataError

TEXT = "slide,patient,label\na.svs,007,normal\nb.svs,Müller,tumor\n"
ROWS = [
    {"slide": "a.svs", "patient": "007", "label": "normal"},
    {"slide": "b.svs", "patient": "Müller", "label": "tumor"},
]
NEEDS = ("slide", "patient", "label")


def read(folder: Path, content: str | bytes, name: str = "table.csv"):
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(folder / name, NEEDS, fix="write it again")


def cells(table) -> list[dict[str, str]]:
    return [dict(row.cells) for row in table.rows]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (TEXT, "UTF-8, separated by commas"),
        (TEXT.replace(",", ";"), "UTF-8, separated by semicolons"),
        (TEXT.replace(",", "\t"), "UTF-8, separated by tabs"),
        (TEXT.replace(",", "|"), "UTF-8, separated by bars"),
        ("sep=;\n" + TEXT.replace(",", ";"), "UTF-8, separated by semicolons"),
        (codecs.BOM_UTF8 + TEXT.encode(), "UTF-8 with byte order mark, separated by commas"),
        (TEXT.encode("utf-16"), "UTF-16 with byte order mark, separated by commas"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "UTF-16 with byte order mark, separated by commas"),
        (TEXT.encode("utf-16-le"), "UTF-16, separated by commas"),
        (TEXT.encode("utf-16-be"), "UTF-16, separated by commas"),
        (TEXT.encode("utf-32"), "UTF-32 with byte order mark, separated by commas"),
        (TEXT.encode("cp1252"), "Windows-1252, separated by commas"),
        (TEXT.replace("\n", "\r\n"), "UTF-8, separated by commas"),
        (TEXT.replace("\n", "\r"), "UTF-8, separated by commas"),
        (TEXT.replace("slide,patient,label", " Slide , PATIENT,\u00a0Label\u200b"), "UTF-8, separated by commas"),
        (TEXT.replace("a.svs", '"a.svs"').replace(",007", ', "007"'), "UTF-8, separated by commas"),
        (TEXT.replace("\n", ",,\n") + ",,,,\n\n", "UTF-8, separated by commas"),
        (TEXT.replace("Müller", "Mu\u0308ller"), "UTF-8, separated by commas"),
    ],
)
def test_what_programs_write_is_read_alike_and_told(tmp_path: Path, content: str | bytes, form: str) -> None:
    table = read(tmp_path, content)
    assert cells(table) == ROWS and table.form == form and table.columns == NEEDS


def test_parquet_is_read_alike(tmp_path: Path) -> None:
    frame = pd.DataFrame({**{name: [row[name] for row in ROWS] for name in NEEDS}, "mpp": [0.5, None], "n": [1, None]})
    for index in (None, "slide"):
        (frame.set_index(index) if index else frame).to_parquet(tmp_path / "table.parquet")
        table = read_table(tmp_path / "table.parquet", NEEDS, fix="write it again")
        assert [{name: row[name] for name in NEEDS} for row in table.rows] == ROWS and table.form == "Parquet"
        assert [(row["mpp"], row["n"]) for row in table.rows] == [("0.5", "1"), ("", "")]
        assert table.rows[1].where == "table.parquet, row 2"
    frame.assign(mpp=[[1], [2]]).to_parquet(tmp_path / "table.parquet")
    with pytest.raises(DataError, match=r"table\.parquet, row 1, column mpp: a list; expected text"):
        read_table(tmp_path / "table.parquet", NEEDS, fix="write it again")


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    content = 'sep=,\n\nslide,patient,label,comment\n\na,1,x,"two\nlines, and\r\nmore"\n,,,\nb,2,y,\n'
    table = read(tmp_path, content)
    assert [row.where for row in table.rows] == ["table.csv, line 5", "table.csv, line 9"]
    assert list(table.frame.index) == [5, 9] and table.frame["comment"].tolist() == ["two\nlines, and\nmore", ""]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (TEXT.encode("cp1252"), "table.csv: it is not UTF-8 and is read as Windows-1252, such as 'Müller' in line 3"),
        (
            TEXT.replace("a.svs", "a.svs\u200b"),
            "invisible characters are removed from 1 cells, the first: line 2, column",
        ),
        (TEXT.replace("\n", "\n\n", 2), "2 empty rows are ignored"),
        (",slide,patient,label\n0,a.svs,1,normal\n", "column 1 has no name and is ignored"),
    ],
)
def test_what_is_mended_or_passed_over_is_noted(tmp_path: Path, content: str | bytes, note: str) -> None:
    assert any(note in told for told in read(tmp_path, content).notes)
    assert not read(tmp_path, TEXT).notes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"table\.csv is empty; expected the columns slide, patient, label"),
        (b"\n ,\n", "is empty"),
        (b"slide,patient,label\n,,\n", "has a header and no rows"),
        (
            b"slide,label\na,b\n",
            r"has no column patient; its columns are: slide, label \(table\.csv, line 1; read as UTF-8",
        ),
        (b"slide,patient,label, LABEL\na,b,c,d\n", "the column label appears twice, as columns 3 and 4"),
        (b"slide,patient,label\na,b,c\nd,e\n", "line 3: 2 cells, but the header has 3; column label is lacking"),
        (
            b"slide,patient,label\na,b,c\n\nd,e,f,,g\n",
            "line 4: 5 cells, but the header has 3; 'g' in column 5 is beyond it",
        ),
        (b'slide,patient,label\n\n"a,b,c\nd,e,f\n', "line 3: a quotation mark is not closed"),
        (b'slide,patient,label\na,b,c\n"d"x,e,f\ng,h,i\n', "line 3: ',' expected after '\"'"),
        (b'slide,patient,label\n"a,b,c\nd,e",f,g\n', "line 2, column slide: the cell goes on in the next line"),
        (b"PK\x03\x04 whatever", "a workbook of a spreadsheet program, not text"),
        (b"slide,patient,label\na\0b,\0c\0d", "NUL|UTF-16"),
        (b"slide,patient,label\na,b,\x81\n", "not UTF-8 or Windows-1252 text: byte 24"),
        (codecs.BOM_UTF16_LE + b"a", "it is not UTF-16 text"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        read(tmp_path, content)
    assert refused.value.fix and "table.csv" in str(refused.value)


def test_a_folder_or_an_absent_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError, match="cannot be read as a table: (Is a directory|No such file)"):
            read_table(path, NEEDS, fix="write it again")


def test_a_table_without_header_may_have_rows_of_any_length(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("a;1;x\nb\n\nc;2;y;z\n")
    table = read_table(tmp_path / "list.csv", ("name", "kind"), header=False, fix="write it again")
    assert [(row.where, row["name"], row["kind"]) for row in table.rows] == [
        ("list.csv, line 1", "a", "1"),
        ("list.csv, line 2", "b", ""),
        ("list.csv, line 4", "c", "2"),
    ]


def test_numbers_of_spreadsheets() -> None:
    assert [number(text) for text in ("0.25", "0,25", " 1e-1", "1.234,5", "1,2,3", "x", "")] == [
        *(0.25, 0.25, 0.1),
        *[None] * 4,
    ]
    assert [whole_number(text) for text in ("17.0", "17,00", "007.0", "17", "17.5", "x.0")] == [
        *("17", "17", "007"),
        *[None] * 3,
    ]


PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)


@settings(max_examples=30)
@given(st.lists(st.tuples(PLAIN, PLAIN, PLAIN), min_size=1, max_size=5), st.sampled_from([",", ";", "\t"]))
def test_what_is_written_is_read_again(tmp_path_factory, rows, separator) -> None:
    import unicodedata

    path = tmp_path_factory.mktemp("tables") / "table.csv"
    write_table(path, NEEDS, rows, separator=separator)
    written = [tuple(unicodedata.normalize("NFC", cell) for cell in row) for row in rows]
    assert [tuple(row.cells.values()) for row in read_table(path, NEEDS, fix="").rows] == written
