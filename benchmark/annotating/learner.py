"""Keeps a method in step with the answers in force, whatever was undone, changed or given ahead of its question.

The answers are the truth; what the method learnt follows from them. So an undone answer leads back to the round that
used it, an answer given ahead is used when it is asked for, and a lost snapshot is computed again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark import storage
from benchmark.annotating.journal import Mark
from benchmark.errors import ReviewError
from benchmark.identity import digest_of

if TYPE_CHECKING:
    from benchmark.annotating.steps import Steps
    from benchmark.supervision import Labels

KEPT = 6
"""Rounds of which a snapshot stays on the disk: so far back undo is immediate, farther it computes again."""

Round = tuple[tuple[int, int], ...]
"""Item and class of every answer that a round learnt from."""
Task = Callable[[], None]


@dataclass(frozen=True, eq=False)
class View:
    """What is known after some rounds. `batch`: items to review. `ahead`: to review while the next round is learnt.

    `probabilities`: M × choices, None before anything is learnt. `used`: items that rounds learnt from.
    """

    begun: bool = False
    batch: tuple[int, ...] = ()
    ahead: tuple[int, ...] = ()
    place: tuple[int, int] = (0, 0)
    rounds: int = 0
    finished: bool = False
    probabilities: NDArray[np.float32] | None = None
    used: frozenset[int] = frozenset()
    losses: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    """What the last round took to learn."""


class Learner:
    """`task` says what is to be done next, and doing it renews `view`. One thread does the tasks."""

    def __init__(self, steps: Steps, labels: Callable[[Sequence[Mark]], Labels], folder: Path) -> None:
        """`labels`: a view of the slide's labels whose expert knows these examples. `folder`: for snapshots."""
        self.view = View()
        self._steps, self._labels, self._folder = steps, labels, folder
        self._examples: tuple[Mark, ...] | None = None
        self._rounds: list[Round] = []
        self._last: tuple[Mapping[str, float], float] = ({}, 0.0)

    def task(self, examples: Sequence[Mark], started: bool, answers: Mapping[int, int]) -> Task | None:
        """What has to be done to be in step with what is in force; None: nothing."""
        if not started:
            return self._forget if self._examples is not None else None
        if self._examples != tuple(examples):
            return partial(self._begin, tuple(examples), dict(answers))
        sound = _sound(self._rounds, answers)
        if sound < len(self._rounds):
            return partial(self._back, sound)
        batch = self.view.batch
        if batch and all(item in answers for item in batch):
            return partial(self._update, {item: answers[item] for item in batch})
        return None

    def _forget(self) -> None:
        self._examples, self._rounds, self.view = None, [], View()

    def _begin(self, examples: tuple[Mark, ...], answers: Mapping[int, int]) -> None:
        """Start with these examples, or go on where an earlier program was."""
        self._examples = None
        if not self._steps.begin(self._labels(examples)):
            raise ReviewError("the method took up none of the examples, so there is nothing to search with")
        self._examples, self._rounds = examples, []
        kept = self._remembered()
        for number in range(_sound(kept, answers), 0, -1):
            if self._restored(kept[:number]):
                break
        self._publish()

    def _back(self, number: int) -> None:
        """To where `number` rounds were learnt, or the nearest earlier round that is kept."""
        assert self._examples is not None
        for earlier in range(number, 0, -1):
            if self._restored(self._rounds[:earlier]):
                self._publish()
                return
        self._begin(self._examples, {})

    def _update(self, answers: Mapping[int, int]) -> None:
        began = time.perf_counter()
        losses = self._steps.update(answers)
        self._rounds.append(tuple(answers.items()))
        self._last = losses, time.perf_counter() - began
        self._publish()
        self._keep()

    def _publish(self) -> None:
        steps = self._steps
        batch = () if steps.finished else tuple(steps.propose())
        self.view = View(
            begun=True,
            batch=batch,
            ahead=() if steps.finished else tuple(steps.ahead),
            place=steps.place,
            rounds=len(self._rounds),
            finished=steps.finished,
            probabilities=steps.probabilities() if steps.trained else None,
            used=frozenset(item for done in self._rounds for item, _ in done),
            losses=self._last[0],
            seconds=self._last[1],
        )

    def _path(self, rounds: Sequence[Round]) -> Path:
        return self._folder / f"{digest_of([self._examples, rounds])}.pt"

    def _keep(self) -> None:
        storage.save(self._steps.state(), self._path(self._rounds))
        with storage.whole_file(self._folder / "rounds.json") as temporary:
            temporary.write_text(json.dumps({"examples": self._examples, "rounds": self._rounds}) + "\n")
        newest = sorted(self._folder.glob("*.pt"), key=lambda path: path.stat().st_mtime_ns)
        for path in newest[:-KEPT]:
            path.unlink(missing_ok=True)

    def _remembered(self) -> list[Round]:
        """The rounds of an earlier program with the same examples. They only save time, so what is unusable is none."""
        try:
            kept = json.loads((self._folder / "rounds.json").read_text(encoding="utf-8"))
            if [tuple(mark) for mark in kept["examples"]] != list(self._examples or ()):
                return []
            return [tuple((int(item), int(label)) for item, label in done) for done in kept["rounds"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _restored(self, rounds: Sequence[Round]) -> bool:
        path = self._path(list(rounds))
        if not path.is_file():
            return False
        try:
            self._steps.restore(storage.load(path))
        except (OSError, RuntimeError, EOFError, ValueError, KeyError):  # it only saves time
            return False
        self._rounds = list(rounds)
        return True


def _sound(rounds: Sequence[Round], answers: Mapping[int, int]) -> int:
    """How many rounds, from the first on, learnt from answers that are still in force."""
    for number, done in enumerate(rounds):
        if any(answers.get(item) != label for item, label in done):
            return number
    return len(rounds)
