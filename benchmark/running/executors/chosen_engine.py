"""Which engine a command asked for, and how many runs at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ConfigError
from benchmark.plain_yaml import short
from benchmark.running.executors.engine_file import read_engine
from benchmark.running.executors.executor import Engine
from benchmark.running.executors.local import LOCAL


@dataclass(frozen=True)
class Choice:
    """The engine, the runs at a time, and the CUDA devices that they are given one each."""

    engine: Engine
    jobs: int
    gpus: tuple[int, ...] = ()


def chosen_engine(
    on: Path | None, *, jobs: int | None, workers: int | None, gpus: str | None, detach: bool = False
) -> Choice:
    """The engine of `--on`, else this machine. Raises `BenchError` for options that do not go together."""
    if on is None:
        if workers is not None:
            raise ConfigError("--workers counts runs on the engine of --on", fix=f"--jobs {workers} on this machine")
        if detach:
            raise ConfigError("--detach leaves runs on the engine of --on", fix="nohup bench run … &")
        return _here(jobs, gpus)
    if jobs is not None:
        raise ConfigError("--jobs counts processes of this machine", fix=f"--workers {jobs} on the engine of --on")
    if gpus is not None:
        raise ConfigError("--gpus is for this machine; the engine of --on has keys for it", fix="docs/clusters.md")
    engine = read_engine(on)
    if detach and not engine.leaves:
        raise ConfigError(f"runs on the engine {engine.name} end with the command: it has no --detach")
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers {workers}: expected 1 or more", fix="--workers 2")
    engine.require()
    return Choice(engine, workers or engine.workers)


def _here(jobs: int | None, gpus: str | None) -> Choice:
    if gpus is None:
        return Choice(LOCAL, 1 if jobs is None else jobs)
    if jobs is not None:
        raise ConfigError("both --jobs and --gpus are given: with --gpus there is one run per GPU", fix="use one")
    numbers = read_gpus(gpus)
    return Choice(LOCAL, len(numbers), numbers)


def read_gpus(text: str) -> tuple[int, ...]:
    """`all`, `2` (so many) as `0,1`, or a list `0,2`. Raises `ConfigError` for GPUs that are not there."""
    import torch

    found = torch.cuda.device_count()
    parts = [part.strip() for part in text.split(",")]
    if text.strip() != "all" and not all(re.fullmatch("[0-9]{1,9}", part) for part in parts):
        raise ConfigError(
            f"--gpus {short(text)}: expected all, a number of GPUs, or their numbers 0,2", fix="--gpus all"
        )
    if text.strip() == "all":
        numbers = tuple(range(found))
    else:
        numbers = tuple(map(int, parts)) if len(parts) > 1 else tuple(range(min(int(parts[0]), found + 1)))
    if not numbers or max(numbers) >= found or len(set(numbers)) < len(numbers):
        raise ConfigError(f"--gpus {text}: this machine has {found} CUDA device(s)", fix="bench doctor, or --jobs 2")
    return numbers
