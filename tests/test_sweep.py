"""Studies: trials on validation slides in processes of their own, resumed, pruned, failing alone, tested once."""

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from sweep_toy import FILE, begun, stored, toy, write  # noqa: F401 - toy is a fixture

import benchmark
from benchmark.cli import main
from benchmark.config import RunRequest
from benchmark.errors import ConfigError, DataError, StudyError
from benchmark.tracking.store import Tracker
from benchmark.tuning import study_storage as storage_module
from benchmark.tuning.request import SweepRequest, resolve_sweep


def test_a_sweep_from_its_first_trial_to_the_test_of_its_winner(toy, store, tmp_path, capsys):
    assert toy({"seeds": [0, 1]}, test=True, page=True, run={"jobs": 2}) == 0
    shown = capsys.readouterr().out
    study = stored()
    assert [trial.state for trial in study.trials] == ["complete"] * 4
    assert dict(study.trials[0].params) == {"share": 0.2, "tall": 2}, "the published setting comes first"
    best = study.best[0]
    assert best.values[0] == max(trial.values[0] for trial in study.trials)

    tracker = Tracker(store)
    runs = tracker.runs("glas-synthetic-sweeps")
    parent = next(run for run in runs if run.id == study.parent)
    trials = {run.tags["bench.trial"]: run for run in runs if run is not parent}
    assert parent.status == "FINISHED"
    assert set(trials) == {"0", "1", "2", "3"}
    assert {run.tags["mlflow.parentRunId"] for run in trials.values()} == {parent.id}
    assert trials["1"].metrics["validation/pixel/accuracy"] == study.trials[1].values[0]
    assert trials["1"].params["share"] == str(study.trials[1].params["share"])
    assert not {"bench.row", "bench.identity"} & set(trials["1"].tags), "a trial is no result"

    tests = tracker.runs("glas-synthetic")
    assert {run.tags["bench.seed"] for run in tests} == {"0", "1"}
    assert len(tests) == (2 if best.number == 0 else 4)
    published = [run for run in tests if run.params["share"] == "0.2"]
    assert {run.tags["bench.refit"] for run in published} == {"true"}, "tall = 2 is fitted on validation slides too"
    assert published[0].metrics["seen"] > trials["0"].metrics["seen"]
    assert f"{best.values[0]:.4f}" in shown
    per_seed = [run.metrics["pixel/accuracy"] for run in tests if run.tags["bench.row"] == tests[0].tags["bench.row"]]
    name = "winner" if tests[0].params["share"] == str(best.params["share"]) else "first"
    assert parent.metrics[f"{name}/test/pixel/accuracy"] == pytest.approx(sum(per_seed) / 2)
    assert parent.tags["bench.reason"] == "4 trials"
    assert "best of 4 complete trials on" in shown

    files = {path.name: path for path in tracker.download(parent, "best.yaml", tmp_path / "f")}
    for name in ("study.html", "trials.csv", "history.png", "slice.png", "importances.json", "sweep.yaml"):
        files.update({path.name: path for path in tracker.download(parent, name, tmp_path / "f")})
    assert {"study.html", "history.png", "slice.png", "importances.json", "sweep.yaml"} <= set(files)
    table = pd.read_csv(files["trials.csv"])
    assert list(table["pixel/accuracy"]) == [trial.values[0] for trial in study.trials]
    assert list(table["run"]) == [trial.run for trial in study.trials]
    page = files["study.html"].read_text()
    assert "plotly" in page
    assert 'src="http' not in page
    with pytest.raises(SystemExit) as ended:
        main(["run", "--config", str(files["best.yaml"]), "--cache", str(tmp_path / "cache"), "--store", store])
    assert ended.value.code == 0
    assert "finished" in capsys.readouterr().out, "best.yaml names the very run that was the test"


def test_the_same_command_does_nothing_twice_and_more_trials_go_on(toy, tmp_path, capsys):
    toy()
    first = stored()
    toy(name="sweep")
    assert "nothing has changed since the page was written" in capsys.readouterr().out
    assert stored().trials == first.trials
    toy(trials=6)
    assert [(trial.params, trial.values) for trial in stored().trials[:4]] == [
        (trial.params, trial.values) for trial in first.trials
    ]
    toy(trials=6, study="straight")
    straight = stored("straight")
    assert [dict(trial.params) for trial in straight.trials] == [dict(trial.params) for trial in stored().trials]
    assert (tmp_path / "toy.txt").read_text() == "slow\n", "what no searched parameter touches is computed once"


