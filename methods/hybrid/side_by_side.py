"""Prediction on a CPU: several patches at once, one core each, which idle less than all cores on one patch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def begun(function: Callable[[Part], Result], parts: Iterable[Part], device: str) -> Callable[[], list[Result]]:
    """Start `function` on every part; the function returned waits for the results, in the order of the parts.

    Each part is computed by a single core, so that results do not depend on the number of cores. On a GPU, or with
    one core, everything is computed at once.
    """
    cores = torch.get_num_threads()
    if device != "cpu" or cores == 1:
        done = [function(part) for part in parts]
        return lambda: done
    futures = [_pool(os.getpid(), cores).submit(function, part) for part in parts]
    return lambda: [future.result() for future in futures]


@lru_cache(maxsize=1)
def _pool(process: int, cores: int) -> ThreadPoolExecutor:
    """The threads of this process (a forked one has none of its parent's)."""
    return ThreadPoolExecutor(cores, "predict", initializer=_one_core, initargs=(cores,))


def _one_core(cores: int) -> None:
    # PyTorch gives a thread the common number of cores when it first asks for it, so that comes first; what is set
    # then is this thread's number and also the common one of threads to come, which therefore is put back.
    torch.get_num_threads()
    torch.set_num_threads(1)
    other = threading.Thread(target=torch.set_num_threads, args=(cores,))
    other.start()
    other.join()
