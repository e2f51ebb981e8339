"""Device, cores and memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from benchmark.doctor.check import Check, size

ENOUGH_MEMORY = 4 * 2**30


def check_devices() -> Iterator[Check]:
    """The GPUs that PyTorch can use; a driver that it cannot use is a warning."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Check("device", False, f"PyTorch cannot be imported: {error}", "pip install --force-reinstall torch")
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            yield Check("device", True, f"cuda:{index} {properties.name}, {size(properties.total_memory)}")
    elif shutil.which("nvidia-smi"):
        result = f"NVIDIA driver found, but PyTorch {torch.__version__} cannot use it"
        yield Check(
            "device", None, result, "install the PyTorch build for your driver: https://pytorch.org/get-started"
        )
    else:
        yield Check("device", True, "cpu (no GPU)")


def check_cores() -> Check:
    """Cores this process may use, against `OMP_NUM_THREADS`."""
    from benchmark.running.device import cores, read_threads

    available, threads = cores(), os.environ.get("OMP_NUM_THREADS", "")
    if threads and read_threads(threads) is None:
        return Check(
            "cores", False, f"{available}; OMP_NUM_THREADS={threads!r} is not a number", "unset OMP_NUM_THREADS"
        )
    if threads and int(threads) > available:
        return Check(
            "cores", None, f"{available}, but OMP_NUM_THREADS={threads}", f"export OMP_NUM_THREADS={available}"
        )
    return Check("cores", True, f"{available}" + (f", OMP_NUM_THREADS={threads}" if threads else ""))


def check_memory() -> Check:
    """Free memory."""
    import psutil

    state = psutil.virtual_memory()
    result = f"{size(state.available)} free of {size(state.total)}"
    enough = state.available >= ENOUGH_MEMORY
    return Check("memory", True if enough else None, result, "a quick run needs 3 GiB: close other programs")