def test_no_trial_sees_a_test_slide(toy, tmp_path, monkeypatch, miniatures, store):
    from rich.console import Console

    from benchmark.dataset import Split
    from benchmark.registry import datasets
    from benchmark.running.job import open_job
    from benchmark.tuning.request import resolve_sweep
    from benchmark.tuning.trial import TrialTask, run_trial

    request = RunRequest(data=str(miniatures["glas"]), store=store, cache=tmp_path / "cache")
    sweep = resolve_sweep(SweepRequest(str(write(tmp_path / "sweep.yaml", {})), request))
    job = open_job(sweep.spec, tmp_path / "cache")
    kind = datasets().load("glas")
    tests = {slide.id for slide in job.dataset.slides(Split.TEST)}
    seen, before = [], kind.truth

    def truth(self, slide):
        seen.append(slide.id)
        return before(self, slide)

    monkeypatch.setattr(kind, "truth", truth)
    task = TrialTask("study", 0, "0" * 32)
    outcome = run_trial(job, Tracker(store), Console(quiet=True), task, lambda run: None, lambda point: None)
    assert outcome.metrics["pixel/accuracy"] > 0
    assert seen
    assert not tests & set(seen)


def test_a_bad_trial_is_pruned_by_its_curve(toy, store):
    pruner = {"kind": "median", "watch": "rounds/score", "startup": 1}
    os.environ["TOY_SLEEP"] = "0.2"
    try:
        toy({"pruner": pruner, "sampler": {"kind": "random", "seed": 2}, "trials": 6})
    finally:
        del os.environ["TOY_SLEEP"]
    pruned = [trial for trial in stored().trials if trial.state == "pruned"]
    assert pruned
    assert "pruned at step" in pruned[0].reason
    assert max(pruned[0].curve) < 3
    run = Tracker(store).find(pruned[0].run)
    assert (run.status, run.tags["bench.state"]) == ("KILLED", "pruned")
    complete = [trial for trial in stored().trials if trial.state == "complete"]
    worst = max(abs(trial.params["share"] - 0.5) for trial in complete)
    assert all(abs(trial.params["share"] - 0.5) > min(worst, 0.3) * 0.5 for trial in pruned)


def test_a_trial_that_fails_or_hangs_costs_itself_alone(toy, store, capsys):
    space = {"mood": {"type": "categorical", "choices": ["well", "raise", "hang"]}}
    toy({"space": space, "sampler": {"kind": "random", "seed": 5}, "trials": 4}, run={"timeout": "4s", "jobs": 2})
    moods = {trial.params["mood"]: trial for trial in stored().trials}
    assert set(moods) == {"well", "raise", "hang"}, "the seed was chosen to have them all"
    assert moods["well"].state == "complete"
    assert (moods["raise"].state, moods["raise"].reason) == ("failed", "RuntimeError: out of luck")
    assert moods["hang"].state == "failed"
    assert "stopped after 4 s" in moods["hang"].reason
    tracker = Tracker(store)
    assert tracker.find(moods["raise"].run).status == "FAILED"
    assert tracker.find(moods["hang"].run).tags["bench.state"] == "timed out"


def test_two_objectives_give_a_front(toy, capsys):
    goals = [{"metric": "pixel/tpr", "direction": "maximize"}, {"metric": "pixel/ppv", "direction": "maximize"}]
    toy({"objective": None, "objectives": goals, "sampler": {"kind": "random"}, "trials": 6}, test=True, page=True)
    study = stored()
    for one in study.best:
        assert not any(
            all(a >= b for a, b in zip(other.values, one.values, strict=True)) and other.values != one.values
            for other in study.trials
            if other.values
        )
    firsts = [trial.values[0] for trial in study.best]
    assert firsts == sorted(firsts, reverse=True)
    assert "pixel/ppv" in capsys.readouterr().out


