"""`bench sweep`: tune a method on validation slides with Optuna; list, show and export studies."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from benchmark.commands import complete
from benchmark.commands.options import Cache, Device, Store
from benchmark.commands.run import Features, Gpus, On, Workers, chosen_seeds, features_setting
from benchmark.commands.session import Session
from benchmark.errors import ConfigError

EXAMPLES = """\
Examples:

\b
  bench sweep oeem --dataset glas --preset quick --trials 20 --jobs 2    # a shipped sweep, by its name
  bench sweep my.yaml --dataset slides --data /data/slides               # your own search space
  bench sweep hybrid --dataset camelyon16 --dry-run                      # show the search space, run nothing
  bench sweep oeem --dataset glas --trials 80 --on slurm.yml --workers 8 # trials on a cluster
  bench sweep list                                                       # all studies and their progress
  bench sweep show oeem-glas-quick                                       # every trial
  bench sweep best oeem-glas-quick > best.yaml && bench run --config best.yaml

Run the same command to resume a study; --trials counts all its trials. Trials see no test slide; the winner and the
first trial's setting are tested when the trials are done.
"""


class _Group(TyperGroup):
    """`bench sweep NAME` means `bench sweep run NAME`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take the first word for a sweep unless it is a command."""
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
    """Output format of the trials."""

    csv = "csv"
    json = "json"


@app.command(epilog=EXAMPLES)
def run(
    context: typer.Context,
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="A shipped sweep (its method's name), or a YAML file.")],
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Dataset. Default: the sweep file's.", autocompletion=complete.dataset_list),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Preset of the first trial. Default: the sweep file's.",
            autocompletion=complete.preset,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Fix a parameter or option; repeatable."),
    ] = None,
    features: Features = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Trials of the study, earlier ones included.")
    ] = None,
    subject_to: Annotated[
        list[str] | None,
        typer.Option("--subject-to", metavar="BOUND", help="METRIC>=NUMBER or METRIC<=NUMBER; repeatable."),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="End after N complete trials without a better one. 0: never."),
    ] = None,
    overlays: Annotated[
        int, typer.Option(metavar="N", min=0, help="Pictures of N validation slides per trial, for the dashboard.")
    ] = 3,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", metavar="N", help="Trials in parallel (1).")] = None,
    gpus: Gpus = None,
    on: On = None,
    workers: Workers = None,
    study: Annotated[
        str | None, typer.Option(metavar="NAME", help="The study's name. Default: SWEEP-DATASET-PRESET.")
    ] = None,
    storage: Storage = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Start no trial after this time: 90s, 15m, 2h.")
    ] = None,
    trial_timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Time limit per trial.")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory limit per trial: 8GB.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="LIST", help="Seeds of the closing test: 0,1,2.")] = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Test the winner once the trials are done.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the search space, run nothing.")] = False,
    device: Device = None,
    data: Annotated[str | None, typer.Option(metavar="ROOT", help="Folder of the data, or: synthetic.")] = None,
    synthetic_slides: Annotated[
        int | None, typer.Option(metavar="N", help="Slides of the miniature with --data synthetic.")
    ] = None,
    store: Store = None,
    cache: Cache = None,
) -> None:
    """Tune a method on validation slides, or resume a study, and test the winner once."""
    from benchmark.config import RunRequest
    from benchmark.running.executors.chosen_engine import chosen_engine
    from benchmark.running.refusals import refuse_early

    choice = chosen_engine(on, jobs=jobs, workers=workers, gpus=gpus)

    trial_request = RunRequest(
        dataset=dataset,
        preset=preset,
        settings=(*(settings or ()), *features_setting(features)),
        seeds=chosen_seeds(None, seeds),
        device=device,
        data=data,
        synthetic_slides=synthetic_slides,
        store=store,
        cache=cache,
        debug=context.ensure_object(Session).debug,
        jobs=choice.jobs,
        gpus=choice.gpus,
        timeout=trial_timeout,
        memory=memory,
        dry_run=dry_run,
    )
    if not dry_run:
        refuse_early(trial_request)
    from benchmark.tuning.request import SweepRequest
    from benchmark.tuning.run_sweep import run_sweep

    request = SweepRequest(
        sweep, trial_request, study, storage, trials, timeout, test, tuple(subject_to or ()), patience, overlays
    )
    raise typer.Exit(run_sweep(request, choice.engine))


@app.command("list")
def listing(storage: Storage = None) -> None:
    """List the studies and their progress."""
    from benchmark.commands.printing import console
    from benchmark.tracking.address import shown
    from benchmark.tuning.stored_study import stored_studies
    from benchmark.tuning.study_storage import storage_of
    from benchmark.tuning.study_tables import table_of_studies

    studies = stored_studies(storage_of(storage), missing_ok=True)
    if studies:
        console().print(table_of_studies(studies))
    else:
        console().print(f"no studies yet in {shown(storage_of(storage))}")


@app.command()
def serve(
    storage: Storage = None,
    host: Annotated[str, typer.Option(metavar="NAME", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="Port to listen on.")] = 13000,
) -> None:
    """Serve the studies to commands on other machines, which use --storage grpc://HOST:PORT; stop it with Ctrl-C."""
    from benchmark.tuning.study_server import serve as serve_studies
    from benchmark.tuning.study_storage import storage_of

    serve_studies(storage_of(storage), host, port)


