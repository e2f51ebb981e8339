"""What a new user meets first: refusals at once, no silence, titles, completion, a slide by its name."""

import io
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.commands import complete
from benchmark.config import RunRequest
from benchmark.dataset import tell_progress
from benchmark.discovery import card_title
from benchmark.errors import BenchError, ConfigError, DataError
from benchmark.learning.encoders.encoder_names import check_encoder
from benchmark.registry import datasets, methods
from benchmark.running.doing import at_work, doing
from benchmark.running.matrix import run_all
from benchmark.running.refusals import ENCODERS, OWN, refuse_early
from benchmark.terminal import PlainConsole
from benchmark.tracking.store import Tracker


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "oem"}, "did you mean .*'oeem'"),
        ({"dataset": "glass"}, "did you mean 'glas'"),
        ({"settings": ("encoder=nosuch",)}, "abmil: encoder = 'nosuch' is not legal"),
        ({"settings": ("method.encoder=uni,nosuch",)}, "abmil: encoder = 'nosuch' is not legal"),
        ({"method": "abmil:encoder=nosuch"}, "abmil: encoder = 'nosuch' is not legal"),
        ({"data": "/nowhere"}, "/nowhere – does not exist"),
    ],
)
def test_what_needs_no_method_is_refused_early(change, said):
    with pytest.raises(BenchError, match=said):
        refuse_early(RunRequest(**{"method": "abmil", "dataset": "glas", "data": "synthetic", **change}))


def test_several_datasets_and_files_of_runs_are_left_to_the_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    refuse_early(RunRequest(method="abmil", dataset="glas,bach"))
    with pytest.raises(ConfigError, match="3x"):
        refuse_early(RunRequest(method="abmil", dataset="glas,bach", budget="3x"))
    refuse_early(RunRequest(method="all", dataset="all"))
    (tmp_path / "run.yaml").write_text("method: abmil\ndataset: glas\ndata: synthetic\n")
    refuse_early(RunRequest(config=tmp_path / "run.yaml"))
    with pytest.raises(DataError, match="the data of 'glas' was not found"):
        refuse_early(RunRequest(method="abmil", dataset="glas"))


@pytest.mark.parametrize("words", [["run", "--method", "abmil"], ["sweep", "oeem"]])
def test_a_refusal_loads_no_framework(words):
    code = (
        "import sys\nfrom benchmark.cli import main\n"
        f"try:\n    main([*{words!r}, '--dataset', 'glas', '--data', '/nowhere'])\n"
        "except SystemExit as ended:\n    assert ended.code == 2\n"
        "print([m for m in ('torch', 'timm', 'mlflow', 'optuna', 'matplotlib', 'pandas', 'multiprocessing.forkserver')"
        " if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_names_that_are_checked_early_are_names_of_encoders_in_every_method():
    for entry in methods().entries():
        fields = methods().load(entry.name).Params.model_fields
        for name in ENCODERS if entry.distribution == OWN else ():
            if name in fields:
                assert check_encoder in [getattr(each, "func", None) for each in fields[name].metadata], entry.name


def test_a_long_step_says_how_far_it_is():
    out = io.StringIO()

    def said(text):
        until = time.monotonic() + 20
        while text not in out.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
        return text in out.getvalue()

    with doing(Console(file=out, width=200), "opening the data", period=0.02) as tell:
        assert said("opening the data (")
        tell("opening glas")
        tell_progress(3, 24)
        assert said("opening glas: made 3 of 24 slides of its miniature (")
    console = PlainConsole(file=out, width=200)
    with at_work(console, "hamil seed 0", quiet=0.02):
        assert said("at work for 0 s: hamil seed 0")
    out.truncate(0)
    with at_work(console, "hamil seed 0", quiet=60):
        time.sleep(0.05)
    assert not out.getvalue()


def test_a_listing_shows_titles():
    source = 'class A(B):\n    """Does it."""\n\n    card = _card("of it", notes="x")\n\n    def f(self): ...\n'
    assert card_title(source, "A") == "Of it"
    done = CliRunner().invoke(app, ["list"], env={"COLUMNS": "160"})
    assert "Online Easy Example Mining" in done.output and "GlaS – gland segmentation" in done.output
    for registry in (methods(), datasets()):
        for entry in registry.entries():
            assert entry.title.casefold() in registry.load(entry.name).card.title.casefold(), entry.name


def test_completion_offers_what_is_typed_before_it():
    context = SimpleNamespace(params={"method": "oeem", "dataset": "glas:target=gland"})
    assert [text for text, _ in complete.setting(context, "weigh")] == ["weighting="]
    offered = [text for text, _ in complete.setting(context, "")]
    assert {"method.presence=", "dataset.presence=", "target="} <= set(offered) and "presence=" not in offered
    assert complete.setting(SimpleNamespace(params={"method": "oe", "dataset": None}), "") == []


def test_a_slide_is_shown_by_its_name(miniatures, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = RunRequest(
        method="constant", dataset="glas", data=str(miniatures["glas"]), preset="smoke", jobs=0, store=store
    )
    assert run_all(request) == 0
    (run,) = Tracker(store).runs("glas-synthetic")
    done = CliRunner().invoke(app, ["show", run.id[:8], "testA_1", "--store", store])
    assert done.exit_code == 0, done.output
    drawn = tmp_path / "testA_1.jpg"
    assert drawn.is_file() and Image.open(drawn).width > 500 and str(drawn) in done.output.replace("\n", "")
    wrong = CliRunner().invoke(app, ["show", run.id[:8], "testA_99", "--store", store])
    assert isinstance(wrong.exception, ConfigError) and "testA_1" in str(wrong.exception)