def test_a_killed_sweep_goes_on_where_it_was(toy, tmp_path, store, miniatures, monkeypatch):
    """Killed with SIGKILL while a trial is at work; the trial goes on under its number and all is as undisturbed."""
    path = write(tmp_path / "sweep.yaml", {"trials": 5})
    process = begun(path, miniatures, store, seconds=0.4)
    for line in process.stdout:
        if line.startswith("[trial 2]"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [trial.state for trial in stored().trials] == ["complete", "complete", "running"]
    monkeypatch.setattr(storage_module, "SILENT_SECONDS", 1)
    time.sleep(2.1)  # for long enough to count as stale
    toy({"trials": 5})
    toy({"trials": 5}, study="undisturbed")
    for one, other in zip(stored().trials, stored("undisturbed").trials, strict=True):
        assert (one.number, dict(one.params), one.values) == (other.number, dict(other.params), other.values)


def test_a_sweep_that_is_asked_to_end_says_so_and_leaves_nothing_running(toy, tmp_path, store, miniatures):
    path = write(tmp_path / "sweep.yaml", {"trials": 3})
    process = begun(path, miniatures, store, seconds=5)
    for line in process.stdout:
        if line.startswith("[trial 0]"):
            break
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "interrupted; run the same command to resume the study" in told
    assert {run.status for run in Tracker(store).runs("glas-synthetic-sweeps")} == {"KILLED"}


def test_the_run_of_a_study_lives_as_long_as_a_command_works_on_it(toy, tmp_path, store, miniatures):
    path = write(tmp_path / "sweep.yaml", {"trials": 4, "sampler": {"kind": "random"}})
    one, other = (begun(path, miniatures, store, seconds=1) for _ in range(2))
    for process in (one, other):
        for line in process.stdout:
            if line.startswith("[trial"):
                break
    one.send_signal(signal.SIGTERM)
    assert "interrupted" in one.communicate(timeout=60)[0]

    def state():
        return {run.status for run in Tracker(store).runs("glas-synthetic-sweeps") if not run.name.startswith("trial")}

    assert state() == {"RUNNING"}
    other.communicate(timeout=120)
    assert (other.returncode, state()) == (0, {"FINISHED"})
    assert [(trial.number, trial.state) for trial in stored().trials] == [(n, "complete") for n in range(4)]


def test_several_processes_share_a_journal(toy, tmp_path, store, miniatures):
    place = str(tmp_path / "shared.journal")
    path = write(tmp_path / "sweep.yaml", {"trials": 6, "sampler": {"kind": "random"}})
    both = [begun(path, miniatures, store, "--storage", place) for _ in range(2)]
    told = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    trials = stored(storage=place).trials
    assert [trial.state for trial in trials] == ["complete"] * 6
    done = [
        line.split("]")[0] for text in told for line in text.splitlines() if "pixel/accuracy" in line and "(" in line
    ]
    assert sorted(one for one in done if one.startswith("[trial")) == [f"[trial {number}" for number in range(6)]


def test_studies_are_listed_shown_and_exported(toy, capsys, tmp_path):
    toy({"space": {"share": FILE["space"]["share"], "scales": {"type": "categorical", "choices": [[1.0], [1.0, 1.5]]}}})
    name = "sweep-glas-synthetic-paper"
    capsys.readouterr()

    def bench(*words):
        with pytest.raises(SystemExit) as ended:
            main(["sweep", *words])
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert "4 complete" in bench("list")
    assert "trial 0 is the preset paper" in bench("show", name)
    table = pd.read_csv(io.StringIO(bench("export", name)))
    assert set(table["scales"]) <= {"[1.0]", "[1.0, 1.5]"}
    facts = json.loads(bench("export", name, "--format", "json"))
    assert [trial["values"] for trial in facts["trials"]] == [[value] for value in table["pixel/accuracy"]]
    best = yaml.safe_load(bench("best", name))
    assert best["method"] == "toy"
    assert best["params"]["share"] == stored().best[0].params["share"]
    assert yaml.safe_load(bench("best", name, "--trial", "0"))["params"]["share"] == 0.2
    for verb in ("best", "export"):
        with pytest.raises(SystemExit) as refused:
            main(["sweep", verb, name, "--out", str(tmp_path)])
        assert refused.value.code == 2 and "it is a folder" in capsys.readouterr().err


def test_trials_are_a_data_frame(toy):
    space = {
        **FILE["space"],
        "mood": {"type": "categorical", "choices": ["well", "raise"]},
        "scales": {"type": "categorical", "choices": [[1.0], [1.0, 1.5]], "when": {"mood": ["well"]}},
    }
    toy({"space": space, "sampler": {"kind": "random", "seed": 5}, "trials": 5})
    table, study = benchmark.trials("sweep-glas-synthetic-paper"), stored()
    assert dict(table.dtypes.astype(str)) == {
        **{"trial": "int64", "state": "string", "pixel/accuracy": "float64"},
        **{"share": "Float64", "tall": "Int64", "mood": "string", "scales": "string"},
        **{"seconds": "float64", "run": "string", "reason": "string"},
    }
    failed = table["mood"] == "raise"
    assert 0 < failed.sum() < 5, "the seed was chosen to have both"
    for column in (
        table["pixel/accuracy"].isna(),
        table["scales"].isna(),
        table["reason"] != "",
        table["state"] == "failed",
    ):
        assert list(column) == list(failed)
    assert list(table["tall"]) == [trial.params["tall"] for trial in study.trials]
    assert list(table["share"]) == [trial.params["share"] for trial in study.trials]
    assert table["scales"][0] == "[1.0]" and table["trial"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(StudyError, match="there is no study 'another' in sqlite:///studies.db"):
        benchmark.trials("another")


def test_a_study_of_another_space_is_refused(toy):
    toy(trials=1)
    with pytest.raises(StudyError, match="there is a study 'sweep-glas-synthetic-paper' that searches something else"):
        toy({"space": {"share": {"type": "float", "low": 0.0, "high": 0.5}}}, trials=1)
    with pytest.raises(StudyError, match=r"settings.tall: absent, now 3; space.tall: 1 … 8, now absent") as refused:
        toy({"space": {"share": FILE["space"]["share"]}, "params": {"tall": 3}}, study=None, trials=1)
    assert "--study" in refused.value.fix


def test_an_objective_that_the_pair_does_not_give_ends_the_sweep(toy):
    with pytest.raises(
        ConfigError,
        match=r"sweep\.yaml, line \d+: toy on glas has no metric image/sensitivity_at_val; it has, among others",
    ):
        toy({"objective": {"metric": "image/sensitivity_at_val", "direction": "maximize"}})
    assert [trial.state for trial in stored().trials] == ["failed"]


@pytest.mark.parametrize(
    ("metric", "direction", "message"),
    [
        ("pixel/mio", "maximize", r"line \d+: there is no metric 'pixel/mio'; the nearest: pixel/miou"),
        ("pixel/miou", "minimize", r"line \d+: pixel/miou cannot be minimized: higher is better"),
        ("cost/seconds", "maximize", r"cost/seconds cannot be maximized: lower is better"),
        ("image/threshold_at_100", "maximize", "neither direction is better"),
    ],
)
def test_objectives_that_make_no_sense_are_refused(toy, metric, direction, message):
    with pytest.raises(ConfigError, match=message):
        toy({"objective": {"metric": metric, "direction": direction}})


def test_cost_can_be_an_objective(toy):
    goals = [
        {"metric": "pixel/accuracy", "direction": "maximize"},
        {"metric": "cost/seconds", "direction": "minimize"},
    ]
    toy({"objective": None, "objectives": goals, "trials": 2})
    assert all(trial.values[1] > 0 for trial in stored().trials)


def test_without_validation_slides_nothing_can_be_tuned(toy):
    with pytest.raises(DataError, match="glas validation=0.* has no validation slides"):
        toy({"options": {"validation": 0}})


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("sqlite:////no/such/folder/studies.db", "needs the folder /no/such/folder, which does not exist"),
        ("/no/such/folder/studies.journal", "expected a URL such as"),
        ("studies", "expected a URL such as"),
        ("nonsense://host/base", "cannot be used: Can't load plugin"),
        ("postgresql+pg8000://user:secret@localhost:1/base", "needs the Python package pg8000"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_told(toy, storage, message):
    with pytest.raises(StudyError, match=message) as refused:
        toy(storage=storage)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_no_storage_is_told(toy, tmp_path):
    (tmp_path / "studies.db").write_text("no database at all, but long enough to be looked at" * 40)
    with pytest.raises(StudyError, match="file is not a database"):
        toy()


def test_a_storage_that_stays_locked_is_told(toy, tmp_path, monkeypatch):
    toy(trials=1)
    monkeypatch.setattr(storage_module, "BUSY_SECONDS", 0.5)
    other = sqlite3.connect(tmp_path / "studies.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StudyError, match="locked"):
            toy(trials=2)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert toy(trials=2) == 0


def test_studies_that_are_not_there(tmp_path, capsys):
    for words, message in (
        (["show", "mine", "--storage", f"sqlite:///{tmp_path / 'none.db'}"], "there is no study storage"),
        (["nothing-like-this"], "there is no sweep 'nothing-like-this'"),
        (["oeem", "--trials", "0"], ""),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["sweep", *words])
        assert ended.value.code == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("*.db"))


def test_a_list_of_no_studies_is_no_mistake(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "list"])
    assert ended.value.code == 0
    assert "no studies yet in sqlite:///studies.db" in capsys.readouterr().out
    assert not Path("studies.db").exists()


def test_a_pruner_that_watches_nothing_says_so(toy, capsys):
    toy({"pruner": {"kind": "median", "watch": "rounds/scroe"}, "trials": 1})
    assert "logged no curve 'rounds/scroe': nothing is pruned" in capsys.readouterr().out


def test_a_dry_run_shows_the_space_and_opens_nothing(toy, capsys, tmp_path):
    assert toy(run={"dry_run": True}) == 0
    shown = capsys.readouterr().out
    assert "share (s)" in shown
    assert not (tmp_path / "studies.db").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mood=sad", "toy: mood = 'sad' is not legal; expected well | raise | hang"),
        ("s=0.3", "--set share: the sweep searches share, so it cannot be fixed too"),
        ("shade=1", "--set shade: neither toy nor glas has a field of that name"),
    ],
)
def test_a_wrong_setting_is_told_as_one_not_as_a_mistake_of_the_file(toy, setting, message):
    with pytest.raises(ConfigError) as refused:
        toy(run={"settings": (setting,), "dry_run": True})
    assert refused.value.what == message


