"""How MLflow is set up, and what it imports late; data alone, so that reading it loads nothing."""

from __future__ import annotations

SETTINGS = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""What MLflow is told unless the environment says otherwise: less talk, nothing sent home, failures in a minute."""

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
PATIENT = "120"
"""Seconds for an answer of a server that has answered before: many runs that start at once make it slow, not dead."""


LOADED_BY_MLFLOW = (
    "mlflow.artifacts",
    "mlflow.data",
    "mlflow.store.artifact.local_artifact_repo",
    "mlflow.store.db.utils",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
)
"""What MLflow imports at its first call, seconds of it; for processes that load it ahead."""
