"""Stages run once, resume, count their labels again, and refuse what would make a stale result."""

import numpy as np
import pytest

from benchmark import storage
from benchmark.context import Context, SilentReporter
from benchmark.errors import StageError
from benchmark.method import Method, MethodCard, Params, Prediction, param
from benchmark.supervision import Ledger, Supervision


class Knobs(Params):
    a: int = param(1, "first knob")
    b: int = param(1, "second knob")


class Probe(Method):
    name = "probe"
    supervision = frozenset()
    card = MethodCard("t", "c", "p")
    Params = Knobs
    presets = {"paper": {}}
    ran: list

    def fit(self, train, validation, context):
        self.ran = []
        first = context.stage("first", lambda: self.one(context), uses=("a",))
        self.result = context.stage("second", lambda: self.two(first), uses=("b",), after=("first",))

    def one(self, context):
        self.ran.append("first")
        context._stages._ledger.record(Supervision.IMAGE, "s", "units", 5)
        context.log("first/loss", 0.5, 0)
        return {"x": np.full(3, self.params.a, np.float32)}

    def two(self, first):
        self.ran.append("second")
        return first["x"] * self.params.b

    def predict(self, slide, labels, context) -> Prediction:
        raise NotImplementedError

    def state(self):
        return {}

    def restore(self, state, context):
        pass


def context(folder, *, seed=0, data="d", reporter=None):
    return Context(geometry=None, folder=folder, ledger=Ledger(), seed=seed, data_digest=data, reporter=reporter)


def fit(folder, *, seed=0, data="d", **params):
    method, surroundings = Probe(Knobs(**params)), context(folder, seed=seed, data=data)
    method.fit(None, None, surroundings.bind(method))
    return method, surroundings


def test_second_time_everything_is_reused_and_counted(tmp_path):
    first, before = fit(tmp_path)
    again, after = fit(tmp_path)
    assert first.ran == ["first", "second"] and again.ran == []
    np.testing.assert_array_equal(first.result, again.result)
    assert after._stages._ledger.totals() == before._stages._ledger.totals()
    assert after._stages._ledger.totals()["image_labels"] == 5
    assert after.reporter.history == before.reporter.history == [("first/loss", 0.5, 0)]
    assert [record.reused for record in after.records] == [True, True]


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"b": 3}, ["second"]),
        ({"a": 3}, ["first", "second"]),
        ({"seed": 1}, ["first", "second"]),
        ({"data": "other"}, ["first", "second"]),
    ],
)
def test_only_what_depends_on_a_change_runs_again(tmp_path, change, expected):
    fit(tmp_path)
    assert fit(tmp_path, **change)[0].ran == expected


def test_reading_an_undeclared_parameter_is_refused(tmp_path):
    method, surroundings = Probe(Knobs()), context(tmp_path)
    surroundings.bind(method)
    with pytest.raises(StageError, match="stage 'sly' reads the parameter 'b'"):
        surroundings.stage("sly", lambda: method.params.b, uses=("a",))
    assert method.params.b == 1
    with pytest.raises(StageError, match="do not exist: c"):
        surroundings.stage("odd", lambda: 1, uses=("c",))


def test_order_and_storable_results_are_enforced(tmp_path):
    method, surroundings = Probe(Knobs()), context(tmp_path)
    surroundings.bind(method)
    with pytest.raises(StageError, match="comes after 'never'"):
        surroundings.stage("late", lambda: 1, after=("never",))
    with pytest.raises(StageError, match="is a object"):
        surroundings.stage("odd", lambda: {"x": object()})
    with pytest.raises(StageError, match="outside of a stage"):
        _ = surroundings.checkpoint


def test_a_killed_stage_goes_on_from_its_checkpoint(tmp_path):
    def work(surroundings, stop):
        saved = surroundings.checkpoint.load()
        start, total = (saved["step"], saved["total"]) if saved else (0, 0)
        for step in range(start, 6):
            total += step
            surroundings.log("sum", total, step)
            surroundings.checkpoint.save({"step": step + 1, "total": total})
            if step == stop:
                raise KeyboardInterrupt
        return {"total": total, "start": start}

    method = Probe(Knobs())
    broken = context(tmp_path).bind(method)
    with pytest.raises(KeyboardInterrupt):
        broken.stage("sum", lambda: work(broken, stop=2))
    resumed = context(tmp_path, reporter=SilentReporter()).bind(method)
    assert resumed.stage("sum", lambda: work(resumed, stop=None)) == {"total": 15, "start": 3}
    assert [step for _, _, step in resumed.reporter.history] == [0, 1, 2, 3, 4, 5]
    assert not list(tmp_path.rglob("checkpoint.pt"))


def test_what_a_power_cut_emptied_is_computed_again(tmp_path):
    said = []

    class Telling(SilentReporter):
        def say(self, text):
            said.append(text)

    def probe():
        surroundings = context(tmp_path, reporter=Telling())
        method = Probe(Knobs())
        method.fit(None, None, surroundings.bind(method))
        return method.ran

    assert probe() == ["first", "second"]
    for file in ("result.pt", "record.json"):
        for kept in tmp_path.rglob(file):
            kept.write_bytes(b"")
        said.clear()
        assert probe() == ["first", "second"] and len([text for text in said if "cannot be read" in text]) == 2
    assert probe() == []


def test_an_empty_checkpoint_begins_the_stage_anew(tmp_path):
    def work(surroundings, broken):
        saved = surroundings.checkpoint.load()
        surroundings.checkpoint.save({"step": 1})
        if broken:
            raise KeyboardInterrupt
        return {"saved": saved}

    method = Probe(Knobs())
    broken = context(tmp_path).bind(method)
    with pytest.raises(KeyboardInterrupt):
        broken.stage("sum", lambda: work(broken, broken=True))
    (checkpoint,) = tmp_path.rglob("checkpoint.pt")
    checkpoint.write_bytes(b"")
    again = context(tmp_path, reporter=SilentReporter()).bind(method)
    assert again.stage("sum", lambda: work(again, broken=False)) == {"saved": None}


def test_storage_round_trip(tmp_path):
    value = {"a": np.arange(6, dtype=np.int8).reshape(2, 3), "b": (1, [2.5, None, "x"]), "c": np.float32(1.5), 3: True}
    storage.save(value, tmp_path / "x.pt")
    back = storage.load(tmp_path / "x.pt")
    np.testing.assert_array_equal(back["a"], value["a"])
    assert back["a"].dtype == np.int8
    assert back["b"] == (1, [2.5, None, "x"]) and back["c"] == 1.5 and back[3] is True
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), storage.whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


class Sibling(Probe):
    """Of the same module, with the same parameters and stages, but another result."""

    name = "sibling"

    def two(self, first):
        self.ran.append("second")
        return -first["x"] * self.params.b


def test_classes_of_one_file_share_no_stage(tmp_path):
    fit(tmp_path)
    sibling, surroundings = Sibling(Knobs()), context(tmp_path)
    sibling.fit(None, None, surroundings.bind(sibling))
    assert sibling.ran == ["first", "second"] and (sibling.result < 0).all()
