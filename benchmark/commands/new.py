"""`bench new`: the beginning of a method, a dataset, an encoder or a sweep of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands import complete

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Write a package with a method, dataset, encoder or sweep of your own, and its test.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called: a-z, 0-9 and hyphens.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The new folder. Default: ./NAME.")]


@app.command()
def method(name: Name, out: Out = None) -> None:
    """Write a package with a method that learns from patch labels, and its test."""
    from benchmark.scaffold.packages import package_files

    folder = out or Path(name)
    _write(folder, package_files("method", name))
    _next(f"pip install -e {folder}", f"pytest {folder}", f"bench run --method {name} --dataset glas --data synthetic")


@app.command()
def dataset(name: Name, out: Out = None) -> None:
    """Write a package with a dataset of tiles and label images, and its test."""
    from benchmark.scaffold.packages import package_files

    folder = out or Path(name)
    _write(folder, package_files("dataset", name))
    run = f"bench run --method constant --dataset {name} --data synthetic"
    _next(f"pip install -e {folder}", f"pytest {folder}", run)


@app.command()
def encoder(
    name: Name,
    architecture: Annotated[
        str, typer.Option(metavar="MODEL", help="The model of timm that your weights fit.")
    ] = "resnet18",
    out: Out = None,
) -> None:
    """Write a package with an encoder, a network of timm with your own weights, and its test."""
    from benchmark.learning.encoders.sources import kept_path
    from benchmark.scaffold.packages import encoder_files

    folder = out or Path(name)
    _write(folder, encoder_files(name, architecture))
    run = f"bench run --method mean-mil --dataset camelyon16 --data synthetic --set encoder={name}"
    kept = kept_path(name)
    _next(f"mkdir -p {kept.parent} && cp WEIGHTS.pth {kept}", f"pip install -e {folder}", f"pytest {folder}", run)


@app.command()
def sweep(
    method: Annotated[
        str, typer.Argument(metavar="METHOD", help="The method to tune.", autocompletion=complete.method_list)
    ],
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="The dataset to tune on.", autocompletion=complete.dataset_name)
    ] = "glas",
    metric: Annotated[str, typer.Option(metavar="NAME", help="What is to be best.")] = "pixel/miou",
    out: Out = None,
) -> None:
    """Write a search space around the values that a method's authors chose, and its test."""
    from benchmark.scaffold.packages import sweep_files

    folder = out or Path(f"{method}-sweep")
    _write(folder, sweep_files(method, dataset, metric, str(folder)))
    _next(f"pytest {folder}", f"bench sweep {folder}/{method}.yaml --data synthetic --dry-run")


def _write(folder: Path, files: Mapping[str, str]) -> None:
    from benchmark.scaffold.packages import write_package

    write_package(folder, files)
    for name in files:
        typer.echo(f"written: {folder / name}")


def _next(*commands: str) -> None:
    typer.echo("next:")
    for command in commands:
        typer.echo(f"  {command}")
