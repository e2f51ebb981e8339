"""What SLURM says of its jobs. squeue, not sacct: it works on clusters that keep no accounts."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from benchmark.errors import EngineError
from benchmark.running.states import State

ANSWER_SECONDS = 60.0
AT_WORK = frozenset(
    {
        "PENDING",
        "CONFIGURING",
        "RUNNING",
        "COMPLETING",
        "SUSPENDED",
        "REQUEUED",
        "REQUEUE_HOLD",
        "PREEMPTED",
        "RESIZING",
    }
    | {"REQUEUE_FED", "SIGNALING", "STAGE_OUT", "STOPPED", "SPECIAL_EXIT"}
)
"""States in which a job has not ended; a preempted one is in the queue again."""

HOW: Mapping[str, tuple[State, str]] = {
    "OUT_OF_MEMORY": ("out of memory", "was killed by SLURM: out of memory (slurm_mem)"),
    "TIMEOUT": ("timed out", "was ended by SLURM at its time limit (minutes, slurm_time)"),
    "DEADLINE": ("timed out", "was ended by SLURM at its deadline"),
    "CANCELLED": ("interrupted", "was cancelled"),
    "NODE_FAIL": ("failed", "lost its node"),
    "BOOT_FAIL": ("failed", "lost its node, which did not boot"),
}


def states_of(jobs: Sequence[str]) -> dict[str, str]:
    """Job id (`12`, or `12_3` of an array) → its state, for those that SLURM still knows.

    Raises `EngineError` when the controller does not answer.
    """
    arrays = sorted({job.partition("_")[0] for job in jobs})
    words = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T"]
    words += [f"--jobs={','.join(arrays)}"] if arrays else ["--me"]
    done = _asked(words)
    if done.returncode and "Invalid job id" in done.stderr and len(arrays) > 1:  # one is forgotten: ask one by one
        return {job: state for one in arrays for job, state in states_of([one]).items()}
    if done.returncode and "Invalid job id" not in done.stderr:
        raise EngineError(f"SLURM does not answer: {_last(done.stderr)}", fix="sinfo   # is the controller up?")
    known: dict[str, str] = {}
    for line in done.stdout.splitlines():
        job, _, state = line.strip().partition("|")
        known[job] = state
    return {job: known[job] for job in jobs if job in known} if jobs else known


def cancel_job(job: str) -> None:
    """Cancel a job. Raises `EngineError` when SLURM refuses."""
    done = _asked(["scancel", job])
    if done.returncode and "Invalid job id" not in done.stderr:
        raise EngineError(f"SLURM does not cancel job {job}: {_last(done.stderr)}")


def _asked(words: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"SLURM does not answer: {error}", fix="sinfo   # is the controller up?") from error


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no word of why"])[-1]
