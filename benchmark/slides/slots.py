"""Arrays handed from one process to another through shared memory: a pipe costs about as much as half a JPEG tile."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOUNTED = Path("/dev/shm")
"""Where Linux keeps shared memory; small in many containers."""


@contextmanager
def shared_slots(number: int, shape: tuple[int, ...]) -> Iterator[SharedMemory | None]:
    """Room for `number` uint8 arrays of one shape, given back at the end; None where the machine has not enough.

    The room is reserved at once: a process that writes where none is left would be killed (SIGBUS).
    """
    size = number * math.prod(shape)
    try:
        memory = SharedMemory(create=True, size=size)
    except OSError:
        yield None
        return
    try:
        yield memory if _reserved(memory.name, size) else None
    finally:
        memory.close()
        memory.unlink()


def slot_view(memory: SharedMemory, slot: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The array in a slot. Drop it before the memory is given back."""
    return np.ndarray(shape, np.uint8, memory.buf, offset=slot * math.prod(shape))


@lru_cache(maxsize=1)
def attached(name: str) -> SharedMemory:
    """The memory that another process has reserved; mapped once."""
    return SharedMemory(name)


def _reserved(name: str, size: int) -> bool:
    path = MOUNTED / name
    if not path.exists():
        return True
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        return False
    return True
