"""Runs as MLflow has them: written number by number, read as our records."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.stored import TABLE_SUFFIX, StoredRun
from benchmark.tracking.live import Number
from benchmark.tracking.logged_model import log_model
from benchmark.tracking.names import MAX_DIGEST

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput as MlflowInput
    from mlflow.entities import Run


@dataclass(frozen=True)
class DatasetInput:
    """The data a run used. `digest` is cut to MLflow's 36 characters, `profile` is shown as JSON."""

    name: str
    source: str
    digest: str
    profile: Mapping[str, object]


class MlflowSink:
    """Writes one run, see `live.Sink`."""

    def __init__(
        self, client: MlflowClient, call: Callable[..., object], run_id: str, dataset: DatasetInput | None = None
    ) -> None:
        self._client, self._call, self._id, self._dataset = client, call, run_id, dataset
        self._model: str | None = None

    def numbers(self, batch: Sequence[Number]) -> None:
        """Add metrics."""
        from mlflow.entities import Metric

        of_model = self._dataset if self._model is not None else None
        name, digest = (of_model.name, of_model.digest[:MAX_DIGEST]) if of_model is not None else (None, None)
        metrics = [Metric(*number, model_id=self._model, dataset_name=name, dataset_digest=digest) for number in batch]
        self._call(self._client.log_batch, self._id, metrics=metrics)

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        self._call(self._client.log_batch, self._id, tags=[RunTag(key, value) for key, value in values.items()])

    def upload(self, folder: Path) -> None:
        """Add every file under the folder as an artifact; tables are shown as such."""
        self._call(self._client.log_artifacts, self._id, str(folder))
        tables = sorted(path.relative_to(folder).as_posix() for path in folder.rglob(f"*{TABLE_SUFFIX}"))
        if tables:
            self.tags({"mlflow.loggedArtifacts": json.dumps([{"path": path, "type": "table"} for path in tables])})

    def model(self, folder: Path) -> None:
        """Store the folder as the run's model; metrics that come later are the model's too."""
        self._model = log_model(self._client, self._call, self._id, folder)

    def close(self, status: str, ended: int | None = None) -> None:
        """Set the final status, and when the run ended: milliseconds since 1970, now by default."""
        self._call(self._client.set_terminated, self._id, status, ended)


def stored_run(run: Run) -> StoredRun:
    """MLflow's run as our record."""
    info, data = run.info, run.data
    return StoredRun(
        info.run_id,
        info.run_name or "",
        info.status,
        data.metrics,
        data.params,
        data.tags,
        info.artifact_uri or "",
        ended=info.end_time or 0,
        started=info.start_time or 0,
    )


def dataset_input(dataset: DatasetInput) -> MlflowInput:
    """What a run learns from, as MLflow takes it."""
    from mlflow import entities

    source, profile = json.dumps({"uri": dataset.source}), json.dumps(dict(dataset.profile), default=str)
    data = entities.Dataset(dataset.name, dataset.digest[:MAX_DIGEST], "local", source, profile=profile)
    return entities.DatasetInput(data, [entities.InputTag("mlflow.data.context", "training and test")])
