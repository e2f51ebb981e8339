"""Stages: one mechanism for resume, reuse, progress and cost.

A stage is a function whose result is kept under a digest of everything it depends on: its name, the
values of the parameters it uses, the digests of the stages it comes after, the data, the seed and the
code. The labels it consumed and the numbers it logged are kept with the result, so a reused stage
counts in the ledger and shows its curves. Inside a stage, `Checkpoint` keeps epochs or rounds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from filelock import FileLock, Timeout

from benchmark import storage
from benchmark.errors import StageError
from benchmark.expert import Answer
from benchmark.identity import digest_of
from benchmark.provenance import code_digest
from benchmark.resources import Meter

if TYPE_CHECKING:
    from benchmark.supervision import Ledger

T = TypeVar("T")
Log = tuple[str, float, int | None]


class Sink(Protocol):
    """Where a stage's numbers and messages go."""

    def log(self, name: str, value: float, step: int | None) -> None:
        """Take one number."""
        ...

    def say(self, text: str) -> None:
        """Show one line."""
        ...


class StageParameters(Protocol):
    """The parameters of a method, handed to its stages one by one (`benchmark.method.WatchedParams`)."""

    def values(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The values that a stage's result depends on, as JSON. Raises `StageError` for a name that there is not."""
        ...

    def restrict(self, stage: str, allowed: frozenset[str] | None) -> tuple[str, frozenset[str] | None]:
        """Let a stage read no others (None: all); gives what was in force before, to be passed in again."""
        ...


class Staged(Protocol):
    """What has stages: a method. Its class counts by its code, see `code_digest`."""

    @property
    def watched(self) -> StageParameters:
        """Its parameters."""
        ...


@dataclass
class StageRecord:
    """What one stage cost and consumed. `seconds` is what it took when it was computed."""

    name: str
    digest: str
    seconds: float = 0.0
    peak_mib: float = 0.0
    peak_gpu_mib: float = 0.0
    reused: bool = False
    logs: list[Log] = field(default_factory=list)
    labels: list[tuple[str, str, str, int]] = field(default_factory=list)
    answers: list[tuple[str, str, str, int, str, float, float]] = field(default_factory=list)
    """The fields of `benchmark.expert.Answer` after the key of its label."""


class Checkpoint:
    """The epochs or rounds of one running stage; what was saved last survives a kill."""

    def __init__(self, path: Path, record: StageRecord, sink: Sink) -> None:
        self._path = path
        self._record = record
        self._sink = sink
        self._began = time.perf_counter()
        self._before = 0.0

    def load(self) -> dict[str, Any] | None:
        """The state of an interrupted attempt, or None. Its logged numbers are shown again."""
        if not self._path.is_file():
            return None
        try:
            kept: dict[str, Any] = storage.load(self._path)
            self._before, logs = float(kept["seconds"]), [(name, value, step) for name, value, step in kept["logs"]]
            state: dict[str, Any] = kept["state"]
        except storage.UNREADABLE as error:
            self._sink.say(
                f"stage {self._record.name}: its checkpoint cannot be read ({type(error).__name__}), begun anew"
            )
            return None
        for name, value, step in logs:
            self._record.logs.append((name, value, step))
            self._sink.log(name, value, step)
        self._sink.say(f"stage {self._record.name}: resumed from its checkpoint")
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Keep `state` (tensors, arrays, plain values), replacing what was kept before."""
        kept = {"state": state, "logs": [list(log) for log in self._record.logs], "seconds": self.seconds}
        storage.save(kept, self._path)

    def scratch(self, name: str) -> Path:
        """A file beside the checkpoint, for what does not fit into memory; the stage removes it."""
        return self._path.with_name(name)

    @property
    def seconds(self) -> float:
        """Wall seconds of this stage, those of interrupted attempts included."""
        return self._before + time.perf_counter() - self._began


class StageStore:
    """Runs the stages of one method in one run and keeps their results under `folder`."""

    def __init__(self, folder: Path, *, ledger: Ledger, data_digest: str, seed: int) -> None:
        self.folder = folder
        self.records: list[StageRecord] = []
        self._ledger = ledger
        self._data = data_digest
        self._seed = seed
        self._owner: Staged | None = None
        self._digests: dict[str, str] = {}
        self._running: list[tuple[StageRecord, Checkpoint]] = []

    def bind(self, owner: Staged) -> None:
        """Say whose stages these are."""
        self._owner = owner

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint of the innermost running stage."""
        if not self._running:
            raise StageError("a checkpoint was asked for outside of a stage", fix="call context.stage(name, function)")
        return self._running[-1][1]

    def remember_log(self, name: str, value: float, step: int | None) -> None:
        """Keep a logged number with every stage that is running."""
        for record, _ in self._running:
            record.logs.append((name, value, step))

    def run(
        self,
        name: str,
        function: Callable[[], T],
        *,
        uses: tuple[str, ...],
        after: tuple[str, ...],
        reporter: Sink,
        code: type | None = None,
    ) -> T:
        """The kept result of this stage, or that of `function`, which is then kept.

        Raises `StageError` when the function reads a parameter that `uses` does not name, when `after`
        names a stage that has not run, or when the result cannot be stored. `code`: see `Context.stage`.
        """
        record = StageRecord(name, self._digest(name, uses, after, code))
        self._digests[name] = record.digest
        home = self.folder / record.digest[:2] / record.digest
        home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            reporter.say(f"stage {name}: another process is computing it, waiting")
            lock.acquire()
        try:
            if (home / "result.pt").is_file():
                try:
                    result, kept = storage.load(home / "result.pt"), json.loads((home / "record.json").read_text())
                except (*storage.UNREADABLE, FileNotFoundError) as error:
                    reporter.say(
                        f"stage {name}: its kept result cannot be read ({type(error).__name__}), computed again"
                    )
                else:
                    self._reuse(kept, record, reporter)
                    reused: T = result
                    return reused
            return self._compute(home, record, function, uses, reporter)
        finally:
            lock.release()

    def _reuse(self, kept: Mapping[str, Any], record: StageRecord, reporter: Sink) -> None:
        record.seconds, record.peak_mib, record.peak_gpu_mib = kept["seconds"], kept["peak_mib"], kept["peak_gpu_mib"]
        record.reused = True
        answers = {(kind, slide, item): Answer(*answer) for kind, slide, item, *answer in kept["answers"]}
        self._ledger.merge({(kind, slide, item): amount for kind, slide, item, amount in kept["labels"]}, answers)
        for name, value, step in kept["logs"]:
            self.remember_log(name, value, step)
            reporter.log(name, value, step)
        self.records.append(record)
        reporter.say(f"stage {record.name}: reused, {record.seconds:.0f} s saved")

    def _compute(
        self, home: Path, record: StageRecord, function: Callable[[], T], uses: tuple[str, ...], reporter: Sink
    ) -> T:
        checkpoint = Checkpoint(home / "checkpoint.pt", record, reporter)
        watched = self._bound().watched
        before = watched.restrict(record.name, frozenset(uses))
        self._running.append((record, checkpoint))
        try:
            with self._ledger.listening() as labels, Meter() as meter:
                result = function()
        finally:
            self._running.pop()
            watched.restrict(*before)
        record.seconds, record.peak_mib, record.peak_gpu_mib = checkpoint.seconds, meter.peak_mib, meter.peak_gpu_mib
        record.labels = [(*key, amount) for key, amount in labels.items()]
        known = self._ledger.answers
        record.answers = [(*key, *astuple(known[key])) for key in labels if key in known]
        self.records.append(record)
        with storage.whole_file(home / "record.json", synced=True) as temporary:
            temporary.write_text(json.dumps(record.__dict__))
        storage.save(result, home / "result.pt")
        (home / "checkpoint.pt").unlink(missing_ok=True)
        return result

    def _digest(self, name: str, uses: tuple[str, ...], after: tuple[str, ...], code: type | None) -> str:
        owner = self._bound()
        missing = [stage for stage in after if stage not in self._digests]
        if missing:
            raise StageError(f"stage {name!r} comes after {missing[0]!r}, which has not run")
        whose = code or type(owner)
        return digest_of(
            {
                "stage": name,
                "of": f"{whose.__module__}.{whose.__qualname__}",
                "params": owner.watched.values(uses),
                "after": [self._digests[stage] for stage in after],
                "data": self._data,
                "seed": self._seed,
                "code": code_digest(whose),
            }
        )

    def _bound(self) -> Staged:
        if self._owner is None:
            raise StageError("a stage needs to know its method", fix="context.bind(method)")
        return self._owner
