"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands import complete

Store = Annotated[
    str | None, typer.Option(metavar="URI", help="MLflow store. Default: MLFLOW_TRACKING_URI, sqlite:///mlflow.db.")
]
Cache = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Cache folder. Default: BENCH_CACHE, the user's cache folder.")
]
DataRoot = Annotated[
    str | None, typer.Option(metavar="ROOT", help="Folder of the data, or: synthetic. Default: BENCH_DATA, ./data.")
]
Device = Annotated[
    str | None, typer.Option(metavar="DEV", help="auto, cpu, cuda or cuda:N.", autocompletion=complete.device)
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A parameter or dataset option (bench info NAME); repeatable.",
        autocompletion=complete.setting,
    ),
]
