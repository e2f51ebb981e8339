"""A session: takes what tabs send, keeps it in the journal, and has the method learn from it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.annotating.journal import Event, Journal, Kind, Mark, Record, kind_of
from benchmark.annotating.learner import Learner, Task, View
from benchmark.errors import BenchError, ReviewError

if TYPE_CHECKING:
    from benchmark.annotating.steps import Steps

MOST_MARKS = 10_000
LONGEST = 86_400.0
"""Seconds that an answer may take."""


class Refusal(ReviewError):
    """What a tab sent does not count. `status`: 400 for what cannot be read, 409 for what does not fit."""

    def __init__(self, what: str, status: int = 409) -> None:
        super().__init__(what)
        self.status = status


class Session:
    """One slide, its answers and the method that learns from them. Every method may be called from any thread."""

    def __init__(self, steps: Steps, journal: Journal, learner: Learner, *, who: str, budget: int | None) -> None:
        self.steps, self.who, self.budget = steps, who, budget
        self._journal, self._learner = journal, learner
        self._record = Record.of(journal.events)
        self._changed = threading.Condition()
        self._busy, self._closing, self._fault, self._failed = "reading the slide", False, "", -1
        self.version = 1
        """Grows whenever anything that a tab shows has changed."""
        self.items: NDArray[np.int64] = np.full(steps.grid.shape, -1, np.int64)
        """Rows × cols: the item of every cell, -1 without tissue."""
        self.items[tuple(steps.places.T)] = np.arange(len(steps.places))
        self._labels = [label for label, _ in steps.choices]

    @property
    def record(self) -> Record:
        """What is in force."""
        with self._changed:
            return self._record

    @property
    def view(self) -> View:
        """What the method has made of it so far."""
        with self._changed:
            return self._learner.view

    def act(self, sent: Mapping[str, Any]) -> bool:
        """Take what a tab sent; it is on the disk when this returns. False: it had come before, and counts once.

        Raises `Refusal` for what cannot be read or does not fit: an unknown class or patch, an answer out of order,
        one that another tab has changed meanwhile, one beyond the budget.
        """
        tab, number = sent.get("tab"), sent.get("number")
        if not isinstance(tab, str) or not 0 < len(tab) <= 64 or type(number) is not int:
            raise Refusal("expected the id of a tab and a number", 400)
        with self._changed:
            last = self._journal.last_number(tab)
            kind, marks, seconds = self._read(sent)
            if number == last:
                self._require_same(tab, number, kind, marks)
                return False
            if number != last + 1:
                raise Refusal(f"out of order: number {number} came after {last}; reload the page")
            self._require_fitting(kind, marks, sent)
            self._keep(Event(kind, marks, seconds, time.time(), self.who, tab, number))
            return True

    def take(self, kind: Kind, marks: Sequence[Mark], who: str) -> None:
        """Take marks that come from elsewhere than a tab."""
        with self._changed:
            self._keep(Event(kind, tuple(marks), 0.0, time.time(), who))

    def _keep(self, event: Event) -> None:
        self._journal.append(event)
        self._record = Record.of(self._journal.events)
        self.version += 1
        self._changed.notify_all()

    def _read(self, sent: Mapping[str, Any]) -> tuple[Kind, tuple[Mark, ...], float]:
        kind, seconds, listed = kind_of(sent.get("kind")), sent.get("seconds", 0), sent.get("marks", [])
        if kind is None or kind == "reopen":
            raise Refusal(f"unknown kind {sent.get('kind')!r}", 400)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
            raise Refusal("expected seconds as a number", 400)
        if not isinstance(listed, list) or len(listed) > MOST_MARKS:
            raise Refusal(f"expected a list of at most {MOST_MARKS} marks", 400)
        if bool(listed) != (kind in ("answer", "example")):
            raise Refusal(f"{kind} comes {'with' if not listed else 'without'} marks", 400)
        marks = tuple(self._mark(mark) for mark in listed)
        if len({mark[:2] for mark in marks}) != len(marks):
            raise Refusal("one patch is marked twice", 400)
        return kind, marks, min(max(float(seconds), 0.0), LONGEST)

    def _mark(self, mark: Any) -> Mark:
        item, label = (mark.get("item"), mark.get("label")) if isinstance(mark, dict) else (None, None)
        if type(item) is not int or not 0 <= item < len(self.steps.places):
            raise Refusal(f"there is no patch {item!r}, expected 0 to {len(self.steps.places) - 1}", 400)
        if type(label) is not int or label not in self._labels:
            raise Refusal(f"there is no class {label!r}, expected one of {self._labels}", 400)
        row, col = self.steps.places[item].tolist()
        return row, col, label

    def _require_same(self, tab: str, number: int, kind: Kind, marks: tuple[Mark, ...]) -> None:
        before = next(e for e in reversed(self._journal.events) if e.tab == tab and e.tab_number == number)
        if (before.kind, before.marks) != (kind, marks):
            raise Refusal(f"number {number} was something else when it came first; reload the page")

    def _require_fitting(self, kind: Kind, marks: tuple[Mark, ...], sent: Mapping[str, Any]) -> None:
        record = self._record
        if record.ended:
            raise Refusal("the session has ended")
        if kind in ("undo", "redo"):
            stack = record.done if kind == "undo" else record.undone
            if not stack:
                raise Refusal(f"there is nothing to {kind}")
            if sent.get("last", stack[-1][0]) != stack[-1][0]:
                raise Refusal(f"another tab did something meanwhile; look again before you {kind}")
        elif kind == "start":
            self._require_examples(record)
        elif kind == "example" and record.started:
            raise Refusal("the search has begun: examples can be added after undoing the start")
        elif kind in ("answer", "example"):
            self._require_free(kind, marks, sent["marks"])

    def _require_examples(self, record: Record) -> None:
        if record.started:
            raise Refusal("the search has begun already")
        if not any(given.label in self.steps.wanted for given in record.examples.values()):
            names = dict(self.steps.choices)
            wanted = " or ".join(names[label] for label in self.steps.wanted)
            raise Refusal(f"mark an example of {wanted} first")

    def _require_free(self, kind: Kind, marks: tuple[Mark, ...], sent: Sequence[Mapping[str, Any]]) -> None:
        record = self._record
        own, other = (record.answers, record.examples) if kind == "answer" else (record.examples, record.answers)
        fresh = 0
        for (row, col, _), mark in zip(marks, sent, strict=True):
            if (row, col) in other:
                raise Refusal("that patch is an example" if kind == "answer" else "that patch has an answer")
            given = own.get((row, col))
            if mark.get("was") != (None if given is None else given.label):
                raise Refusal("another tab has answered that patch meanwhile; look again")
            fresh += given is None
        if self.budget is not None and fresh and self.spent + fresh > self.budget:
            raise Refusal(f"the budget of {self.budget} answers is spent; undo, or end the session")

    @property
    def spent(self) -> int:
        """Answers that count against the budget: examples, what was learnt from, and those of the open batch."""
        with self._changed:
            view, record = self._learner.view, self._record
            asked = view.used | set(view.batch)
            return len(record.examples) + sum(int(self.items[cell]) in asked for cell in record.answers)

    @property
    def busy(self) -> str:
        """What the method is doing; empty when it waits for answers."""
        with self._changed:
            return self._busy

    @property
    def fault(self) -> str:
        """Why the method stopped learning; empty while it has not."""
        with self._changed:
            return self._fault

    @property
    def last_number(self) -> int:
        """How many events were kept."""
        return len(self._journal.events)

    def answers(self) -> dict[int, int]:
        """Item → class of the answers in force."""
        return {int(self.items[cell]): given.label for cell, given in self.record.answers.items()}

    def wait(self, seconds: float = 60.0) -> None:
        """Until the method is in step with the answers, or so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy and self._task() is None, seconds)

    def close(self) -> None:
        """Let `work` return after what it is doing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def work(self) -> None:
        """Keep the method in step until `close`: the life of the thread that learns."""
        self._do("reading the slide", self.steps.prepare)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._task() is not None)
                task = self._task()
                if self._closing or task is None:
                    return
            self._do("learning", task)

    def _task(self) -> Task | None:
        record = self._record
        if record.ended or self._failed == len(self._journal.events):
            return None
        examples = [(row, col, given.label) for (row, col), given in record.examples.items()]
        answers = {int(self.items[cell]): given.label for cell, given in record.answers.items()}
        return self._learner.task(examples, record.started, answers)

    def _do(self, name: str, task: Task) -> None:
        """A task that fails is told on the page, and tried again after the next event; the answers are safe."""
        with self._changed:
            self._busy, events = name, len(self._journal.events)
            self.version += 1
        fault = ""
        try:
            task()
        except Exception as error:
            fault = error.what if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        with self._changed:
            self._busy, self._fault, self._failed = "", fault, events if fault else -1
            self.version += 1
            self._changed.notify_all()
