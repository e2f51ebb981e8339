"""Writing a published board: all files beside the folder first, then one rename."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from benchmark.errors import ConfigError, DataError
from benchmark.metrics.catalogue import SCHEMA
from benchmark.provenance import code_version
from benchmark.publishing import board_tables as tables
from benchmark.publishing.board_form import (
    ABOUT,
    FORM,
    MANIFEST,
    NUMBERS,
    OWN_TAGS,
    PARTS,
    RUNS,
    SLIDES,
    UNITS,
    VERSION,
    FormError,
    Manifest,
    Part,
    PublishedRun,
    as_json,
)
from benchmark.publishing.board_reading import require_form, wrote
from benchmark.stored import Artifacts, MissingError, StoredRun, slide_rows, unit_table, with_numbers

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Published:
    """What was written. `digest`: SHA-256 of the manifest, which names the SHA-256 of every other file."""

    folder: Path
    digest: str
    runs: int
    slides: int
    patients: int
    without_slides: tuple[str, ...]
    """Names of the runs that have no table per slide: they rank without paired tests."""
    places: tuple[str, ...]
    """Settings that name a place on this machine."""


def require_place(out: Path, *, force: bool) -> None:
    """Raise `ConfigError` unless `out` is not there yet, is an empty folder, or is a published board and `force`."""
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        raise ConfigError(f"{out} is a file; expected a folder", fix="bench publish ANOTHER_FOLDER")
    names = sorted(path.name for path in out.iterdir())
    if not names:
        return
    foreign = sorted(set(names) - {MANIFEST, *PARTS})
    if foreign or not wrote(out):
        what = f"it holds {foreign[0]}" if foreign else f"its {MANIFEST} is not one of bench publish"
        msg = f"{out} is not empty and not a board that bench publish wrote ({what}); nothing is overwritten"
        raise ConfigError(msg, fix="bench publish ANOTHER_FOLDER")
    if not force:
        raise ConfigError(f"{out} holds a published board", fix=f"bench publish {out} --force   # replaces it")


def write_board(out: Path, runs: Sequence[StoredRun], artifacts: Artifacts, *, force: bool = False) -> Published:
    """Write finished runs, with all their numbers and tables, as a folder of the form.

    Args:
        out: the folder.
        runs: with their parameters and experiments.
        artifacts: gives their numbers and tables.
        force: replace a board that was written before.

    Raises:
        ConfigError: `out` holds something else, or cannot be written.
        DataError: a run's numbers cannot be had, or its tables are not of the form.
    """
    require_place(out, force=force)
    runs = sorted((_with_all(artifacts, run) for run in runs), key=lambda run: (-run.ended, -run.started, run.id))
    slides = {run.id: rows for run in runs if (rows := _slides(artifacts, run))}
    units = {run.id: table for run in runs if (table := _units(artifacts, run)) is not None}
    content = {
        RUNS: as_json([_record(run).model_dump() for run in runs]),
        NUMBERS: tables.parquet_bytes(tables.numbers_table({run.id: run.metrics for run in runs})),
        SLIDES: tables.parquet_bytes(tables.slides_table(slides)),
        UNITS: tables.parquet_bytes(tables.units_table(units)),
    }
    manifest = as_json(_manifest(content).model_dump())
    with _folder(out) as folder:
        for name, data in {**content, MANIFEST: manifest}.items():
            (folder / name).write_bytes(data)
        _require_form(folder)
    return Published(
        folder=out,
        digest=hashlib.sha256(manifest).hexdigest(),
        runs=len(runs),
        slides=len({str(row["slide"]) for rows in slides.values() for row in rows}),
        patients=len({row["patient"] for rows in slides.values() for row in rows if row.get("patient")}),
        without_slides=tuple(run.name for run in runs if run.id not in slides),
        places=_places(runs),
    )


def _with_all(artifacts: Artifacts, run: StoredRun) -> StoredRun:
    from benchmark.stored import NO_NUMBERS

    whole = with_numbers(artifacts, run)
    if NO_NUMBERS in whole.tags:
        raise DataError(f"cannot publish: {whole.tags[NO_NUMBERS]}", fix=f"leave it out, or delete the run {run.id}")
    return whole


def _slides(artifacts: Artifacts, run: StoredRun) -> list[dict[str, Any]]:
    try:
        return slide_rows(artifacts, run)
    except MissingError:
        return []


def _units(artifacts: Artifacts, run: StoredRun) -> DataFrame | None:
    try:
        return unit_table(artifacts, run)
    except MissingError:
        return None


def _record(run: StoredRun) -> PublishedRun:
    """The record of a run. Raises `DataError` where a text or number of it is not of the form."""
    own = {name: value for name, value in run.tags.items() if name.startswith("bench.") and name not in OWN_TAGS}
    leave = f"leave it out (bench publish --help), or delete the run {run.id}"
    beyond = [name for name, value in run.metrics.items() if not abs(value) <= tables.LARGEST_NUMBER]
    if beyond:
        msg = f"cannot publish {run.name!r}: {beyond[0]} is {run.metrics[beyond[0]]:g}, expected a number within"
        raise DataError(f"{msg} ±{tables.LARGEST_NUMBER:g}", fix=leave)
    try:
        return PublishedRun(
            id=run.id,
            name=run.name,
            experiment=run.experiment,
            started=run.started,
            ended=run.ended,
            tags={name.removeprefix("bench."): value for name, value in sorted(own.items())},
            settings=dict(sorted(run.params.items())),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"cannot publish {run.name!r}: {where}: {first['msg']}", fix=leave) from None


def _require_form(folder: Path) -> None:
    """Raise `DataError` where the reader would refuse what was written."""
    try:
        require_form(folder)
    except FormError as error:
        fix = "leave the run out (bench publish --help); docs/published-boards.md says what the form takes"
        raise DataError(f"cannot publish: {error}", fix=fix) from None


def _manifest(content: Mapping[str, bytes]) -> Manifest:
    files = [
        Part(path=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in content.items()
    ]
    return Manifest(form=FORM, version=VERSION, about=ABOUT, code=code_version(), metrics_schema=SCHEMA, files=files)


def _places(runs: Sequence[StoredRun]) -> tuple[str, ...]:
    values = {f"{name}={value}" for run in runs for name, value in run.params.items() if Path(value).is_absolute()}
    return tuple(sorted(values))


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """A temporary folder that takes the name `out` when the block ends well; a board of that name gives way last."""
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            yield temporary
            temporary.chmod(0o755)
            _take_name(temporary, out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot write {out}: {reason}", fix=f"df -h {out.parent}") from error


def _take_name(temporary: Path, out: Path) -> None:
    if not (out / MANIFEST).exists():
        temporary.replace(out)  # an empty folder gives way to a rename
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    out.replace(old)
    try:
        temporary.replace(out)
    except OSError:
        old.replace(out)
        raise
    for name in (MANIFEST, *PARTS):
        (old / name).unlink(missing_ok=True)
    old.rmdir()  # fails where something else has come into it meanwhile, which is then kept
