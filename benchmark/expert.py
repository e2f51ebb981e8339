"""Who answers `Labels.review`: an expert simulated from the truth, the answers of one on record, or a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BudgetError, DataError
from benchmark.seeds import generator
from benchmark.storage import append_line

if TYPE_CHECKING:
    from benchmark.annotations import Annotation
    from benchmark.slides import Grid, Slide

ROUNDING = 1e-9
"""Shares are sums of counts over an area; a share this little below its limit has reached it."""


@dataclass(frozen=True)
class Answer:
    """What an expert said of a cell.

    `label`: index of the class. `who`: name of the expert. `when`: seconds since 1970 for a person, since the first
    question about the slide for a simulated expert. `seconds`: how long the answer took.
    """

    label: int
    who: str
    when: float
    seconds: float


@dataclass(frozen=True)
class Question:
    """Which class has a cell? `share`: see `cell_classes`."""

    slide: Slide
    grid: Grid
    row: int
    col: int
    share: float | None = None

    @property
    def item(self) -> str:
        """The key of the question among those about its slide."""
        return f"{self.grid.digest}:{self.row},{self.col}"


@dataclass(frozen=True)
class Wanted:
    """Which cells have the class `label`? At most `number` are asked for, of those of `where` (rows × cols)."""

    slide: Slide
    grid: Grid
    label: int
    number: int
    where: NDArray[np.bool_] | None = None
    share: float | None = None


class Expert(Protocol):
    """Answers questions about single cells, and finds examples of a class."""

    def answer(self, question: Question, before: int) -> Answer:
        """The class of a cell; `before` answers were given about this slide already.

        Raises `SupervisionError` when there is no answer.
        """
        ...

    def choose(self, wanted: Wanted, before: int, rng: np.random.Generator) -> Sequence[tuple[int, int, Answer]]:
        """Cells of a class (row, col) with the answers they stand for; fewer than asked for where there are no more."""
        ...


class TruthSource(Protocol):
    """What an expert is simulated from."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, the negative class first."""
        ...

    def truth(self, slide: Slide) -> Annotation:
        """The fine annotation."""
        ...


def cell_classes(annotation: Annotation, grid: Grid, classes: int, share: float | None) -> NDArray[np.int8]:
    """The class of every cell, rows × cols.

    `share` None: the class under the centre. Else a cell is negative unless the positive classes together cover at
    least that share of it (BACH: half); then it has the one of them that covers most.
    """
    if share is None:
        return annotation.labels(grid)
    fractions = annotation.fractions(grid, classes)[..., 1:]
    largest = fractions.argmax(axis=-1) + 1
    return np.where(fractions.sum(axis=-1) >= share - ROUNDING, largest, 0).astype(np.int8)


@dataclass(frozen=True)
class ExpertSettings:
    """An expert for the harness to make, see `create_expert`.

    `error`: probability of a wrong answer. `fatigue`: how much that grows with every 100 answers about a slide.
    `seconds`: what an answer takes. `answers`: a file of answers to replay instead.
    """

    error: float = 0.0
    fatigue: float = 0.0
    seconds: float = 0.0
    answers: Path | None = None


def create_expert(settings: ExpertSettings, source: TruthSource, seed: int) -> Expert:
    """The expert of a run. Raises `DataError` when a file of answers cannot be read."""
    if settings.answers is not None:
        return RecordedExpert(settings.answers, source.classes)
    return SimulatedExpert(source, settings, seed)


class SimulatedExpert:
    """Knows the truth, errs as the settings say. An answer depends on seed, cell and number of answers before."""

    who = "simulated"

    def __init__(self, source: TruthSource, settings: ExpertSettings | None = None, seed: int = 0) -> None:
        self._source, self._settings, self._seed = source, settings or ExpertSettings(), seed

    def answer(self, question: Question, before: int) -> Answer:
        """See `Expert`. A wrong answer is any other class, all equally likely."""
        settings, classes = self._settings, len(self._source.classes)
        cell = question.grid.cell(question.row, question.col)
        label = int(cell_classes(self._source.truth(question.slide), cell, classes, question.share)[0, 0])
        rng = generator("expert", self._seed, question.slide.id, question.item)
        if rng.random() < min(1.0, settings.error + settings.fatigue * before / 100):
            label = int(rng.choice([other for other in range(classes) if other != label]))
        return Answer(label, self.who, before * settings.seconds, settings.seconds)

    def choose(self, wanted: Wanted, before: int, rng: np.random.Generator) -> Sequence[tuple[int, int, Answer]]:
        """See `Expert`. Examples are drawn at random and always right; none is of an area to ignore."""
        truth = self._source.truth(wanted.slide)
        labels = cell_classes(truth, wanted.grid, len(self._source.classes), wanted.share)
        candidates = (labels == wanted.label) & ~truth.ignored(wanted.grid)
        if wanted.where is not None:
            candidates &= wanted.where
        cells = rng.permutation(np.argwhere(candidates))[: wanted.number].tolist()
        seconds = self._settings.seconds
        answers = [Answer(wanted.label, self.who, (before + n) * seconds, seconds) for n in range(len(cells))]
        return [(row, col, answer) for (row, col), answer in zip(cells, answers, strict=True)]


