"""Reading verbs only read: stores that cannot be written, journals of killed writers, and files that are no store."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmark.errors import TrackingError
from benchmark.stored import StoredRun
from benchmark.tracking.server import serve
from benchmark.tracking.store import DatasetInput, Tracker

NOBODY = 65534


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_tables: Path) -> tuple[Path, StoredRun]:
    """A store with one finished run."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    tracker = Tracker(f"sqlite:///{path}", cache=empty_tables)
    live = tracker.start(
        experiment="glas",
        description="",
        name="oeem",
        params={"V": 4},
        tags={"bench.identity": "i"},
        dataset=DatasetInput("glas", "/data", "d", {}),
    )
    live.log_metrics({"pixel/miou": 0.5})
    live.finish()
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path, tracker.find(live.id)


@pytest.fixture
def unwritable(made: tuple[Path, StoredRun]) -> Iterator[Path]:
    """A copy of the store in a folder that this process may read alone; root becomes nobody for the time."""
    with tempfile.TemporaryDirectory(prefix="bench-test-") as name:
        folder = Path(name) / "store"
        folder.mkdir()
        shutil.copyfile(made[0], folder / "mlflow.db")
        (folder / "mlflow.db").chmod(0o444)
        folder.chmod(0o555)
        Path(name).chmod(0o755)
        root = os.geteuid() == 0
        if root:
            os.seteuid(NOBODY)
        try:
            yield folder / "mlflow.db"
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_store_that_cannot_be_written_is_read(unwritable: Path, made: tuple[Path, StoredRun]) -> None:
    assert not os.access(unwritable.parent, os.W_OK, effective_ids=True)
    assert unwritable.read_bytes()[18] == 2, "a store in WAL mode is the hard case"
    tracker = Tracker(f"sqlite:///{unwritable}")
    (run,) = tracker.stored()
    assert run.metrics == {"pixel/miou": 0.5}
    whole = tracker.find(run.id[:6])
    assert whole == made[1] and whole.params == {"V": "4"}
    assert [path.name for path in unwritable.parent.iterdir()] == ["mlflow.db"]
    with pytest.raises(TrackingError, match="has no run 'ffff'; newest: "):
        tracker.find("ffff")


def _garbage_journal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA journal_mode = DELETE")
    path.with_name(f"{path.name}-journal").write_bytes(b"garbage" * 1000)


def _garbage_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").write_bytes(b"garbage" * 1000)


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")


@pytest.mark.parametrize("spoil", [_garbage_journal, _garbage_log, _newer])
def test_journals_of_killed_writers_and_newer_tables_do_not_keep_a_store_from_being_read(
    made: tuple[Path, StoredRun], tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    path = tmp_path / "copy.db"
    shutil.copyfile(made[0], path)
    spoil(path)
    before = path.read_bytes()
    tracker = Tracker(f"sqlite:///{path}")
    assert [run.id for run in tracker.stored()] == [made[1].id] and tracker.find(made[1].id) == made[1]
    assert path.read_bytes() == before


def _folder(path: Path) -> None:
    path.mkdir()


def _text(path: Path) -> None:
    path.write_text("a text " * 100)


def _cut(path: Path) -> None:
    path.write_bytes(path.with_name("mlflow.db").read_bytes()[:20_000])


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE patients (name)")


@pytest.mark.parametrize(
    ("make", "says", "writing"),
    [
        (_folder, "is a folder; expected the file of a database", True),
        (_text, "is not a database", True),
        (_cut, "malformed", True),
        (_foreign, r"another program's database: it has tables \(patients\)", True),
        (Path.touch, "no runs are stored yet: .* is empty", False),
    ],
)
def test_what_is_no_store_is_told_for_what_it_is_and_left_as_it_was(
    made: tuple[Path, StoredRun], tmp_path: Path, make: Callable[[Path], None], says: str, writing: bool
) -> None:
    shutil.copyfile(made[0], tmp_path / "mlflow.db")
    path = tmp_path / "other"
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    tracker = Tracker(f"sqlite:///{path}")
    calls: list[Callable[[], object]] = [tracker.stored, lambda: tracker.find("0123"), lambda: serve(tracker.uri)]
    for call in [*calls, tracker.connect] if writing else calls:
        with pytest.raises(TrackingError, match=says):
            call()
    assert before is None or path.read_bytes() == before


def test_writing_into_newer_tables_leads_to_a_newer_mlflow(made: tuple[Path, StoredRun], tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    shutil.copyfile(made[0], path)
    _newer(path)
    with pytest.raises(TrackingError, match="those of a newer MLflow") as caught:
        Tracker(f"sqlite:///{path}").connect()
    assert caught.value.fix == "pip install -U mlflow"


def test_a_withdrawn_run_is_no_longer_running(made: tuple[Path, StoredRun], tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    shutil.copyfile(made[0], path)
    tracker = Tracker(f"sqlite:///{path}")
    live = tracker.reopen(made[1].id)
    live.abandon()
    tracker.withdraw(live.id)
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT status, lifecycle_stage FROM runs").fetchone() == ("KILLED", "deleted")
