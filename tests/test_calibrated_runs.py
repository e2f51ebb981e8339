"""Calibration of whole runs: what they leave behind, the option `--calibrate`, and where it does not apply."""

import json

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.metrics.calibration_report import CALIBRATION
from benchmark.tracking.artifacts import StoreArtifacts, whole_run
from benchmark.tracking.store import Tracker

GUESS = '''
"""Knows the truth through noise, and is far too sure of what it sees."""
from typing import Any, ClassVar
import numpy as np
from benchmark.method import Method, MethodCard, Params, Prediction
from benchmark.slides import ScoreMap
from PIL import Image


class GuessParams(Params):
    """None."""


class Guess(Method[GuessParams]):
    name = "guess"
    supervision: ClassVar = frozenset()
    card = MethodCard(title="Guess", citation="none", paper="none")
    Params = GuessParams
    presets: ClassVar = {"paper": {}, "quick": {}, "smoke": {}}

    def encoders(self):
        return ()

    def fit(self, train, validation, context):
        pass

    def predict(self, slide, labels, context):
        grid = context.geometry.evaluation_grid(slide)
        truth = np.asarray(Image.open(slide.path.with_name(f"{slide.path.stem}_anno.bmp"))) > 0
        units = ScoreMap(grid, truth.astype(np.float32)).units(context.geometry.unit_grid(slide), 1)
        return Prediction(ScoreMap(grid, self._seen(truth)), self._seen(units))

    def _seen(self, truth):
        noisy = truth - 0.5 + np.random.default_rng(0).normal(size=truth.shape)
        return (1 / (1 + np.exp(-5 * noisy))).astype(np.float32)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state, context):
        pass
'''


def ended(words):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main(words)
    return end.value.code


def of(store, method):
    """The runs of a method by variant, with all numbers, their artifacts fetched by `get`."""
    tracker = Tracker(store)
    return tracker, {
        run.tag("variant"): whole_run(tracker, run) for run in tracker.stored() if run.tag("method") == method
    }


def test_temperature_changes_probabilities_and_no_decision(distribution, miniatures, store, tmp_path, capsys):
    distribution("guess-method", modules={"guess_method": GUESS}, methods={"guess": "guess_method:Guess"})
    run = ["run", "--method", "guess", "--dataset", "glas", "--data", str(miniatures["glas"]), "--jobs", "0"]
    run += ["--set", "validation=0.4", "--slides", "3"]
    assert ended(run) == 0
    assert ended([*run, "--calibrate"]) == 0
    tracker, runs = of(store, "guess")
    plain, cold = runs[None], runs["calibrated=temperature"]
    assert plain.tag("identity") != cold.tag("identity") and plain.tag("row") != cold.tag("row")
    assert plain.tag("board") == cold.tag("board")
    one, two = plain.metrics, cold.metrics
    for name in ("pixel/dice", "pixel/miou", "object/f1", "pixel/accuracy"):
        assert two[name] == one[name]
    assert two["image/auc"] == pytest.approx(one["image/auc"], abs=1e-3)
    for kind in ("unit", "cell"):
        assert two[f"calibration/{kind}_temperature"] > 1
        for figure in ("brier", "reliability", "ece")[: 1 if kind == "unit" else 3]:
            assert two[f"calibration/{kind}_{figure}_before"] == one[f"calibration/{kind}_{figure}"]
            assert two[f"calibration/{kind}_{figure}"] < one[f"calibration/{kind}_{figure}"]
    assert set(CALIBRATION) <= set(one)
    with StoreArtifacts(tracker) as artifacts:
        page = artifacts.fetch(cold, "summary.html")[0].read_text()
        facts = json.loads(artifacts.fetch(cold, "calibration.json")[0].read_text())
        config = artifacts.fetch(cold, "config.yaml")[0]
        card = json.loads(artifacts.fetch(cold, "model/card.json")[0].read_text())
        names = {path.name for path in artifacts.fetch(plain, "curves")}
        assert "units, before scaling" in page and "temperature of cells, fitted on validation slides" in page
        assert card["temperatures"] == facts["temperatures"]
        assert facts["decision"].startswith("units are parts of slides")
        assert {"reliability.png", "threshold.png"} <= names and "decision.png" not in names
        lines = artifacts.fetch(cold, "units.csv")[0].read_text().splitlines()[1:]
        assert sum(bin_["count"] for bin_ in facts["levels"]["unit"]["bins"]) == len(lines)
        capsys.readouterr()
        assert ended(["run", "--config", str(config), "--jobs", "0"]) == 0
    assert "finished" in capsys.readouterr().out
    # The stored model scores as the run did.
    slide = lines[0].split(",")[0]
    picture = next(miniatures["glas"].rglob(f"{slide}.*"))
    assert (
        ended(
            [
                "predict",
                str(picture),
                "--run",
                cold.id,
                "--out",
                str(tmp_path / "out"),
                "--device",
                "cpu",
                "--mpp",
                "0.62005",
            ]
        )
        == 0
    )
    wanted = max(float(line.split(",")[-1]) for line in lines if line.startswith(f"{slide},"))
    table = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    row = dict(zip(table[0].split(","), table[1].split(","), strict=True))
    assert float(row["score"]) == pytest.approx(wanted, abs=1e-6)


def test_without_validation_slides_there_is_nothing_to_fit_on(miniatures, capsys):
    data = ["--dataset", "glas", "--data", str(miniatures["glas"]), "--set", "validation=0", "--jobs", "0"]
    assert ended(["run", "--method", "constant", *data, "--calibrate"]) == 2
    assert "no validation slides here, on which temperatures are fitted" in " ".join(capsys.readouterr().err.split())
    assert ended(["run", "--method", "abmil", *data, "--calibrate", "--refit"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "--refit" in told and "Traceback" not in told


def test_what_inputs_give_away_has_no_calibration(miniatures, store):
    run = ["run", "--method", "coarse", "--dataset", "glas", "--data", str(miniatures["glas"]), "--jobs", "0"]
    assert ended([*run, "--slides", "4"]) == 0
    _, runs = of(store, "coarse")
    (found,) = runs.values()
    assert not [name for name in found.metrics if name.startswith("calibration/unit")]
    assert "calibration/cell_ece" in found.metrics and "calibration/threshold" not in found.metrics
    tracker = Tracker(store)
    with StoreArtifacts(tracker) as artifacts:
        page = artifacts.fetch(found, "summary.html")[0].read_text()
        per_slide = np.array(artifacts.fetch(found, "per_slide.csv")[0].read_text().splitlines()[0].split(","))
    assert "units: not applicable, the method is given the coarse annotation" in page
    assert {"group/grade", "group/subtype", "group/part"} <= set(per_slide)


def test_attention_is_no_probability():
    from benchmark.methods.mil.abmil import Abmil

    assert Abmil(Abmil.Params()).no_probability() == {}
    assert "no probability" in Abmil(Abmil.Params(score_map="attention")).no_probability()["cell"]