@app.command()
def dashboard(
    storage: Storage = None,
    host: Annotated[str, typer.Option(metavar="NAME", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="Port to listen on.")] = 8080,
) -> None:
    """Open Optuna's dashboard on the studies, with the pictures of each trial; stop it with Ctrl-C."""
    from benchmark.tuning.study_server import dashboard as show_dashboard
    from benchmark.tuning.study_storage import storage_of

    show_dashboard(storage_of(storage), host, port)


@app.command()
def show(study: Name, storage: Storage = None) -> None:
    """Show every trial of a study, the best ones marked with a star."""
    from benchmark.commands.printing import console
    from benchmark.tuning.stored_study import stored_studies
    from benchmark.tuning.study_storage import storage_of
    from benchmark.tuning.study_tables import table_of_trials

    console().print(table_of_trials(stored_studies(storage_of(storage), study)[0]))


@app.command()
def best(
    study: Name,
    trial: Annotated[int | None, typer.Option(metavar="N", help="This trial instead of the best.")] = None,
    storage: Storage = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write. Default: the terminal.")] = None,
) -> None:
    """Write the best trial's run file, for `bench run --config`."""
    from benchmark.tuning.stored_study import no_feasible, stored_studies
    from benchmark.tuning.study_page import as_run_file
    from benchmark.tuning.study_storage import storage_of

    stored = stored_studies(storage_of(storage), study)[0]
    complete = stored.best if trial is None else [known for known in stored.trials if known.values]
    chosen = next((known for known in complete if trial in (None, known.number)), None)
    if chosen is None:
        none = f"{study} has no complete trial" if not stored.count("complete") else no_feasible(stored.trials)
        message = none if trial is None else f"{study} has no complete trial {trial}"
        raise ConfigError(message, fix=f"bench sweep show {study}")
    _write(as_run_file(stored.published_run, study, chosen, len(stored.trials)), out)


@app.command()
def export(
    study: Name,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.csv,
    storage: Storage = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write. Default: the terminal.")] = None,
) -> None:
    """Write all trials of a study as CSV or JSON."""
    import json

    from benchmark.tuning.stored_study import as_csv, frame_of, stored_studies
    from benchmark.tuning.study_storage import storage_of

    stored = stored_studies(storage_of(storage), study)[0]
    if form is Format.csv:
        _write(as_csv(frame_of(stored.trials, stored.metrics, stored.space, stored.constraints)), out)
    else:
        facts = {"study": stored.name, **stored.facts, "trials": [trial.facts() for trial in stored.trials]}
        _write(json.dumps(facts, indent=1) + "\n", out)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    from benchmark.storage import require_place, whole_file

    require_place(out)
    with whole_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
