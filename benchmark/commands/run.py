"""`bench run`: methods × datasets × seeds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands import complete
from benchmark.commands.options import Cache, DataRoot, Device, Settings, Store
from benchmark.commands.session import Session
from benchmark.errors import ConfigError

EXAMPLES = """\
Examples:

\b
  bench run --method oeem --dataset glas --data synthetic
  bench run --method oeem --dataset glas --data /data/glas --preset paper     # the published setting
  bench run --method all --dataset all --seeds 0,1,2 --jobs 2 --timeout 1h
  bench run --method all --dataset all --dry-run        # the plan: runs to do, finished, not applicable
  bench run --method oeem,oeem:weighting=none --dataset glas:target=gland
  bench run --method oeem --dataset glas --set weighting=lc_mix --set method.presence=0.1,0.2      # a grid: 3 runs
  bench run --method dknn,lcmil --dataset camelyon16 --features features_uni_v1/
  bench run --method lcmil --dataset camelyon16 --data /data/camelyon16 --preset smoke --slides 3   # a first look
  bench run --method abmil,hnm --dataset pcam-bags --budget 3%,10%,30%,100% --seeds 0,1,2   # bench leaderboard --curve
  bench run --method abmil --train camelyon16 --test slides --data /data/camelyon16 --test-data ours/ --map tumor=lesion
  bench run --config config.yaml          # repeat a run from its artifact
  bench run --method coarse --dataset glas --offline runs/      # no store here; later: bench sync runs/
  bench run --method all --dataset all --seeds 0,1,2 --on slurm.yml --detach      # on a cluster; bench jobs