def test_the_options_of_the_command_line_go_over_those_of_the_sweep_file(tmp_path):
    space = {"value": {"type": "float", "low": 0.1, "high": 1.0}}
    options = {"target": "gland", "validation": 0.3}
    path = write(tmp_path / "sweep.yaml", {"method": "constant", "space": space, "options": options})

    def resolved(dataset, *settings):
        return resolve_sweep(SweepRequest(str(path), RunRequest(dataset=dataset, settings=settings))).spec.options

    named = resolved("glas:target=malignant")
    assert (named.target, named.validation) == ("malignant", 0.3)
    assert resolved("glas", "target=malignant").target == "malignant"
    for dataset, settings, said in (
        ("glas:target=malignant", ("target=gland",), "glas:target=malignant sets target"),
        ("glas", ("target=gland", "dataset.target=malignant"), "target is set twice"),
        ("glas,slides", (), "names 2 datasets"),
    ):
        with pytest.raises(ConfigError, match=said):
            resolved(dataset, *settings)


def test_the_command_of_a_refit_run_says_so():
    from benchmark.reporting.command import run_command

    words = {"method": "oeem", "dataset": "glas", "preset": "quick", "seeds": [0]}
    told = run_command(refit=True, variant="weighting=none", **words)
    assert told == "bench run --method oeem --dataset glas --preset quick --seeds 0 --refit --set method.weighting=none"
    assert run_command(refit=True, **words).endswith("--refit")


def test_a_refit_that_makes_no_sense_is_refused(miniatures, tmp_path, capsys):
    words = ["--method", "topk-mil", "--dataset", "glas", "--data", str(miniatures["glas"]), "--refit", "--dry-run"]
    with pytest.raises(SystemExit) as ended:
        main(["run", *words, "--cache", str(tmp_path)])
    assert ended.value.code == 2
    assert "topk-mil needs validation slides with these parameters" in " ".join(capsys.readouterr().err.split())


def test_the_verb_loads_optuna_only_when_it_needs_it():
    code = "import sys, benchmark.cli; print(sorted({'optuna', 'plotly', 'torch', 'mlflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
