"""What `bench jobs` knows: a file per job that a command has given to a cluster and not yet seen end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmark.file_names import file_name
from benchmark.storage import whole_file

KEPT_SECONDS = 7 * 86400.0
"""A job that is over is shown for so long."""


@dataclass(frozen=True)
class BookedJob:
    """A job and the run that it does. `options`: of its engine, as its file had them."""

    job: str
    engine: str
    options: Mapping[str, Any]
    run: str
    dataset: str
    store: str
    folder: str
    begun: float = field(default_factory=time.time)

    @property
    def age(self) -> float:
        """Seconds since it was given to the cluster."""
        return time.time() - self.begun


class JobBook:
    """The booked jobs of a cache folder."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / "jobs"

    def enter(self, job: BookedJob) -> None:
        """Book a job."""
        with whole_file(self._place(job.engine, job.job)) as temporary:
            temporary.write_text(json.dumps(asdict(job), default=str), encoding="utf-8")

    def strike(self, engine: str, job: str) -> None:
        """Forget a job that was seen to end."""
        self._place(engine, job).unlink(missing_ok=True)

    def jobs(self) -> list[BookedJob]:
        """All booked jobs, oldest first."""
        booked = []
        for path in self._folder.glob("*.json"):
            with suppress(FileNotFoundError, ValueError, TypeError):  # struck meanwhile, or of another version
                booked.append(BookedJob(**json.loads(path.read_text(encoding="utf-8"))))
        return sorted(booked, key=lambda job: (job.begun, job.job))

    def _place(self, engine: str, job: str) -> Path:
        return self._folder / file_name(f"{engine}-{job}", ".json")
