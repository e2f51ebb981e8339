"""The engine `slurm`: runs as jobs of a SLURM cluster, through submitit."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from types import ModuleType

import psutil

from benchmark.errors import EngineError
from benchmark.running.executors.executor import Curve, Engine, Say
from benchmark.running.executors.slurm_options import SlurmOptions
from benchmark.running.executors.slurm_states import cancel_job, states_of
from benchmark.running.executors.submitted import SubmititExecutor
from benchmark.running.limits import Limits

PIP = "pip install 'histobench[slurm]'"


class SlurmEngine(Engine):
    """Jobs of a SLURM cluster, through submitit."""

    name = "slurm"
    Options = SlurmOptions
    leaves = True
    options: SlurmOptions

    @classmethod
    def keys(cls) -> frozenset[str]:
        """The fields of the file, and `slurm_…` for everything that submitit passes on to sbatch."""
        known = _submitit().SlurmExecutor._valid_parameters()
        return frozenset((*cls.Options.model_fields, *(f"slurm_{name}" for name in known)))

    def require(self) -> None:
        """Raise `EngineError` without submitit, or where there is no SLURM."""
        _submitit()
        if self.options.cluster != "slurm":
            return
        missing = [command for command in ("sbatch", "srun", "squeue", "scancel") if shutil.which(command) is None]
        if missing:
            what = f"there is no SLURM on this machine: {', '.join(missing)} not found"
            raise EngineError(what, fix="log in to a node of the cluster, or try `cluster: local`")
        states_of([])

    def executor(self, jobs: int, limits: Limits, say: Say, curve: Curve, *, queued: int = 0) -> SubmititExecutor:
        """An executor of at most `jobs` jobs at a time, of which SLURM holds `queued` more in its queue."""
        waiting = queued if self.options.cluster == "slurm" else 0
        return SubmititExecutor(self.name, self.options, jobs, limits, say, curve, waiting)

    def states(self, jobs: list[str]) -> Mapping[str, str]:
        """Job id → its state in SLURM's words; of submitit's local jobs: running."""
        if self.options.cluster == "slurm":
            return states_of(jobs)
        return {job: "RUNNING" for job in jobs if _local_job(job) is not None}

    def cancel(self, job: str) -> None:
        """Cancel a job."""
        if self.options.cluster == "slurm":
            cancel_job(job)
        elif (process := _local_job(job)) is not None:
            with suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGINT)


def _submitit() -> ModuleType:
    try:
        import submitit
    except ImportError as error:
        raise EngineError("the engine slurm needs the Python package submitit", fix=PIP) from error
    return submitit


def _local_job(job: str) -> psutil.Process | None:
    """The process that controls one of submitit's local jobs; another process may have its number by now."""
    with suppress(psutil.Error, ValueError):
        process = psutil.Process(int(job))
        if "submitit.local._local" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None
