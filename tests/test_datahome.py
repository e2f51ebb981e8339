"""Where data is looked for."""

from pathlib import Path

import pytest

from benchmark import cachehome, datahome
from benchmark.errors import DataError


def folder(*parts):
    path = Path(*parts)
    path.mkdir(parents=True)
    (path / "Grade.csv").write_text("x")
    return path


def test_the_order_is_option_variable_current_folder(tmp_path, monkeypatch):
    option, variable, here = folder("a"), folder("b", "glas"), folder("data", "glas")
    assert datahome.find_root("glas") == here.resolve()
    monkeypatch.setenv("BENCH_DATA", "b")
    assert datahome.find_root("glas") == variable.resolve()
    assert datahome.find_root("glas", "a") == option.resolve()
    assert datahome.find_root("glas").is_absolute()


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_root_or_a_folder_that_holds_it(way, monkeypatch):
    root = folder("sets", "glas")
    for given in ("sets", "sets/glas"):
        if way == "variable":
            monkeypatch.setenv("BENCH_DATA", given)
        assert datahome.find_root("glas", given if way == "option" else None) == root.resolve()


def test_a_folder_of_other_datasets_is_not_taken_for_this_one(distribution, monkeypatch):
    distribution("more", datasets={"otherset": "nowhere:Other"})
    folder("sets", "otherset")
    here = folder("data", "glas")
    monkeypatch.setenv("BENCH_DATA", "sets")
    assert datahome.find_root("glas") == here.resolve()
    with pytest.raises(DataError, match="sets – holds otherset but no glas"):
        datahome.find_root("glas", "sets")


def test_the_error_lists_every_place(tmp_path, monkeypatch):
    with pytest.raises(DataError) as caught:
        datahome.find_root("glas")
    assert "./data: data/glas – does not exist" in caught.value.what and "BENCH_DATA: not set" in caught.value.what
    assert "bench data info glas" in caught.value.fix and "bench data synth glas --out" in caught.value.fix
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_DATA", "empty")
    with pytest.raises(DataError, match="BENCH_DATA: empty – is empty"):
        datahome.find_root("glas")
    with pytest.raises(DataError, match="--data: file – is not a folder"):
        datahome.find_root("glas", "file")


def test_an_explicit_root_is_never_replaced_by_another():
    folder("data", "glas")
    with pytest.raises(DataError, match="--data: elsewhere"):
        datahome.find_root("glas", "elsewhere")


def test_cache_home(tmp_path, monkeypatch):
    assert cachehome.cache_home() == tmp_path / "cache"
    monkeypatch.delenv("BENCH_CACHE")
    assert cachehome.cache_home().name == "histobench"
