from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import DataError
from benchmark.file_names import LONGEST, file_name, id_file, id_of


@given(st.text(min_size=1, max_size=40))
def test_every_id_names_one_file_in_its_folder_and_is_read_back(identifier):
    try:
        name = file_name(identifier, ".png")
    except DataError:
        assert any("\ud800" <= letter <= "\udfff" for letter in identifier) or len(identifier.encode()) * 3 > LONGEST
        return
    assert Path("folder", name).parent == Path("folder") and name not in (".", "..")
    assert not set('/\\:*?"<>|%#\0\x1b') & set(name)
    assert id_of(name, ".png") == identifier


@pytest.mark.parametrize(
    ("identifier", "name"),
    [("train_1", "train_1"), ("/abs/victim", "=2Fabs=2Fvictim"), ("../../up", "=2E.=2F..=2Fup"), ("a=b", "a=3Db")],
)
def test_paths_are_written_out(identifier, name):
    assert file_name(identifier) == name
    assert id_file(Path("x"), identifier, ".png") == Path("x") / f"{name}.png"


@pytest.mark.parametrize("identifier", ["", "x" * 400, "a/" * 80, "\ud800"])
def test_ids_that_cannot_name_a_file_are_refused(identifier):
    with pytest.raises(DataError, match="cannot name a file"):
        file_name(identifier)