class AnswerFile:
    """Answers on disk, one JSON object a line, written through to the disk at every answer.

    A later line about the same cell replaces an earlier one (a person changed their mind). A last line without its
    end is what a killed program left: it is passed over, and the next answer replaces it.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        """Read what is there. Raises `DataError` for a line that is no answer, naming file and line."""
        self.path, self._classes = path, list(classes)
        self.answers: dict[tuple[str, str], Answer] = {}
        self.examples: list[tuple[str, str]] = []
        """Those that the expert looked up, in order."""
        self._whole = 0
        if path.is_file():
            self._read(path.read_bytes())

    def append(self, slide: str, item: str, answer: Answer, *, example: bool = False) -> None:
        """Keep an answer; it is on the disk when this returns."""
        text = answer_line(slide, item, self._classes[answer.label], answer, example=example)
        self._whole = append_line(self.path, self._whole, text)
        self._take(slide, item, answer, example)

    def _take(self, slide: str, item: str, answer: Answer, example: bool) -> None:
        if example and (slide, item) not in self.examples:
            self.examples.append((slide, item))
        self.answers[slide, item] = answer

    def _read(self, content: bytes) -> None:
        lines = content.split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            self._whole += len(line) + 1
            if line.strip():
                self._take(*self._parsed(line, number))

    def _parsed(self, line: bytes, number: int) -> tuple[str, str, Answer, bool]:
        where = f"{self.path}, line {number}"
        try:
            fields: Mapping[str, Any] = json.loads(line)
            label, slide, item = str(fields["label"]), str(fields["slide"]), str(fields["cell"])
            told = str(fields["who"]), float(fields["when"]), float(fields["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            what = f"{where} is not an answer ({type(error).__name__}: {error})"
            raise DataError(what, fix="expected JSON with slide, cell, label, who, when and seconds") from error
        if label not in self._classes:
            raise DataError(f"{where}: unknown class {label!r}", fix=f"the classes are {', '.join(self._classes)}")
        return slide, item, Answer(self._classes.index(label), *told), bool(fields.get("example"))


def answer_line(slide: str, item: str, label: str, answer: Answer, *, example: bool = False) -> bytes:
    """An answer as a line of an `AnswerFile`. `item`: see `Question.item`. `label`: name of its class."""
    line: dict[str, Any] = {"slide": slide, "cell": item, "label": label, "who": answer.who}
    line |= {"when": answer.when, "seconds": answer.seconds, **({"example": True} if example else {})}
    return (json.dumps(line) + "\n").encode()


class RecordedExpert:
    """Repeats the answers of a file. Given another expert, it asks that for what is missing and keeps the answers.

    So a person's session resumes: what was answered before is not asked again.
    """

    def __init__(self, path: Path, classes: Sequence[str], expert: Expert | None = None) -> None:
        if expert is None and not path.is_file():
            raise DataError(f"there is no file of answers {path}", fix="--set expert_answers=FILE.jsonl")
        self.file = AnswerFile(path, classes)
        self._expert = expert

    def answer(self, question: Question, before: int) -> Answer:
        """See `Expert`."""
        slide, item = question.slide.id, question.item
        if (answer := self.file.answers.get((slide, item))) is not None:
            return answer
        if self._expert is None:
            what = f"{self.file.path} holds no answer about cell {question.row}, {question.col} of slide {slide!r}"
            raise BudgetError(what)
        answer = self._expert.answer(question, before)
        self.file.append(slide, item, answer)
        return answer

    def choose(self, wanted: Wanted, before: int, rng: np.random.Generator) -> Sequence[tuple[int, int, Answer]]:
        """See `Expert`. Recorded examples are those of the same slide, cells and class."""
        slide, chosen = wanted.slide.id, []
        for name, item in self.file.examples:
            answer, (grid, _, cell) = self.file.answers[name, item], item.partition(":")
            if name == slide and grid == wanted.grid.digest and answer.label == wanted.label:
                row, col = map(int, cell.split(","))
                chosen.append((row, col, answer))
        if not chosen and self._expert is not None:
            chosen = list(self._expert.choose(wanted, before, rng))
            for row, col, answer in chosen:
                item = Question(wanted.slide, wanted.grid, row, col).item
                self.file.append(slide, item, answer, example=True)
        return chosen[: wanted.number]
