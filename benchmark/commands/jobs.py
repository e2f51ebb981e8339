"""`bench jobs`: what commands have given to clusters and not seen end; cancelling it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.options import Cache
from benchmark.errors import BenchError, ConfigError, EngineError

if TYPE_CHECKING:
    from benchmark.running.executors.executor import Engine
    from benchmark.running.executors.job_book import BookedJob, JobBook

EXAMPLES = """\
Examples:

\b
  bench run --method all --dataset glas --on slurm.yml --detach
  bench jobs                        # the jobs and their states
  bench jobs cancel 4711_3          # one of them
  bench jobs cancel --all
"""

app = typer.Typer(help="Show or cancel the jobs left on clusters.", epilog=EXAMPLES, invoke_without_command=True)


@app.callback(invoke_without_command=True)
def jobs(context: typer.Context, cache: Cache = None) -> None:
    """Show the jobs that were given to clusters, with their states; bench run --detach leaves them there."""
    if context.invoked_subcommand is not None:
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from benchmark.commands.printing import console
    from benchmark.running.executors.job_book import KEPT_SECONDS

    out = console()
    book, states = _book(cache), {}
    booked = book.jobs()
    for engine, mine in _by_engine(booked):
        try:
            states.update(
                {(engine, job): state for job, state in _engine(mine[0]).states([one.job for one in mine]).items()}
            )
        except BenchError as error:
            out.print(f"{engine}: {error.what}", soft_wrap=True, highlight=False, markup=False)
            states.update({(engine, one.job): "unknown" for one in mine})
    if not booked:
        out.print("no jobs are left on clusters")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("job", "engine", "state", "run", "dataset", "since"):
        table.add_column(column, overflow="fold")
    for one in booked:
        state = states.get((one.engine, one.job), "over")
        if state == "over" and one.age > KEPT_SECONDS:
            book.strike(one.engine, one.job)
            continue
        table.add_row(one.job, one.engine, state.lower(), one.run, one.dataset, f"{one.age / 3600:.1f} h")
    out.print(table)


@app.command()
def cancel(
    context: typer.Context,
    job: Annotated[list[str] | None, typer.Argument(metavar="JOB", help="Jobs (bench jobs shows them).")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All jobs.")] = False,
    cache: Cache = None,
) -> None:
    """Cancel jobs; what their runs have computed is kept, and the same command resumes them."""
    if bool(job) == everything:
        raise ConfigError("which jobs? expected their ids, or --all", fix="bench jobs")
    before = context.parent.params.get("cache") if context.parent else None  # bench jobs --cache DIR cancel
    book = _book(cache or before)
    booked = {one.job: one for one in book.jobs()}
    unknown = [name for name in job or () if name not in booked]
    if unknown:
        known = ", ".join(booked) or "none"
        raise ConfigError(f"there is no job {unknown[0]!r}; there are: {known}", fix="bench jobs")
    _cancel(book, [booked[name] for name in job or booked])


def _cancel(book: JobBook, chosen: list[BookedJob]) -> None:
    """Cancel jobs one by one. Raises `EngineError` at the end for those that could not be."""
    from benchmark.commands.printing import console

    left: list[str] = []
    for one in chosen:
        try:
            engine = _engine(one)
            if engine.states([one.job]):
                engine.cancel(one.job)
        except BenchError as error:
            left.append(f"{one.job} ({one.engine}: {error.what})")
            continue
        book.strike(one.engine, one.job)
        console().print(f"{one.job}: cancelled ({one.run} on {one.dataset})", soft_wrap=True, highlight=False)
    if left:
        raise EngineError(f"not cancelled: {', '.join(left)}", fix="bench jobs")


def _book(cache: Path | None) -> JobBook:
    from benchmark.cachehome import cache_home
    from benchmark.running.executors.job_book import JobBook

    return JobBook(Path(cache or cache_home()))


def _by_engine(booked: list[BookedJob]) -> list[tuple[str, list[BookedJob]]]:
    """Jobs that one question to an engine covers: those of one engine with the same options."""
    groups: dict[str, list[BookedJob]] = {}
    for one in booked:
        groups.setdefault(f"{one.engine} {sorted(one.options.items(), key=str)}", []).append(one)
    return [(mine[0].engine, mine) for mine in groups.values()]


def _engine(one: BookedJob) -> Engine:
    from benchmark.running.executors.engine_file import engine_of

    return engine_of(one.engine, dict(one.options))
