"""Many runs: every method on every dataset with every seed. One that fails never stops the rest."""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

from rich.console import Console

from benchmark.config import RunRequest, RunSpec
from benchmark.datahome import cache_home
from benchmark.errors import BenchError, ConfigError
from benchmark.running.closing import closing_table
from benchmark.running.comparisons import comparisons, refinement_tables
from benchmark.running.job import open_job
from benchmark.running.plan import plan
from benchmark.running.run import Outcome, run_one
from benchmark.tracking import Tracker

WIDTH = 110
"""Columns of the output into a file or a pipe."""
SUCCESS, UNEXPECTED, MISTAKE = 0, 1, 2


def run_all(request: RunRequest) -> int:
    """Do all runs of the request and print the closing table.

    Returns the exit code: 0 when no run failed, 2 when one failed by a mistake the user can mend, 1 when
    one failed unexpectedly. A single run that fails raises its error instead.
    """
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    specs = plan(request)
    cache = writable(request.cache or cache_home())
    tracker = Tracker(request.store, cache=cache / "tracking")
    outcomes: list[Outcome] = []
    for number, spec in enumerate(specs, start=1):
        title = " ".join(filter(None, (spec.method, "on", spec.dataset, spec.variant, f"seed {spec.seed}")))
        console.print(f"[bold]\\[{number}/{len(specs)}] {title}[/bold]", highlight=False)
        outcomes.append(_guarded(spec, cache, tracker, console, request))
        if len(specs) == 1 and outcomes[0].error is not None:
            raise outcomes[0].error
    console.print(closing_table(outcomes))
    for table in (*refinement_tables(outcomes), *comparisons(outcomes)):
        console.print(table)
    return _exit_code(outcomes)


def writable(cache: Path) -> Path:
    """The cache folder, made and tried. Raises `ConfigError` when nothing can be written there."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            return cache
    except OSError as error:
        reason = error.strerror or type(error).__name__
        msg = f"the cache folder {cache} cannot be written: {reason}"
        raise ConfigError(msg, fix="name another one with --cache DIR or BENCH_CACHE") from error


def _guarded(spec: RunSpec, cache: Path, tracker: Tracker, console: Console, request: RunRequest) -> Outcome:
    try:
        return run_one(open_job(spec, cache), tracker, console, force=request.force)
    except BenchError as error:
        return Outcome(spec, "failed", error.what, error=error)
    except Exception as error:
        if request.debug:
            console.print(traceback.format_exc(), highlight=False, markup=False)
        return Outcome(spec, "failed", f"{type(error).__name__}: {error}", error=error)


def _exit_code(outcomes: list[Outcome]) -> int:
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if any(not isinstance(error, BenchError) for error in errors):
        return UNEXPECTED
    return MISTAKE if errors else SUCCESS
