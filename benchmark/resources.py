"""Seconds and peak memory of a piece of work."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Any

import psutil

_PERIOD = 0.05


class Meter:
    """Context manager that measures wall seconds, CPU seconds and the peak resident memory of this process in MiB.

    The resident size is sampled every 50 ms; on a CUDA device the allocator's own peak is read too.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.peak_mib = 0.0
        self.peak_gpu_mib = 0.0
        self._stop = threading.Event()
        self._process = psutil.Process()

    def __enter__(self) -> Meter:
        self._began, self._used = time.perf_counter(), self._cpu()
        if self._cuda() is not None:
            self._cuda().reset_peak_memory_stats()
        self._thread = threading.Thread(target=self._watch, name="memory-meter", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()
        self.seconds = time.perf_counter() - self._began
        self.cpu_seconds = self._cpu() - self._used
        if self._cuda() is not None:
            self.peak_gpu_mib = self._cuda().max_memory_allocated() / 2**20

    def _cpu(self) -> float:
        """CPU seconds of this process and of its children that have ended."""
        times = self._process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._sample()
            self._stop.wait(_PERIOD)

    def _sample(self) -> None:
        self.peak_mib = max(self.peak_mib, self._process.memory_info().rss / 2**20)

    @staticmethod
    def _cuda() -> Any:
        torch = sys.modules.get("torch")
        return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