A variant is a component with settings of its own: NAME:field=value:field=value. A finished run is not repeated
(--force repeats it); an interrupted one resumes where it stopped.
"""


class Scale(StrEnum):
    """At which resolution the slides of `--test` are read."""

    matched = "matched"
    as_is = "as-is"


Features = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Features made elsewhere (TRIDENT, CLAM), for methods on frozen features."),
]
Preset = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Parameters: quick (default), paper, smoke.", autocompletion=complete.preset),
]
Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="YAML file of a run; command-line options override it.")
]
Budgets = Annotated[
    str | None,
    typer.Option("--budget", metavar="LIST", help="Labels to learn from: 1%,10%,100% or 30min,2h or 20slides."),
]
CostFile = Annotated[
    Path | None, typer.Option("--cost-model", metavar="FILE", help="YAML file: minutes per label, for budgets in them.")
]


OneSlide = Annotated[
    str | None,
    typer.Option(metavar="ID", help="This slide alone, of whichever split; for methods that learn from no other."),
]
FewSlides = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="At most N slides of each split, for a first look; ranked apart."),
]
Refit = Annotated[
    bool,
    typer.Option("--refit", help="Fit on training and validation slides, if the method selects nothing on validation."),
]
Calibrate = Annotated[
    bool, typer.Option("--calibrate", help="Scale scores by temperatures fitted on validation slides")
]
Timeout = Annotated[str | None, typer.Option(metavar="TIME", help="Time limit per run: 90s, 15m, 2h. Default: none.")]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory limit per run: 8GB. Default: 90 % of the machine / jobs.")
]
Train = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="The same as --dataset, beside --test.", autocompletion=complete.dataset_list),
]
Test = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Also test on this other dataset.", autocompletion=complete.dataset_list),
]
TestData = Annotated[
    str | None, typer.Option(metavar="ROOT", help="Folder of the data of --test. Default: that of --data.")
]
ClassMap = Annotated[
    str | None, typer.Option("--map", metavar="PAIRS", help="CLASS_OF_TEST=CLASS_OF_TRAIN,…; ignore: counts nowhere.")
]
ScaleOption = Annotated[
    Scale, typer.Option("--scale", help="Slides of --test: matched to the train slides in microns, or as they are.")
]
On = Annotated[
    Path | None, typer.Option("--on", metavar="FILE", help="Engine file: where the runs are done (docs/clusters.md).")
]
Gpus = Annotated[str | None, typer.Option(metavar="LIST", help="One run per GPU of this machine: all, 2, or 0,3.")]
Offline = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep the runs in this folder, without a store; later: bench sync DIR."),
]
Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Runs at a time on the engine of --on. Default: its file's.")
]


def run(
    context: typer.Context,
    method: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Methods: a,b or all.", autocompletion=complete.method_list)
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Datasets: a,b or all.", autocompletion=complete.dataset_list)
    ] = None,
    train: Train = None,
    test: Test = None,
    preset: Preset = None,
    settings: Settings = None,
    config: Config = None,
    features: Features = None,
    slide: OneSlide = None,
    slides: FewSlides = None,
    budget: Budgets = None,
    cost_model: CostFile = None,
    refit: Refit = False,
    calibrate: Calibrate = False,
    seed: Annotated[int | None, typer.Option(metavar="INT", help="Seed (default 0).")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="LIST", help="Several seeds: 0,1,2.")] = None,
    device: Device = None,
    data: DataRoot = None,
    test_data: TestData = None,
    class_map: ClassMap = None,
    scale: ScaleOption = Scale.matched,
    synthetic_slides: Annotated[
        int | None, typer.Option(metavar="N", help="Slides of the miniature with --data synthetic.")
    ] = None,
    store: Store = None,
    offline: Offline = None,
    cache: Cache = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", metavar="N", help="Runs in parallel (1); 0: in this process, for a debugger."),
    ] = None,
    gpus: Gpus = None,
    on: On = None,
    workers: Workers = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave the runs on the cluster of --on and return; see bench jobs.")
    ] = False,
    timeout: Timeout = None,
    memory: Memory = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, run nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Repeat finished runs.")] = False,
) -> None:
    """Train and test methods on datasets; results go to MLflow."""
    refuse_loose_words(context.args, method, dataset)
    # Read once, when PyTorch is loaded: threads that spin while they wait slow every neighbour down several times.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from benchmark.config import RunRequest
    from benchmark.running.executors.chosen_engine import chosen_engine
    from benchmark.running.refusals import refuse_early

    choice = chosen_engine(on, jobs=jobs, workers=workers, gpus=gpus, detach=detach)
    request = RunRequest(
        method=method,
        dataset=chosen_dataset(dataset, train, test),
        preset=preset,
        settings=(*(settings or ()), *features_setting(features)),
        config=config,
        slide=slide,
        slides=slides,
        budget=budget,
        cost_model=cost_model,
        seeds=chosen_seeds(seed, seeds),
        device=device,
        data=data,
        synthetic_slides=synthetic_slides,
        store=store_or_folder(store, offline),
        cache=cache,
        jobs=choice.jobs,
        gpus=choice.gpus,
        on=on,
        workers=workers,
        detach=detach,
        timeout=timeout,
        memory=memory,
        dry_run=dry_run,
        refit=refit,
        calibrate=calibrate,
        force=force,
        debug=context.ensure_object(Session).debug,
        test=test,
        test_data=test_data,
        class_map=class_map,
        as_is=scale is not Scale.matched,
    )
    refuse_early(request)
    from benchmark.running.matrix import run_all

    raise typer.Exit(run_all(request, choice.engine))


def chosen_dataset(dataset: str | None, train: str | None, test: str | None) -> str | None:
    """The datasets of `--dataset` or `--train`. Raises `ConfigError` for both, and for `--train` alone."""
    if train is None:
        return dataset
    if dataset is not None:
        raise ConfigError("both --dataset and --train are given: they mean the same", fix=f"--train {train}")
    if test is None:
        raise ConfigError("--train is given without --test", fix=f"bench run --dataset {train}, or add --test NAME")
    return train


def store_or_folder(store: str | None, offline: Path | None) -> str | None:
    """The address of `--store` or `--offline`. Raises `ConfigError` for both."""
    from benchmark.tracking.offline_store import offline_address

    if store is not None and offline is not None:
        raise ConfigError("both --store and --offline are given", fix="use one; bench sync DIR --store URI comes later")
    return store if offline is None else offline_address(offline)


def refuse_loose_words(words: Sequence[str], method: str | None, dataset: str | None) -> None:
    """Raise `ConfigError` for words that belong to no option: most often names with blanks where commas belong."""
    if not words:
        return
    from benchmark.plain_yaml import short
    from benchmark.registry import datasets, methods

    loose = [name for word in words for name in word.split(",") if name]
    joined, known = [], 0
    for option, given, names in (("method", method, methods().names()), ("dataset", dataset, datasets().names())):
        own = [name for name in loose if name.partition(":")[0] in names]
        known += len(own)
        if own:
            joined.append(f"--{option} {','.join([*filter(None, [(given or '').strip(',')]), *own])}")
    fix = f"join names with commas: {' '.join(joined)}" if known == len(loose) > 0 else "lists are written as a,b,c"
    raise ConfigError(f"{short(' '.join(words))} belongs to no option", fix=fix)


def features_setting(folder: Path | None) -> tuple[str, ...]:
    """`--features FOLDER` as the setting it stands for."""
    import json

    return () if folder is None else (f"method.features={json.dumps(str(folder.expanduser()), ensure_ascii=False)}",)


def chosen_seeds(seed: int | None, seeds: str | None) -> tuple[int, ...] | None:
    """The seeds of `--seed` or `--seeds`, None without them. Raises `ConfigError` for both, or an invalid seed."""
    from benchmark.plain_yaml import short
    from benchmark.seeds import require_seed

    if seed is not None and seeds is not None:
        raise ConfigError("both --seed and --seeds are given", fix="use one: --seeds 0,1,2")
    if seeds is None:
        return None if seed is None else (require_seed(seed),)
    try:
        return tuple(dict.fromkeys(require_seed(int(part), "--seeds") for part in seeds.split(",")))
    except ValueError:
        raise ConfigError(f"--seeds {short(seeds)} is not a list of whole numbers", fix="--seeds 0,1,2") from None
