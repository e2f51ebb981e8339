"""Where a run computes: device, thread count, and PyTorch's deterministic mode."""

from __future__ import annotations

import os
import re
import warnings

from benchmark.errors import ConfigError


def choose_device(wanted: str) -> str:
    """`auto` is `cuda:0` where there is one, else `cpu`. Raises `ConfigError` for a device that is not there."""
    import torch

    if wanted == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu":
        return wanted
    index = wanted.partition(":")[2]
    found = torch.cuda.device_count()
    if int(index or 0) >= found:
        msg = f"--device {wanted}: this machine has {found} CUDA device(s)"
        raise ConfigError(msg, fix="bench doctor, or --device cpu")
    return f"cuda:{int(index or 0)}"


def assigned_device(wanted: str, slot: int, jobs: int) -> str:
    """`auto` with several CUDA devices: the one of this job's slot, so that jobs side by side do not share one.

    Counted without starting CUDA, which a process forked later could not use any more. One job at a time chooses for
    itself: importing PyTorch here would only cost it two seconds.
    """
    if wanted != "auto" or jobs == 1:
        return wanted
    import torch

    found = torch.cuda.device_count()
    return f"cuda:{slot % found}" if found > 1 else wanted


def cores() -> int:
    """How many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """`OMP_NUM_THREADS` where it is set, else every core. Raises `ConfigError` when it is not a positive number."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told and read_threads(told) is None:
        raise ConfigError(f"OMP_NUM_THREADS={told!r} is not a number of threads", fix="unset OMP_NUM_THREADS")
    return read_threads(told) or cores()


def read_threads(told: str) -> int | None:
    """The number of threads that `OMP_NUM_THREADS` says; None where it says none."""
    return int(told) or None if re.fullmatch("[0-9]{1,9}", told) else None


def limit_threads(count: int) -> None:
    """Hold the pools of the numerical libraries (BLAS, OpenMP) to `count` threads, also those loaded already."""
    from threadpoolctl import ThreadpoolController

    ThreadpoolController().limit(limits=count)


def prepare(device: str, seed: int) -> None:
    """Set the thread count and make PyTorch deterministic, so that one command gives one set of numbers.

    On a GPU, operations without a deterministic kernel warn instead of failing, and float32 is computed in float32.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.set_num_threads(threads())
    limit_threads(threads())
    # Not `use_deterministic_algorithms`: it imports the compiler, which nobody here uses, for two seconds.
    torch.set_deterministic_debug_mode("error" if device == "cpu" else "warn")
    torch.backends.cudnn.benchmark = False
    _keep_float32()
    torch.manual_seed(seed % 2**63)


def _keep_float32() -> None:
    """Forbid TF32, the ten binary digits in which GPUs from Ampere on convolve by default."""
    import torch

    with warnings.catch_warnings():
        # These warn from PyTorch 2.9 on; without them, whoever reads one there is told that old and new were mixed.
        warnings.simplefilter("ignore", UserWarning)
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    operations = [getattr(torch.backends.cudnn, name, None) for name in ("conv", "rnn")]
    for operation in (*operations, torch.backends.cuda.matmul):
        if operation is not None and hasattr(operation, "fp32_precision"):  # from PyTorch 2.9 on
            operation.fp32_precision = "ieee"
