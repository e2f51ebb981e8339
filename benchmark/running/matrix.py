"""Many runs: every method on every dataset with every seed and setting. A failure never stops the rest."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmark.cachehome import cache_home
from benchmark.config import RunRequest, RunSpec, read_file
from benchmark.errors import BenchError, ConfigError, TrackingError
from benchmark.reporting.command import show
from benchmark.running.attempt import Way, run_one
from benchmark.running.closing_table import closing_table, plan_table
from benchmark.running.comparisons import comparisons, refinement_tables
from benchmark.running.default_preset import absent_weights_notes, default_preset_note, random_weights_notes
from benchmark.running.doing import at_work, doing
from benchmark.running.executors.executor import Ended, Engine, Executor, no_curve
from benchmark.running.executors.local import LOCAL
from benchmark.running.executors.node_check import check_nodes
from benchmark.running.limits import Limits, chosen_limits, duration
from benchmark.running.outcome import Outcome
from benchmark.running.plan import left_out, plan
from benchmark.running.states import FAILURES, ends_all, reason_of, state_of
from benchmark.running.survey import Prospect, Survey, conclude, record
from benchmark.running.task import Tasks
from benchmark.running.worker import WIDTH
from benchmark.signals import terminable
from benchmark.terminal import PlainConsole
from benchmark.tracking.offline_store import open_store
from benchmark.tracking.store import Tracker

SUCCESS, UNEXPECTED, MISTAKE, INTERRUPTED = 0, 1, 2, 130
RUN = "benchmark.running.attempt:run_task"
"""What the task of a run names as its work."""
LARGER = "--budget with another amount or unit: docs/budgets.md says what each kind of label needs"
QUIET_SECONDS = 9.0
"""Of silence in a pipe, after which the runs at work are named."""
LOOK_AGAIN = 2.0
"""Seconds before a run that another process does is looked at again."""


def run_all(request: RunRequest, engine: Engine = LOCAL) -> int:
    """Do all runs of the request and print the closing table.

    Returns the exit code: 0 when no run failed, 2 when one failed by a user error or at a limit, 1 when one failed
    unexpectedly, 130 when interrupted. A single run that fails raises its error instead.
    """
    console = PlainConsole(width=None if sys.stdout.isatty() else WIDTH)
    if request.jobs < 0:
        raise ConfigError(f"--jobs {request.jobs}: expected 0 or more", fix="--jobs 2")
    limits = chosen_limits(request.timeout, request.memory, 1 if engine.remote else request.jobs)
    with doing(console, "reading the methods"):
        specs, broken = plan(request), left_out(request)
    for reason in broken:
        console.print(f"left out: {reason}", style="red", markup=False, soft_wrap=True)
    _say_preset(request, specs, console)
    for note in [*random_weights_notes(specs), *absent_weights_notes(specs)]:
        console.print(note, style="yellow", soft_wrap=True)
    cache = writable(request.cache or cache_home())
    tracker = open_store(request.store, cache=cache / "tracking")
    with doing(console, "opening the data") as tell:
        prospects = Survey(cache, tracker, request.force, request.dataset == "all", tell).of(specs)
    _refuse_nothing(prospects)
    if request.jobs and not request.dry_run:
        engine.prepare()
    if request.dry_run or len(prospects) > 1:
        console.print(plan_table(prospects, whole=request.dry_run))
    if request.dry_run:
        failed = any(each.outcome is not None and each.outcome.state == "failed" for each in prospects)
        return MISTAKE if failed else SUCCESS
    if len(prospects) > 1 and request.jobs:
        place = f" on {engine.name}" if engine.remote else ""
        each = limits.text if limits.chosen or not engine.remote else limits.time_text
        console.print(f"{request.jobs} at a time{place}, {each}")
    return _Matrix(request, engine, prospects, cache, tracker, console, limits).run()


def _say_preset(request: RunRequest, specs: Sequence[RunSpec], console: Console) -> None:
    """Say which preset is taken where neither the command line nor a run file chose one."""
    if request.preset is None and (request.config is None or read_file(request.config).preset is None):
        note = default_preset_note(spec.method for spec in specs)
        if note is not None:
            console.print(note, highlight=False, markup=False, soft_wrap=True)


def run_specs(
    specs: Sequence[RunSpec], request: RunRequest, cache: Path, tracker: Tracker, console: PlainConsole, engine: Engine
) -> list[Outcome]:
    """How each of these runs ended, now or before, in their order. Raises `KeyboardInterrupt` when interrupted."""
    limits = chosen_limits(request.timeout, request.memory, 1 if engine.remote else request.jobs)
    with doing(console, "opening the data") as tell:
        prospects = Survey(cache, tracker, request.force, False, tell).of(specs)
    matrix = _Matrix(request, engine, prospects, cache, tracker, console, limits)
    if matrix.work():
        raise KeyboardInterrupt
    return matrix.outcomes(False)


def writable(cache: Path) -> Path:
    """The cache folder, created if need be. Raises `ConfigError` when it is not writable."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            return cache
    except OSError as error:
        reason = error.strerror or type(error).__name__
        msg = f"the cache folder {cache} is not writable: {reason}"
        raise ConfigError(msg, fix="choose another with --cache DIR or BENCH_CACHE") from error


