"""What the file of the engine `slurm` may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from benchmark.running.executors.executor import EngineOptions


class SlurmOptions(EngineOptions):
    """The file of the engine; `slurm_…` keys go to submitit, and from there to sbatch, as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)

    workers: int = Field(8, ge=1, description="runs at a time")
    cluster: Literal["slurm", "local", "debug"] = Field(
        "slurm", description="slurm; local: submitit's processes of this machine; debug: in this process"
    )
    folder: Path | None = Field(None, description="the files of the jobs, on a disk that all nodes see")
    python: str | None = Field(None, description="the Python of the nodes; default: this one")
    minutes: int = Field(1440, ge=1, description="time limit of a job; one that reaches it is queued again and resumes")
    requeues: int = Field(3, ge=0, description="how often a job that reaches its time limit is queued again")
    check: bool = Field(True, description="first send a job that compares versions and looks for data and store")

    @property
    def passed_on(self) -> dict[str, Any]:
        """The `slurm_…` keys."""
        return dict(self.model_extra or {})
