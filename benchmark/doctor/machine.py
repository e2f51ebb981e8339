"""Device, cores and memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from benchmark.doctor.check import Check, size

ENOUGH_MEMORY = 4 * 2**30


def devices() -> Iterator[Check]:
    """The GPUs PyTorch can use; a driver that PyTorch cannot use is a warning."""
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
        found = f"there is an NVIDIA driver, but PyTorch {torch.__version__} cannot use it"
        yield Check("device", None, found, "install the PyTorch build for your driver: https://pytorch.org/get-started")
    else:
        yield Check("device", True, "cpu (no GPU)")


def processor() -> Check:
    """Cores this process may use, against the threads it is told to use."""
    from benchmark.running.device import cores

    available, told = cores(), os.environ.get("OMP_NUM_THREADS", "")
    if told and not told.isdigit():
        return Check("cores", False, f"{available}; OMP_NUM_THREADS={told!r} is no number", "unset OMP_NUM_THREADS")
    if told and int(told) > available:
        return Check("cores", None, f"{available}, but OMP_NUM_THREADS={told}", f"export OMP_NUM_THREADS={available}")
    return Check("cores", True, f"{available}" + (f", OMP_NUM_THREADS={told}" if told else ""))


def memory() -> Check:
    """Memory that is free now."""
    import psutil

    state = psutil.virtual_memory()
    found = f"{size(state.available)} free of {size(state.total)}"
    enough = state.available >= ENOUGH_MEMORY
    return Check("memory", True if enough else None, found, "a quick run needs 3 GiB: close something")
