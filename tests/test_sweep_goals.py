"""What a sweep is after beside its objective: constraints, a pruner that compares slides, patience."""

import pytest
from sweep_toy import FILE, stored, toy  # noqa: F401 - toy is a fixture

import benchmark
from benchmark.cli import main
from benchmark.errors import ConfigError, StudyError
from benchmark.tracking.store import Tracker

TPR = {"metric": "pixel/tpr", "direction": "maximize"}
GOAL = {"objective": TPR, "sampler": {"kind": "random", "seed": 1}}
"""The larger `share`, the more cells are positive: the better pixel/tpr, and in the end the worse pixel/accuracy."""


def test_a_trial_that_breaks_a_constraint_never_wins(toy, store, tmp_path, capsys):
    constraints = [{"metric": "pixel/accuracy", "at_least": 0.5}]
    assert toy({**GOAL, "trials": 4, "constraints": constraints}, study="bound", page=True, test=True) == 0
    said, study = " ".join(capsys.readouterr().out.split()), stored("bound")
    text = "pixel/accuracy >= 0.5"
    first, best = max(study.trials, key=lambda trial: trial.values[0]), study.best[0]
    assert (first.broken, best.broken) == ([text], [])
    assert best.values[0] == max(trial.values[0] for trial in study.trials if not trial.broken) < first.values[0]
    keeping = sum(not trial.broken for trial in study.trials)
    assert f"best of the {keeping} of 4 complete trials that keep {text}" in said
    assert f"maximize pixel/tpr subject to {text}" in said and f"breaks {text}" in said

    tracker = Tracker(store)
    parent = tracker.find(study.parent)
    assert parent.metrics["winner/validation/pixel/accuracy"] == best.bounded[text]
    assert "winner/test/pixel/accuracy" in parent.metrics, "the test tells whether the bound holds there"
    (page,) = tracker.download(parent, "study.html", tmp_path / "page")
    shown = page.read_text()
    assert (
        text.replace(">", "&gt;") in shown and "broken" in shown and "A trial that breaks a bound never wins" in shown
    )
    table = benchmark.trials("bound")
    assert list(table[text]) == [trial.bounded[text] for trial in study.trials]
    with pytest.raises(SystemExit):
        main(["sweep", "show", "bound"])
    assert f"{first.bounded[text]:.4f} broken" in " ".join(capsys.readouterr().out.split())


def test_a_constraint_that_no_trial_keeps_is_said_and_nothing_is_tested(toy, store, capsys, tmp_path):
    with pytest.raises(StudyError, match=r"none of 3 complete trials keeps pixel/accuracy >= 1; the nearest is trial"):
        toy({**GOAL, "trials": 3}, subject_to=["pixel/accuracy >= 1"], test=True, page=True)
    study = stored()
    assert study.best == [] and [trial.state for trial in study.trials] == ["complete"] * 3
    parent = Tracker(store).find(study.parent)
    (page,) = Tracker(store).download(parent, "study.html", tmp_path / "page")
    assert "No winner" in page.read_text() and parent.status == "FAILED"
    assert not Tracker(store).runs("glas-synthetic")
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "best", study.name])
    assert ended.value.code == 2 and "none of 3 complete trials keeps" in " ".join(capsys.readouterr().err.split())


def test_another_constraint_is_another_study(toy):
    toy({**GOAL, "trials": 1}, subject_to=["pixel/accuracy>=0.1"])
    for bounds in (["pixel/accuracy>=0.2"], []):
        with pytest.raises(StudyError, match="searches something else: constraints: "):
            toy({**GOAL, "trials": 1}, subject_to=bounds)