def _refuse_nothing(prospects: Sequence[Prospect]) -> None:
    """Raise where a table would say nothing: the only run cannot start, or no run has data."""
    outcomes = [prospect.outcome for prospect in prospects]
    if len(outcomes) == 1 and outcomes[0] is not None and outcomes[0].error is not None:
        raise outcomes[0].error
    skipped = [outcome for outcome in outcomes if outcome is not None and outcome.state == "skipped"]
    if len(skipped) == len(outcomes) and skipped[0].spec.budget is not None:
        raise ConfigError(f"nothing can be learnt with these budgets; the first: {skipped[0].reason}", fix=LARGER)
    if len(skipped) == len(outcomes):
        raise ConfigError(f"none of the datasets can be used; the first: {skipped[0].reason}", fix="bench data where")


class _Matrix:
    """The runs of one command, up to the closing table."""

    def __init__(
        self,
        request: RunRequest,
        engine: Engine,
        prospects: Sequence[Prospect],
        cache: Path,
        tracker: Tracker,
        console: PlainConsole,
        limits: Limits,
    ) -> None:
        self._request, self._engine, self._prospects = request, engine, prospects
        self._tracker, self._console, self._limits = tracker, console, limits
        self._outcomes: dict[int, Outcome] = {}
        self._waits: dict[int, float] = {}
        self._began: dict[int, float] = {}
        self._end = ""
        terminal = request.jobs == 1 and console.is_terminal and not engine.remote
        self._tasks = Tasks(
            tracker.uri,
            cache,
            request.jobs,
            debug=request.debug,
            terminal=terminal,
            remote=engine.remote,
            gpus=request.gpus,
        )
        self._left: list[str] = []

    def run(self) -> int:
        """Everything, and the closing tables; the exit code."""
        return self._close(self.work())

    def work(self) -> bool:
        """Do the runs; True when interrupted."""
        try:
            self._known()
            if self._request.jobs:
                with terminable():
                    self._in_processes()
            else:
                self._here()
        except KeyboardInterrupt:
            return True
        return False

    def outcomes(self, interrupted: bool) -> list[Outcome]:
        """How every run ended, in their order."""
        return [self._outcomes.get(number) or self._unstarted(number, interrupted) for number in self._numbers]

    def _known(self) -> None:
        """Note the runs that need not or cannot be done, and store their reasons."""
        for number, prospect in enumerate(self._prospects):
            if prospect.outcome is not None:
                outcome = prospect.outcome
                if outcome.state != "finished before":
                    outcome = replace(outcome, run_id=record(prospect, outcome, self._tracker))
                self._outcomes[number] = outcome

    def _here(self) -> None:
        """Every run in this process, one after another, without limits."""
        for number, prospect in self._waiting():
            self._announce(number)
            assert prospect.job is not None
            way = Way(force=self._request.force, surveyed=True)
            try:
                with at_work(self._console, prospect.spec.title):
                    self._outcomes[number] = run_one(prospect.job, self._tracker, self._console, way)
            except Exception as error:
                self._note(number, Outcome(prospect.spec, state_of(error), reason_of(error), error=error))

    def _waiting(self) -> Iterator[tuple[int, Prospect]]:
        for number, prospect in enumerate(self._prospects):
            if prospect.waiting and not self._end:
                yield number, prospect

    def _in_processes(self) -> None:
        """Every run in its own process, the next one as soon as there is room."""
        queue = deque((number, 0.0) for number, _ in self._waiting())
        first = self._prospects[queue[0][0]].job if queue else None
        if first is not None:
            check_nodes(self._engine, self._tasks, first, self._limits, self._console)
        jobs = self._request.jobs
        rest = max(len(queue) - jobs, 0)
        with self._engine.executor(jobs, self._limits, self._say, no_curve, queued=rest) as executor:
            try:
                while (queue and not self._end) or executor.busy:
                    self._feed(executor, queue)
                    if self._request.detach:
                        self._left = executor.leave()
                        return
                    for ended in executor.ended():
                        self._take(ended, queue)
                    self._still(executor)
            except KeyboardInterrupt:
                if self._engine.leaves and executor.busy and leave_them():
                    self._left = executor.leave()
                raise
            finally:
                for ended in executor.stop():
                    self._take(ended, queue)

    def _still(self, executor: Executor) -> None:
        """In a pipe, say now and then that runs are at work; on a terminal their bars do."""
        at_work = [number for number in self._began if number not in self._outcomes]
        if at_work and executor.busy and not self._console.is_terminal and self._console.silence > QUIET_SECONDS:
            seconds = time.monotonic() - self._began[at_work[0]]
            names = ", ".join(self._prospects[number].spec.title for number in at_work[:3])
            self._console.print(f"  at work for {seconds:.0f} s: {names}", soft_wrap=True)

    def _feed(self, executor: Executor, queue: deque[tuple[int, float]]) -> None:
        while queue and executor.free and not self._end:
            ready = next((entry for entry in queue if entry[1] <= time.monotonic()), None)
            if ready is None:
                if not executor.busy:
                    time.sleep(0.1)
                return
            queue.remove(ready)
            if not ready[1]:
                self._announce(ready[0])
            job = self._prospects[ready[0]].job
            assert job is not None
            self._began.setdefault(ready[0], time.monotonic())
            task = self._tasks.make(ready[0], job, RUN, force=self._request.force)
            with doing(self._console, "starting its process"):
                executor.start(ready[0], task)

    def _take(self, ended: Ended, queue: deque[tuple[int, float]]) -> None:
        """Note how a run ended, storing it where its process could not, or queue it again."""
        self._tasks.over(ended.number)
        prospect, outcome = self._prospects[ended.number], ended.outcome
        if outcome is None:
            outcome = self._await(ended)
            if outcome is None:
                queue.append((ended.number, time.monotonic() + LOOK_AGAIN))
                return
        outcome = replace(outcome, spec=prospect.spec)
        if not ended.stored:
            try:
                outcome = replace(outcome, run_id=conclude(prospect, outcome, self._tracker))
            except TrackingError as error:
                self._end = self._end or error.what
        self._note(ended.number, outcome)

    def _await(self, ended: Ended) -> Outcome | None:
        """Wait for a run that another process does, no longer than a run may take; the outcome when that is over."""
        began = self._waits.get(ended.number)
        if began is None:
            began = self._waits[ended.number] = time.monotonic()
            self._say(ended.number, f"  {ended.holder} is doing this run; waiting for it")
        seconds = self._limits.seconds
        if seconds is None or time.monotonic() - began < seconds:
            return None
        reason = f"waited {duration(seconds)} (--timeout) for {ended.holder}, which is doing this run"
        return Outcome(self._prospects[ended.number].spec, "timed out", reason)

    def _note(self, number: int, outcome: Outcome) -> None:
        self._outcomes[number] = outcome
        if outcome.error is not None and ends_all(outcome.error):
            self._end = self._end or outcome.reason
        if self._request.jobs > 1 and len(self._prospects) > 1:
            reason = f": {outcome.reason}" if outcome.reason else ""
            self._say(number, f"{outcome.state}{reason}")

    def _announce(self, number: int) -> None:
        spec = self._prospects[number].spec
        title = spec.title.replace(spec.method, f"{spec.method} on {spec.dataset}", 1)
        self._console.print(f"[{number + 1}/{len(self._prospects)}] {title}", style="bold")

    def _say(self, number: int, text: str) -> None:
        several = self._request.jobs > 1 and len(self._prospects) > 1
        line = f"[{number + 1}] {text.strip()}" if several else text
        self._console.print(line, soft_wrap=True)

    def _close(self, interrupted: bool) -> int:
        """The closing tables and the exit code."""
        if self._left:
            text = f"jobs left on {self._engine.name}: {len(self._left)}; bench jobs shows them, and "
            self._console.print(f"{text}the same command later shows what is done and does the rest", soft_wrap=True)
            return INTERRUPTED if interrupted else SUCCESS
        outcomes = self.outcomes(interrupted)
        if len(outcomes) == 1:
            if interrupted:
                raise KeyboardInterrupt
            if outcomes[0].error is not None:
                raise outcomes[0].error
            if outcomes[0].state in FAILURES:
                raise BenchError(outcomes[0].reason, fix="run the same command to resume from the last checkpoint")
        show(self._console, closing_table(outcomes, self._request))
        for table in (*refinement_tables(outcomes), *comparisons(outcomes)):
            self._console.print(table)
        if self._end:
            self._console.print(f"stopped early: {self._end}", style="red")
            if "no space left" in self._end:
                self._console.print("  → bench cache info; bench cache prune; or --cache DIR", style="cyan")
        return INTERRUPTED if interrupted else _exit_code(outcomes, bool(self._end))

    @property
    def _numbers(self) -> range:
        return range(len(self._prospects))

    def _unstarted(self, number: int, interrupted: bool) -> Outcome:
        reason = "not started: interrupted" if interrupted else f"not started: {self._end}"
        return Outcome(self._prospects[number].spec, "skipped", reason)


def leave_them() -> bool:
    """Ask on a terminal whether jobs of a cluster are to go on without the command; elsewhere they are cancelled."""
    if not sys.stdin.isatty():
        return False
    try:
        return input("\ncancel the jobs on the cluster? [Y/n] ").strip().lower() in ("n", "no")
    except (EOFError, KeyboardInterrupt):
        return False


def _exit_code(outcomes: Sequence[Outcome], ended_early: bool) -> int:
    failed = [outcome for outcome in outcomes if outcome.state in FAILURES | {"interrupted"}]
    if any(outcome.error is not None and not isinstance(outcome.error, BenchError | OSError) for outcome in failed):
        return UNEXPECTED
    return MISTAKE if failed or ended_early else SUCCESS
