"""`bench sweep`: tune a method on validation slides with Optuna, and look at studies."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from benchmark.commands import complete
from benchmark.commands.run import chosen_seeds
from benchmark.commands.service import Store
from benchmark.commands.session import Session
from benchmark.errors import ConfigError

EXAMPLES = """\
Examples:

\b
  bench sweep oeem --dataset glas --preset quick --trials 20 --jobs 2    # a shipped sweep, by its name
  bench sweep my.yaml --dataset slides --data /data/slides               # a search space of one's own
  bench sweep hybrid --dataset camelyon16 --dry-run                      # what would be searched
  bench sweep list                                                       # studies and how far they are
  bench sweep show oeem-glas-quick                                       # every trial
  bench sweep best oeem-glas-quick > best.yaml && bench run --config best.yaml

The same command goes on with the study where it stopped; --trials is the number of all its trials. Trials see no test
slide; the winner and the published setting are tested when the trials are done.
"""


class _Group(TyperGroup):
    """`bench sweep NAME` means `bench sweep run NAME`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take the first word for a sweep where it is no command."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_Group, no_args_is_help=True, help="Tune a method on validation slides.", epilog=EXAMPLES)

Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where studies are kept. Default: BENCH_STUDIES, sqlite:///studies.db."),
]
Name = Annotated[str, typer.Argument(metavar="STUDY", help="A study's name (bench sweep list).")]


class Format(StrEnum):
    """How trials are written."""

    csv = "csv"
    json = "json"


@app.command(epilog=EXAMPLES)
def run(
    context: typer.Context,
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="A shipped sweep (its method's name), or a YAML file.")],
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Dataset.", autocompletion=complete.dataset_list)
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What trials depart from. Default: as the file says.", autocompletion=complete.preset
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A fixed parameter or option; repeatable.")
    ] = None,
    trials: Annotated[int | None, typer.Option(metavar="N", min=1, help="Trials of the study in all.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", help="Trials at a time.")] = 1,
    study: Annotated[
        str | None, typer.Option(metavar="NAME", help="The study's name. Default: SWEEP-DATASET-PRESET.")
    ] = None,
    storage: Storage = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin no further trial after this time: 90s, 15m, 2h.")
    ] = None,
    trial_timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Stop a trial after this time.")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Stop a trial that holds more: 8GB.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="LIST", help="Seeds of the closing test: 0,1,2.")] = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Test the winner when the trials are done.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be searched.")] = False,
    device: Annotated[
        str | None, typer.Option(metavar="DEV", help="auto, cpu, cuda or cuda:N.", autocompletion=complete.device)
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="ROOT", help="Folder of the data, or: synthetic.")] = None,
    synthetic_slides: Annotated[
        int | None, typer.Option(metavar="N", help="Slides of the miniature with --data synthetic.")
    ] = None,
    store: Store = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Cache folder. Default: BENCH_CACHE, the user's cache folder.")
    ] = None,
) -> None:
    """Tune a method on validation slides, or go on with that, and test the winner once."""
    from benchmark.config import RunRequest
    from benchmark.tuning.request import SweepRequest
    from benchmark.tuning.sweep import run_sweep

    asked = RunRequest(
        dataset=dataset,
        preset=preset,
        settings=tuple(settings or ()),
        seeds=chosen_seeds(None, seeds),
        device=device,
        data=data,
        synthetic_slides=synthetic_slides,
        store=store,
        cache=cache,
        debug=context.ensure_object(Session).debug,
        jobs=jobs,
        timeout=trial_timeout,
        memory=memory,
        dry_run=dry_run,
    )
    request = SweepRequest(sweep, asked, study, storage, trials, timeout, test)
    raise typer.Exit(run_sweep(request))


@app.command("list")
def listing(storage: Storage = None) -> None:
    """Show the studies of a storage."""
    from benchmark.commands.printing import console
    from benchmark.tracking.address import shown
    from benchmark.tuning.study import stored_studies
    from benchmark.tuning.study_tables import table_of_studies
    from benchmark.tuning.where import storage_of

    found = stored_studies(storage_of(storage), missing_ok=True)
    if found:
        console().print(table_of_studies(found))
    else:
        console().print(f"no studies yet in {shown(storage_of(storage))}", highlight=False, markup=False)


@app.command()
def show(study: Name, storage: Storage = None) -> None:
    """Show every trial of a study, the best ones first marked."""
    from benchmark.commands.printing import console
    from benchmark.tuning.study import stored_studies
    from benchmark.tuning.study_tables import table_of_trials
    from benchmark.tuning.where import storage_of

    console().print(table_of_trials(stored_studies(storage_of(storage), study)[0]))


@app.command()
def best(
    study: Name,
    trial: Annotated[int | None, typer.Option(metavar="N", help="Another trial than the best.")] = None,
    storage: Storage = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to. Default: the terminal.")] = None,
) -> None:
    """Write the run file of the best trial, for `bench run --config`."""
    from benchmark.tuning.study import stored_studies
    from benchmark.tuning.study_page import as_run_file
    from benchmark.tuning.where import storage_of

    found = stored_studies(storage_of(storage), study)[0]
    chosen = next(
        (one for one in (found.trials if trial is not None else found.best) if trial in (None, one.number)), None
    )
    if chosen is None or not chosen.values:
        what = f"no trial of {study} is complete" if trial is None else f"{study} has no complete trial {trial}"
        raise ConfigError(what, fix=f"bench sweep show {study}")
    _write(as_run_file(found.published_run, study, chosen, len(found.trials)), out)


@app.command()
def export(
    study: Name,
    form: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.csv,
    storage: Storage = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to. Default: the terminal.")] = None,
) -> None:
    """Write all trials of a study as a table."""
    import json

    from benchmark.tuning.study import stored_studies
    from benchmark.tuning.study_page import as_csv, as_facts
    from benchmark.tuning.where import storage_of

    found = stored_studies(storage_of(storage), study)[0]
    names = [one["name"] for one in found.facts["space"]]
    if form is Format.csv:
        _write(as_csv(found.trials, found.metrics, names), out)
    else:
        facts = {"study": found.name, **found.facts, "trials": as_facts(found.trials)}
        _write(json.dumps(facts, indent=1) + "\n", out)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    from benchmark.storage import whole_file

    with whole_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
