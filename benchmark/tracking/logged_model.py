"""The stored model of a run as MLflow's users know one: a pyfunc with signature, requirements and an input example.

The files are written by hand: `mlflow.pyfunc.log_model` imports the model, runs it and asks pip, which takes longer
than many a run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOADER = "benchmark.applying.pyfunc_loader"
"""The module whose `_load_pyfunc` MLflow calls."""
MODEL = "model"
"""The folder of a run's artifacts that holds it, and its name in the store."""
PACKAGES = ("histobench", "numpy", "pandas", "torch", "torchvision", "timm", "openslide-python", "tifffile", "mlflow")

INPUTS = [
    {"type": "string", "name": "slide", "required": True},
    {"type": "double", "name": "mpp", "required": False},
]
OUTPUTS = [
    {"type": "string", "name": "slide", "required": True},
    {"type": "string", "name": "path", "required": True},
    {"type": "double", "name": "score", "required": False},
    {"type": "double", "name": "threshold", "required": False},
    {"type": "boolean", "name": "positive", "required": False},
    {"type": "double", "name": "positive_share", "required": False},
    {"type": "string", "name": "notes", "required": False},
]
EXAMPLE = {"columns": ["slide"], "data": [["slides/slide_001.svs"]]}


def write_pyfunc(folder: Path, *, run: str, model: str | None) -> None:
    """Make the folder of a stored model one that `mlflow.pyfunc.load_model` opens."""
    python = ".".join(map(str, sys.version_info[:3]))
    wanted = [f"{name}=={found}" for name in PACKAGES if (found := _version(name))]
    (folder / "requirements.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
    environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment, sort_keys=False), encoding="utf-8")
    (folder / "input_example.json").write_text(json.dumps(EXAMPLE) + "\n", encoding="utf-8")
    about = {
        "artifact_path": MODEL,
        "flavors": {
            "python_function": {
                "env": {"virtualenv": "python_env.yaml"},
                "loader_module": LOADER,
                "python_version": python,
            }
        },
        "mlflow_version": _version("mlflow"),
        **({"model_id": model} if model else {}),
        "run_id": run,
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "type": "dataframe",
        },
        "signature": {"inputs": json.dumps(INPUTS), "outputs": json.dumps(OUTPUTS), "params": None},
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")


def log_model(client: MlflowClient, call: Callable[..., object], run: str, folder: Path) -> str:
    """Make the model a LoggedModel of MLflow 3, the output of its run; returns its id."""
    from mlflow.entities import LoggedModelOutput, Run
    from mlflow.entities.logged_model import LoggedModel

    owner = call(client.get_run, run)
    assert isinstance(owner, Run)
    experiment = owner.info.experiment_id
    made = call(client.create_logged_model, experiment, MODEL, run)
    assert isinstance(made, LoggedModel)
    number = str(made.model_id)
    write_pyfunc(folder, run=run, model=number)
    call(client.log_model_artifacts, number, str(folder))
    call(client.finalize_logged_model, number, "READY")
    call(client.log_outputs, run, [LoggedModelOutput(number, 0)])
    return number


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
