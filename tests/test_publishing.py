"""A published board: the same figures from the folder as from the store; what was tampered with is refused."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyarrow import parquet
from test_leaderboard import stored
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.config import RunRequest
from benchmark.errors import BenchError, ConfigError, DataError
from benchmark.metrics.catalogue import SCHEMA
from benchmark.notebook import read_leaderboard
from benchmark.publishing import board_writing
from benchmark.publishing.board_reading import read_board, read_boards
from benchmark.registry import datasets
from benchmark.reporting.leaderboard import leaderboard_tables as show
from benchmark.reporting.leaderboard.build_boards import Filters
from benchmark.reporting.leaderboard.leaderboard_frame import as_csv
from benchmark.running.matrix import run_all
from benchmark.tracking.store import Tracker

FILES = ("manifest.json", "numbers.parquet", "runs.json", "slides.parquet", "units.parquet")


def bench(*words):
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def lab(tmp_path_factory, empty_tables):
    """The store of a laboratory with two seeds of two constants and a refiner, and the folder it published."""
    home = tmp_path_factory.mktemp("lab")
    address = f"sqlite:///{home / 'mlflow.db'}"
    Tracker(address, cache=empty_tables).connect()
    datasets().load("glas").synthesize(home / "glas", slides=24, seed=7)  # enough test slides for a test
    usual = {"dataset": "glas", "data": str(home / "glas"), "device": "cpu", "preset": "smoke", "jobs": 0}
    usual |= {"store": address, "cache": home / "cache"}
    assert run_all(RunRequest(method="constant,constant:value=0", seeds=(0, 1), **usual)) == 0
    assert run_all(RunRequest(method="coarse", **usual)) == 0
    done = bench("publish", str(home / "ours"), "--store", address)
    assert done.exit_code == 0, done.output
    return address, home / "ours", done.output


@pytest.fixture
def copy(lab, tmp_path):
    """A copy of the folder, to be tampered with."""
    return Path(shutil.copytree(lab[1], tmp_path / "theirs"))


def seal(folder, **changes):
    """Write the manifest anew, so that it agrees with the files as they are now."""
    manifest = json.loads((folder / "manifest.json").read_text()) | changes
    for part in manifest["files"]:
        content = (folder / part["path"]).read_bytes()
        part |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def board_of(tracker, folders=(), marked=""):
    """The leaderboard as JSON and CSV, without what says where it comes from."""
    found = read_leaderboard(tracker, Filters(), folders=folders)
    text = show.as_json(found).replace(marked, "") if marked else show.as_json(found)
    content = json.loads(text)
    for board in content["boards"]:
        for row in board["rows"]:
            row.pop("published_in")
    content.pop("store")
    lines = [line.rpartition(",")[0] for line in as_csv(found, Filters()).splitlines()]
    return content, lines


def test_the_folder_alone_gives_the_leaderboard_of_the_store(lab):
    address, folder, _ = lab
    ours, lines = board_of(Tracker(address))
    again, lines_again = board_of(None, read_boards([folder]), marked=" (from ours)")
    assert again == ours and lines_again == lines
    (board,) = ours["boards"]
    assert len(board["rows"]) == 3 and {test["metric"] for test in board["tests"]} == {"image/auc", "pixel/miou"}
    assert any(test["p"] is not None for test in board["tests"]), "ranks rest on tests per slide"
    assert any(row["seeds"] == [0, 1] for row in board["rows"])


def test_the_same_store_gives_the_same_bits_and_nothing_of_the_machine(lab, tmp_path):
    address, folder, said = lab
    done = bench("publish", str(tmp_path / "again"), "--store", address)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert digest in said and digest in done.output and "5 runs" in said and "patients" in said
    runs = json.loads((folder / "runs.json").read_text())
    assert str(folder.parent) not in (folder / "runs.json").read_text()
    assert not {"host", "pid", "alive", "data", "numbers"} & {name for run in runs for name in run["tags"]}
    assert {run["settings"]["value"] for run in runs if run["tags"]["method"] == "constant"} == {"0.0", "1.0"}


def test_published_rows_stand_marked_beside_ones_own(lab, store):
    address, folder, _ = lab
    usual = {"dataset": "glas", "data": str(folder.parent / "glas"), "preset": "smoke", "jobs": 0, "store": store}
    assert run_all(RunRequest(method="constant", seeds=(0,), **usual)) == 0
    done = bench("leaderboard", "--store", store, "--from", str(folder), "--format", "json")
    content = json.loads(done.output)
    (board,) = content["boards"]
    rows = {row["label"]: (row["published_in"], row["seeds"]) for row in board["rows"]}
    assert rows["constant smoke"] == ("", [0]) and rows["constant smoke (from ours)"] == ("ours", [0, 1])
    assert content["store"].endswith(f"mlflow.db, {folder}")
    assert "constant smoke (from ours)" in bench("leaderboard", "--store", store, "--from", str(folder)).output
    mine = json.loads(bench("leaderboard", "--store", address, "--from", str(folder), "--format", "json").output)
    assert {row["published_in"] for row in mine["boards"][0]["rows"]} == {""}, "runs that the store has count once"


def test_a_folder_is_ranked_where_there_is_no_store_and_named_in_full_where_two_have_one_name(lab, copy, tmp_path):
    _, folder, _ = lab
    alone = bench("leaderboard", "--from", str(folder), "--format", "csv")
    assert alone.exit_code == 0 and not (tmp_path / "mlflow.db").exists()
    other = Path(shutil.copytree(copy, tmp_path / "elsewhere" / "ours"))
    assert [board.origin for board in read_boards([folder, folder, other])] == [str(folder), str(other)]


def doubled(folder, file):
    table = parquet.read_table(folder / file)
    parquet.write_table(pa.concat_tables([table, table.slice(1, 1)]), folder / file)


def with_column(folder, file, name, change):
    table = parquet.read_table(folder / file)
    place = table.column_names.index(name)
    parquet.write_table(table.set_column(place, name, change(table[name])), folder / file)


def edit_runs(folder, change):
    runs = json.loads((folder / "runs.json").read_text())
    change(runs)
    (folder / "runs.json").write_text(json.dumps(runs))


def edit_manifest(folder, change):
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def first(values, kind, value):
    return pa.array([value, *values.to_pylist()[1:]], kind)


SEALED = {
    "slides twice": (lambda f: doubled(f, "slides.parquet"), "slides.parquet has slide 'testA_.*' of run .* 2 times"),
    "units twice": (lambda f: doubled(f, "units.parquet"), "units.parquet has slide .*, unit 1 of run"),
    "a run twice": (lambda f: edit_runs(f, lambda runs: runs.append(runs[0])), "runs.json has the run .* twice"),
    "rows of an unknown run": (
        lambda f: with_column(f, "numbers.parquet", "run", lambda c: first(c, pa.string(), "../../etc")),
        "numbers.parquet has rows of a run '../../etc' that runs.json does not name",
    ),
    "a number that is none": (
        lambda f: with_column(f, "numbers.parquet", "value", lambda c: first(c, pa.float64(), float("nan"))),
        "not finite",
    ),
    "a number that overflows": (
        lambda f: with_column(f, "slides.parquet", "pixel/miou", lambda c: first(c, pa.float64(), 1e308)),
        "beyond",
    ),
    "another type": (
        lambda f: with_column(f, "units.parquet", "unit", lambda c: c.cast(pa.string())),
        "units.parquet has string in the column 'unit', expected int64",
    ),
    "no column": (
        lambda f: parquet.write_table(
            parquet.read_table(f / "slides.parquet").drop_columns(["slide"]), f / "slides.parquet"
        ),
        "slides.parquet has no column 'slide'",
    ),
    "no Parquet": (lambda f: (f / "units.parquet").write_bytes(b"PAR1 nothing"), "units.parquet is not a Parquet file"),
    "an id that is a path": (
        lambda f: edit_runs(f, lambda runs: runs[0].update(id="../../../etc/passwd")),
        "runs.json is not of this form: 0.id",
    ),
    "escape sequences": (
        lambda f: edit_runs(f, lambda runs: runs[0]["tags"].update(method="\x1b[2Joeem")),
        "runs.json is not of this form: 0.tags.method: .*control characters",
    ),
    "half a character": (
        lambda f: edit_runs(f, lambda runs: runs[0].update(name="\ud800")),
        "runs.json is not of this form: 0.name",
    ),
    "a run without board": (
        lambda f: edit_runs(f, lambda runs: runs[0]["tags"].pop("board")),
        "the run .* has no tag 'board'",
    ),
    "a run of another schema": (
        lambda f: edit_runs(f, lambda runs: runs[0]["tags"].update(metrics_schema="0")),
        "another metric schema than manifest.json says",
    ),
    "a seed of many digits": (
        lambda f: edit_runs(f, lambda runs: runs[0]["tags"].update(seed="9" * 5000)),
        "expected a number",
    ),
    "an object for a list": (lambda f: (f / "runs.json").write_text("{}"), "runs.json is not of this form: the whole"),
    "deep nesting": (lambda f: (f / "runs.json").write_text("[" * 100_000), "runs.json is nested too deeply"),
    "names twice": (
        lambda f: (f / "runs.json").write_text('[{"id": "a", "id": "b"}]'),
        "runs.json .*the name 'id' comes twice",
    ),
    "not UTF-8": (lambda f: (f / "runs.json").write_bytes(b'["\xff"]'), "runs.json is not JSON"),
    "a huge number": (lambda f: (f / "runs.json").write_text("1" * 5000), "runs.json is not JSON"),
}
"""What was done to a file before the manifest was written anew → what is said of it."""


@pytest.mark.parametrize("what", SEALED)
def test_a_board_that_is_not_of_the_form_is_refused(what, copy):
    tamper, told = SEALED[what]
    tamper(copy)
    seal(copy)
    with pytest.raises(DataError, match=told) as refused:
        read_board(copy)
    assert str(copy) in str(refused.value)


def test_a_board_of_another_metric_schema_is_read_alone_and_says_so(copy):
    edit_manifest(copy, lambda manifest: manifest.update(metrics_schema="0-abc"))
    edit_runs(copy, lambda runs: [run["tags"].update(metrics_schema="0-abc") for run in runs])
    seal(copy)
    with pytest.raises(DataError, match="measured by the metric schema 0-abc"):
        read_boards([copy])
    found = read_leaderboard(None, Filters(), folders=read_boards([copy], alone=True))
    assert found.boards and all("measured by the metric schema 0-abc" in board.notes[-1] for board in found.boards)


TAMPERED = {
    "another metric schema": (
        lambda f: edit_manifest(f, lambda m: m.update(metrics_schema="0-abc")),
        "measured by the metric schema 0-abc, this version",
    ),
    "a later form": (lambda f: edit_manifest(f, lambda m: m.update(version=2)), "version 2 of the form, expected 1"),
    "a path outside": (
        lambda f: edit_manifest(f, lambda m: m["files"][0].update(path="../secret.json")),
        "lists '../secret.json', which is a path",
    ),
    "an absolute path": (
        lambda f: edit_manifest(f, lambda m: m["files"][0].update(path="/etc/passwd")),
        "lists '/etc/passwd', which is a path",
    ),
    "an unknown file": (
        lambda f: edit_manifest(f, lambda m: m["files"][0].update(path="more.json")),
        "lists 'more.json', which the form does not know",
    ),
    "a file listed twice": (
        lambda f: edit_manifest(f, lambda m: m["files"].append(m["files"][0])),
        "lists runs.json 2 times",
    ),
    "a file not listed": (lambda f: edit_manifest(f, lambda m: m["files"].pop()), "lists units.parquet 0 times"),
    "a field too many": (lambda f: edit_manifest(f, lambda m: m.update(more=1)), "manifest.json .*more: "),
    "NaN": (lambda f: (f / "manifest.json").write_text('{"version": NaN}'), "NaN is no number of JSON"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "is not a published board: it has no manifest.json"),
    **{
        f"{name} is missing": (lambda f, name=name: (f / name).unlink(), f"{name} is missing")
        for name in FILES
        if name != "manifest.json"
    },
    **{
        f"a byte more in {name}": (
            lambda f, name=name: (f / name).write_bytes((f / name).read_bytes() + b" "),
            f"{name} was altered",
        )
        for name in FILES
        if name != "manifest.json"
    },
    "a digit changed": (
        lambda f: (f / "runs.json").write_text((f / "runs.json").read_text().replace('"seed": "1"', '"seed": "2"')),
        "runs.json was altered: its SHA-256",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_an_altered_board_is_refused_by_the_name_of_the_file(what, copy):
    tamper, told = TAMPERED[what]
    tamper(copy)
    refused = bench("leaderboard", "--from", str(copy))
    assert isinstance(refused.exception, BenchError) and refused.exception.fix
    assert re.search(told, str(refused.exception)), refused.exception


def test_a_link_in_the_folder_is_not_followed(copy, tmp_path):
    (copy / "runs.json").replace(tmp_path / "runs.json")
    (copy / "runs.json").symlink_to(tmp_path / "runs.json")
    with pytest.raises(DataError, match=r"runs\.json is a link"):
        read_board(copy)


def test_what_is_no_folder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, told in (("empty", "is not a published board"), ("file", "not a folder"), ("none", "not a folder")):
        with pytest.raises(DataError, match=told):
            read_board(tmp_path / name)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_publishing_overwrites_nothing_it_did_not_write(lab, copy, tmp_path):
    address, folder, _ = lab
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "manifest.json").write_text('{"form": "something else"}')
    (tmp_path / "file").write_text("mine")
    more = Path(shutil.copytree(copy, tmp_path / "more"))
    (more / "notes.txt").write_text("mine")
    for out, told in (
        (mine, "its manifest.json is not one of bench publish"),
        (more, "it holds notes.txt"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "below", "cannot write"),
    ):
        before = contents(out) if out.is_dir() else None
        refused = bench("publish", str(out), "--store", address, "--force")
        assert isinstance(refused.exception, ConfigError) and told in str(refused.exception), refused.exception
        assert before is None or contents(out) == before
    assert (tmp_path / "file").read_text() == "mine"
    again = bench("publish", str(copy), "--store", address, "--method", "coarse")
    assert "holds a published board" in str(again.exception) and contents(copy) == contents(folder)
    done = bench("publish", str(copy), "--store", address, "--method", "coarse", "--force")
    assert done.exit_code == 0 and len(read_board(copy).records) == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".theirs")]


def test_what_fails_half_way_leaves_nothing(lab, copy, tmp_path, monkeypatch):
    def fail(folder):
        assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
        raise DataError("spoilt")

    before = contents(copy)
    monkeypatch.setattr(board_writing, "require_form", fail)
    for out in (tmp_path / "new", copy):
        assert "spoilt" in str(bench("publish", str(out), "--store", lab[0], "--force").exception)
    assert not (tmp_path / "new").exists() and contents(copy) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".new", ".theirs"))] == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"tags": {"bench.reason": "line\nbreak"}}, "'a'.*reason.*control characters"),
        ({"metrics": {"net/loss": 3e18}}, r"'a': net/loss is 3e\+18, expected a number within ±1e\+18"),
        ({"metrics": {"net/loss": float("inf")}}, "'a': net/loss is inf"),
        ({"tags": {"bench.seed": "first"}}, "the seed of run"),
    ],
)
def test_the_publisher_is_told_which_run_is_not_of_the_form(tmp_path, changed, told):
    run = stored("a", 0.5, identity="i", metrics_schema=SCHEMA)
    run = replace(
        run, id="a" * 32, experiment="tiles", started=1, **{k: {**getattr(run, k), **v} for k, v in changed.items()}
    )
    with pytest.raises(DataError, match=told) as refused:
        board_writing.write_board(tmp_path / "out", [run], SimpleNamespace(fetch=lambda run, path: []))
    assert "leave" in refused.value.fix and "whoever" not in refused.value.fix


def test_options_that_leave_nothing_to_do_are_refused(lab, store, tmp_path):
    address, folder, _ = lab
    for words, told in (
        (["leaderboard", "--no-store"], "without --from"),
        (["leaderboard", "--no-store", "--from", str(folder), "--store", address], "--no-store goes with --from alone"),
        (["leaderboard", "--from", str(folder), "--store", f"sqlite:///{tmp_path}/no.db"], "no runs are stored yet"),
        (["publish", str(tmp_path / "new"), "--store", store], "no run is stored"),
        (["publish", str(tmp_path / "new"), "--store", address, "--method", "oeem"], "no run in"),
    ):
        refused = bench(*words)
        assert isinstance(refused.exception, BenchError) and told in str(refused.exception), refused.exception
    assert not (tmp_path / "new").exists()


def test_runs_of_another_metric_schema_are_left_out_and_said_to_be(lab, tmp_path):
    address, _, _ = lab
    home = tmp_path / "old"
    shutil.copytree(Path(address.removeprefix("sqlite:///")).parent, home)
    tracker = Tracker(f"sqlite:///{home / 'mlflow.db'}")
    old = [run for run in tracker.stored() if run.tag("method") == "constant"]
    for run in old:
        again = tracker.reopen(run.id)
        again.set_tags({"bench.metrics_schema": "0-old"})
        again.finish()
    done = bench("publish", str(tmp_path / "new"), "--store", tracker.uri)
    assert "4 runs measured by other metric schemas were left out" in done.output
    assert [run.tags["method"] for run in read_board(tmp_path / "new").records] == ["coarse"]
    none = bench("publish", str(tmp_path / "none"), "--store", tracker.uri, "--method", "constant")
    assert isinstance(none.exception, ConfigError) and "other metric schemas" in str(none.exception)


def test_the_example_of_the_page_runs(lab, copy, repository, tmp_path, monkeypatch, capsys):
    """docs/published-boards.md, on a folder `ours`."""
    monkeypatch.chdir(lab[1].parent)
    text = (repository / "docs" / "published-boards.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "published-boards.md", "exec"), names)
    means = names["means"]
    for method, values in means.groupby("method")["pixel/miou"]:
        assert 0 <= values.min() <= values.max() <= 1, method
    assert set(means["method"]) == {"constant", "coarse"} and "coarse" in capsys.readouterr().out
    cells = re.findall(r"^\| ([^|]*`[^|]*)\|", text, re.MULTILINE)
    told = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    runs = json.loads((copy / "runs.json").read_text())
    used = {name for run in runs for name in run["tags"]} | set(runs[0])
    used |= set(json.loads((copy / "manifest.json").read_text()))
    assert used <= told, f"the page does not explain {sorted(used - told)}"