@pytest.mark.parametrize(
    ("changes", "bound", "message"),
    [
        (
            [{"metric": "pixel/acuracy", "at_least": 0.5}],
            None,
            r"line \d+: there is no metric 'pixel/acuracy'; the n.*y",
        ),
        (
            [{"metric": "pixel/accuracy", "at_least": 95}],
            None,
            r"line \d+: pixel/accuracy is 0 … 1; pixel/accuracy >= 95",
        ),
        ([], "image/sensitivty>=0.9", "--subject-to 'image/sensitivty>=0.9': there is no metric.*image/sensitivity"),
        ([], "image/sensitivity=0.9", "expected METRIC>=NUMBER or METRIC<=NUMBER"),
        ([], "image/sensitivity>=high", "expected METRIC>=NUMBER or METRIC<=NUMBER"),
        ([], "image/sensitivity>=nan", "expected METRIC>=NUMBER or METRIC<=NUMBER"),
        ([], "image/sensitivity>=95", r"image/sensitivity is 0 … 1"),
    ],
)
def test_constraints_that_make_no_sense_are_refused(toy, changes, bound, message):
    with pytest.raises(ConfigError, match=message):
        toy({"constraints": changes}, subject_to=[bound] if bound else [])


def test_a_constraint_on_what_the_pair_does_not_give_ends_the_sweep(toy):
    with pytest.raises(ConfigError, match=r"line \d+: toy on glas has no metric image/sensitivity_at_val") as refused:
        toy({"constraints": [{"metric": "image/sensitivity_at_val", "at_least": 0.5}]})
    assert refused.value.fix == "choose another constraint"


# --- the pruner that compares slides


def test_a_trial_that_is_worse_slide_by_slide_is_pruned(toy, store):
    """The miniature has few validation slides: two that are both worse have p = 0.25."""
    changes = {"options": {"validation": 0.5}, "sampler": {"kind": "random", "seed": 2}, "trials": 8}
    toy({**changes, "pruner": {"kind": "wilcoxon", "p": 0.3}}, study="pruned")
    toy(changes, study="whole")
    study, whole = stored("pruned"), stored("whole")
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    assert pruned and all("pruned at slide" in trial.reason and "pixel/accuracy" in trial.reason for trial in pruned)
    assert Tracker(store).find(pruned[0].run).tags["bench.state"] == "pruned"
    assert study.best[0].number == whole.best[0].number and len(study.best[0].curve) >= 2
    for trial in pruned:  # by what was known when it ran
        assert whole.trials[trial.number].values[0] < max(
            before.values[0] for before in whole.trials[: trial.number] if study.trials[before.number].values
        )


def test_a_pruner_needs_a_metric_that_slides_have(toy):
    for watch, message in (
        ("image/specificity", r"line \d+: image/specificity has no value per slide to compare; the nearest that has"),
        ("pixel/dise", r"line \d+: there is no metric 'pixel/dise'; the nearest: pixel/dice"),
    ):
        with pytest.raises(ConfigError, match=message):
            toy({"pruner": {"kind": "wilcoxon", "watch": watch}})
    with pytest.raises(ConfigError, match="slide/f1 has no value per slide to compare"):
        toy({"objective": {"metric": "slide/f1", "direction": "maximize"}, "pruner": {"kind": "wilcoxon"}})
    with pytest.raises(ConfigError, match="pixel/dice cannot be minimized"):
        toy({"pruner": {"kind": "wilcoxon", "watch": "pixel/dice", "direction": "minimize"}})


def test_a_metric_that_the_slides_of_the_data_lack_is_said(toy, capsys):
    toy({"pruner": {"kind": "wilcoxon", "watch": "class/accuracy"}, "trials": 1})
    assert "logged no value per slide of 'class/accuracy': nothing is pruned" in capsys.readouterr().out


# --- patience


def test_a_study_ends_when_nothing_better_comes(toy, capsys):
    changes = {"sampler": {"kind": "random", "seed": 3}, "trials": 12}
    toy({**changes, "patience": 3})
    said, trials = capsys.readouterr().out, stored().trials
    best = stored().best[0].number
    assert len(trials) == best + 4 < 12, "three after the best"
    assert f"Ended after {len(trials)} trials: the last 3 complete ones were no better" in said
    assert "trials are left" not in said
    toy({**changes, "patience": 3})
    assert len(stored().trials) == len(trials), "the same command adds none"
    toy(changes, trials=len(trials) + 1, patience=0)
    assert len(stored().trials) == len(trials) + 1, "without patience it goes on"


def test_patience_is_of_one_objective(toy):
    goals = [FILE["objective"], {"metric": "pixel/tpr", "direction": "maximize"}]
    with pytest.raises(ConfigError, match="--patience needs a single objective, there are 2"):
        toy({"objective": None, "objectives": goals}, patience=3)
