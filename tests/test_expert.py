"""Who answers: simulated from the truth, on record, or asked and recorded; all of it in the ledger."""

import json
from functools import partial

import numpy as np
import pytest

from benchmark.annotations import LabelImage
from benchmark.context import SilentReporter
from benchmark.errors import BudgetError, DataError
from benchmark.expert import Answer, ExpertSettings, RecordedExpert, SimulatedExpert, create_expert
from benchmark.slides import Grid
from benchmark.stages import StageStore
from benchmark.supervision import Labels, Ledger, Supervision

REVIEW = Supervision.REVIEW
GRID = Grid.windows((40, 20), 1, 1)


class FakeSlide:
    id, size = "a", (40, 20)


class Source:
    classes = ("stroma", "tumour", "fat")

    def truth(self, slide):
        return self.image

    def annotated(self, slide):
        return True

    image = LabelImage(np.repeat((np.arange(40) >= 20)[None] * 1, 20, axis=0).astype(np.uint8))


SLIDE = FakeSlide()


def view(expert, ledger=None):
    return Labels(Source(), [SLIDE], [REVIEW], ledger if ledger is not None else Ledger(), expert=expert)


def answers(settings, seed=0, cells=400):
    labels = view(SimulatedExpert(Source(), settings, seed))
    return np.array([labels.review(SLIDE, GRID, number // 40, number % 40) for number in range(cells)])


TRUTH = np.array([int(number % 40 >= 20) for number in range(400)])


def test_a_simulated_expert_errs_at_its_rate_and_alike_every_time():
    assert np.array_equal(answers(ExpertSettings()), TRUTH)
    wrong = answers(ExpertSettings(error=0.2)) != TRUTH
    assert 0.14 < wrong.mean() < 0.26
    assert np.array_equal(answers(ExpertSettings(error=0.2)), answers(ExpertSettings(error=0.2)))
    assert not np.array_equal(answers(ExpertSettings(error=0.2)), answers(ExpertSettings(error=0.2), seed=1))
    assert set(answers(ExpertSettings(error=1.0))[TRUTH == 0]) == {1, 2}, "a wrong answer is any other class"


def test_areas_to_ignore_have_no_answer():
    source = Source()
    source.image = LabelImage(np.repeat((np.arange(40) >= 20)[None] * 1, 20, axis=0).astype(np.uint8), ignore=[1])
    labels = Labels(source, [SLIDE], [REVIEW], Ledger(), expert=SimulatedExpert(source))
    assert labels.answerable(SLIDE, GRID).tolist() == [[col < 20 for col in range(40)]] * 20
    assert labels.examples(SLIDE, GRID, 1, 5, np.random.default_rng(0)) == []
    assert len(labels.examples(SLIDE, GRID, 0, 5, np.random.default_rng(0))) == 5
    person = Labels(source, [SLIDE], [REVIEW], Ledger(), expert=object())
    assert person.answerable(SLIDE, GRID).all(), "who looks at the slide decides"


def test_an_error_depends_on_the_cell_and_not_on_the_order():
    labels = view(SimulatedExpert(Source(), ExpertSettings(error=0.3)))
    backwards = [labels.review(SLIDE, GRID, number // 40, number % 40) for number in reversed(range(400))]
    assert np.array_equal(backwards[::-1], answers(ExpertSettings(error=0.3)))


def test_fatigue_lets_errors_grow():
    wrong = answers(ExpertSettings(fatigue=0.2)) != TRUTH
    assert wrong[:50].mean() < 0.2 < 0.5 < wrong[300:].mean()


def test_the_ledger_knows_who_said_what_when_and_how_long_it_took():
    ledger = Ledger()
    labels = view(SimulatedExpert(Source(), ExpertSettings(seconds=4.0)), ledger)
    labels.review(SLIDE, GRID, 0, 30), labels.review(SLIDE, GRID, 0, 2)
    assert list(ledger.answers.values()) == [Answer(1, "simulated", 0.0, 4.0), Answer(0, "simulated", 4.0, 4.0)]
    assert ledger.review_seconds == 8.0 and ledger.totals()["reviews"] == 2


def test_a_reused_stage_brings_its_answers_along(tmp_path):
    class Watched:
        def values(self, names):
            return {}

        def restrict(self, stage, allowed):
            return "", None

    class Owner:
        watched = Watched()

    ledgers = [Ledger(), Ledger()]
    for ledger in ledgers:
        store = StageStore(tmp_path, ledger=ledger, data_digest="", seed=0)
        store.bind(Owner())
        ask = partial(view(SimulatedExpert(Source(), ExpertSettings(seconds=2.5)), ledger).review, SLIDE, GRID, 0, 30)
        assert store.run("s", ask, uses=(), after=(), reporter=SilentReporter()) == 1
    assert ledgers[0].answers == ledgers[1].answers and len(ledgers[1].answers) == 1
    assert ledgers[1].totals() == ledgers[0].totals()


class Person:
    def __init__(self):
        self.asked = 0

    def answer(self, question, before):
        self.asked += 1
        return Answer(2, "mara", 1e9 + self.asked, 1.5)

    def choose(self, wanted, before, rng):
        self.asked += 1
        return [(0, 5, Answer(wanted.label, "mara", 1e9, 3.0))]


def test_a_person_is_not_asked_again_after_a_crash(tmp_path):
    path, person = tmp_path / "answers.jsonl", Person()
    labels = view(RecordedExpert(path, Source.classes, person))
    assert labels.examples(SLIDE, GRID, 1, 3, np.random.default_rng(0)) == [(0, 5)]
    assert labels.review(SLIDE, GRID, 1, 1) == 2
    with path.open("ab") as stream:
        stream.write(b'{"slide": "a", "ce')  # killed while writing
    ledger = Ledger()
    again = view(RecordedExpert(path, Source.classes, person), ledger)
    assert again.examples(SLIDE, GRID, 1, 3, np.random.default_rng(0)) == [(0, 5)] and person.asked == 2
    assert again.review(SLIDE, GRID, 1, 1) == 2 and again.review(SLIDE, GRID, 1, 2) == 2 and person.asked == 3
    assert [json.loads(line)["who"] for line in path.read_text().splitlines()] == ["mara"] * 3
    replayed = view(create_expert(ExpertSettings(answers=path), Source(), 0))
    assert replayed.review(SLIDE, GRID, 1, 2) == 2
    with pytest.raises(BudgetError, match="holds no answer about cell 5, 5 of slide 'a'"):
        replayed.review(SLIDE, GRID, 5, 5)


def test_a_broken_file_of_answers_is_named_with_its_line(tmp_path):
    path = tmp_path / "answers.jsonl"
    good = {"slide": "a", "cell": "g:0,0", "label": "fat", "who": "x", "when": 0, "seconds": 1}
    for line, said in (("[]", "line 2 is not an answer"), (json.dumps({**good, "label": "bone"}), "class 'bone'")):
        path.write_text(f"{json.dumps(good)}\n{line}\n")
        with pytest.raises(DataError, match=said):
            RecordedExpert(path, Source.classes)
    with pytest.raises(DataError, match="there is no file of answers"):
        create_expert(ExpertSettings(answers=tmp_path / "none"), Source(), 0)
