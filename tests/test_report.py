"""The report: a page of real runs, what is missing, and what must not get through."""

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from types import ModuleType

import pytest
from defusedxml.ElementTree import fromstring
from typer import Typer
from typer.testing import CliRunner

from benchmark.commands.report import report
from benchmark.config import RunRequest
from benchmark.errors import ConfigError, TrackingError
from benchmark.notebook import read_leaderboard
from benchmark.reporting.leaderboard.build_leaderboard import Filters
from benchmark.reporting.leaderboard.standings_model import (
    Board,
    Failure,
    Figure,
    Leaderboard,
    MeanRanks,
    PairTest,
    Published,
    Row,
    Standing,
)
from benchmark.reporting.references import Reference
from benchmark.reporting.report import render, write_report
from benchmark.reporting.style import figure
from benchmark.running import matrix
from benchmark.stored import StoredRun
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.store import Tracker

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """The page as ids, references, text per table, and a check that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.refs, self.tables, self.open, self.scripts = [], [], [], [], 0
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.scripts += tag == "script"
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href", "srcset", "action"):
                self.refs.append(value)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data.strip()


class Folder:
    """Artifacts in folders named after the run."""

    def __init__(self, root):
        self.root = root

    def fetch(self, run, path):
        here = self.root / run.id / path
        return [here] if here.is_file() else sorted(here.rglob("*.*"))


class Unreachable:
    def fetch(self, run, path):
        raise TrackingError("the server is gone")


def row(method="oeem", value=0.5, *, track="patch", minutes=2.0, **changes):
    run = StoredRun(f"run-{method}", method, "FINISHED", {}, {}, {}, "")
    figures = {"pixel/miou": Figure(value, 0.01, value - 0.1, value + 0.1), "labels/patch_labels": Figure(24.0)}
    usual = {"variant": "", "preset": "quick", "seeds": (0,), "runs": (run,), "figures": figures}
    return Row(method, supervision=track, minutes=minutes, **{**usual, **changes})


def board(*rows, **changes):
    usual = {"key": "k", "dataset": "tiles", "settings": "", "synthetic": False, "used": 20, "expected": 20}
    return Board(**{**usual, **changes}, rows=rows or (row(), row("pspnet", 0.7)))


def page_of(*boards, files=None, folder=None, **changes):
    return render(Leaderboard("store.db", boards, **changes), files or Folder(folder))


@pytest.fixture(scope="module")
def ran(miniatures, empty_tables, tmp_path_factory):
    """A store with two rows of `constant`, one with two seeds, and one of `coarse`. Only to be read."""
    root = tmp_path_factory.mktemp("ran")
    store = f"sqlite:///{root / 'mlflow.db'}"
    Tracker(store, cache=empty_tables).connect()
    for method, settings, seeds in (
        ("constant", (), (0, 1)),
        ("constant", ("value=0.25",), (0,)),
        ("coarse", (), (0,)),
    ):
        request = RunRequest(
            method=method,
            dataset="glas",
            data=str(miniatures["glas"]),
            store=store,
            device="cpu",
            preset="smoke",
            settings=settings,
            seeds=seeds,
            jobs=0,
            cache=root / "cache",
        )
        assert matrix.run_all(request) == 0
    return store


def test_a_page_of_real_runs(ran, tmp_path):
    tracker = Tracker(ran)
    found = read_leaderboard(tracker, Filters())
    out = write_report(found, StoreArtifacts(tracker), tmp_path / "report.html")
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    assert not re.search(r"(https?|file|ftp):|//[a-z]+\.", re.sub(r"data:image/jpeg;base64,[\w+/=]+", "", text))
    assert all(ref.startswith(("#", "data:image/jpeg;base64,")) for ref in page.refs)
    assert len(page.ids) == len(set(page.ids)) and {ref[1:] for ref in page.refs if ref[0] == "#"} <= set(page.ids)
    assert page.scripts == 1 and text.count("<img ") == 9 and len(text) < 2e6
    charts = re.findall(r'<svg viewBox="[^"]*" class="chart".*?</svg>', text, re.S)
    assert len(charts) >= 4 and all(fromstring(chart).tag == "svg" for chart in charts)
    assert re.search(r"found \d+ of \d+\)", text), "no exact interval where patients have several units"
    assert "ROC of the units" in text and "F1 of every slide" in text and "artifacts." not in text
    (one,) = found.boards
    pixel = next(table for table in page.tables if "Dice" in " ".join(table[0]))
    lines = {line[0]: line for line in pixel if len(line) > 2}
    for each in one.rows:
        shown = lines[f"{each.label}{len(each.seeds)} seed{'s' if len(each.seeds) > 1 else ''}"]
        assert f"{each.mean('pixel/miou'):.3f}" in shown[2] and ("±" in shown[2]) == (len(each.seeds) > 1)
    assert "bench run --method constant --dataset glas --preset smoke --seeds 0,1" in text
    assert "--set method.value=0.25" in text and "Synthetic data" in text
    again = write_report(found, StoreArtifacts(tracker), tmp_path / "again.html")
    assert again.read_bytes() == out.read_bytes()


def test_the_verb_writes_the_file_and_refuses_a_missing_folder(ran, tmp_path):
    app = Typer()
    app.command()(report)
    done = CliRunner().invoke(app, ["--store", ran, "--out", "here.html", "--method", "coarse"])
    assert done.exit_code == 0 and "boards: 1, rows: 1" in done.output and (tmp_path / "here.html").is_file()
    refused = CliRunner().invoke(app, ["--store", ran, "--out", "no/where.html"])
    assert isinstance(refused.exception, ConfigError) and "mkdir -p" in refused.exception.fix
    none = CliRunner().invoke(app, ["--store", ran, "--method", "nothing"])
    assert isinstance(none.exception, TrackingError) and not (tmp_path / "report.html").exists()


def test_what_comes_from_data_is_escaped(tmp_path):
    evil = "<script>alert(1)</script>\"'&"
    reference = Reference(evil, evil, evil, None, "tiles", evil, evil, "other/x", 1.0, None, None, evil, evil, evil)
    one = board(
        row(evil, variant=f"a={evil}", track=f"coarse+{evil}"),
        dataset=evil,
        settings=evil,
        notes=(evil,),
        tests=(PairTest("pixel/miou", evil, evil, evil, evil, refused=evil),),
        published=(Published(reference, evil),),
    )
    failure = Failure(evil, evil, evil, evil, evil, evil, evil)
    text = page_of(one, folder=tmp_path, failures=(failure,))
    assert Page(text).scripts == 1 and "<script>alert" not in text and text.count("&lt;script&gt;alert") > 15
    assert "script-src 'sha256-" in text.replace("&#39;", "'")


def test_missing_unreadable_and_unreachable_artifacts_leave_a_sentence(tmp_path):
    with_auc = row("coarser", track="coarse", figures={"image/auc": Figure(0.7)})
    missing = page_of(board(with_auc), folder=tmp_path)
    for name in ("units.csv", "per_slide.table.json", "overlays"):
        assert f"has no {name} among its artifacts." in missing
    home = tmp_path / "run-coarser"
    (home / "overlays").mkdir(parents=True)
    (home / "units.csv").write_text("slide,patient\na,b\n")
    (home / "per_slide.table.json").write_text("{")
    (home / "overlays" / "01_a.jpg").write_text("not a picture")
    broken = page_of(board(with_auc), folder=tmp_path)
    assert "units.csv cannot be read" in broken and "table.json cannot be read" in broken and "An overlay of" in broken
    assert "the server is gone" in page_of(board(with_auc), files=Unreachable())
    (home / "units.csv").write_text("slide,patient,unit,label,score\na,b,0,1,0.5\n")
    assert "needs positive and negative units" in page_of(board(with_auc), folder=tmp_path)


def test_a_store_that_fails_is_asked_three_times_only(tmp_path):
    class Gone:
        asked = 0

        def download(self, run, path, folder):
            self.asked += 1
            raise TrackingError("no answer")

    tracker = Gone()
    files = StoreArtifacts(tracker)
    remote = replace(row().runs[0], artifact_uri="mlflow-artifacts:/0/a")
    for _ in range(5):
        with pytest.raises(TrackingError):
            files.fetch(remote, "units.csv")
    assert tracker.asked == 3


def test_ranks_best_ties_and_order(tmp_path):
    rows = (row("low", 0.3), row("high", 0.7004), row("equal", 0.7001), row("alone", 0.9, track="full", minutes=None))
    ranks = {"high": (1, True, True), "equal": (1, True, True), "low": (3, False, True), "alone": (1, False, False)}
    standings = {"pixel/miou": {f"{name} quick": Standing(*rank) for name, rank in ranks.items()}}
    text = page_of(board(*rows, standings=standings), folder=tmp_path)
    (table, *_) = Page(text).tables
    names = [(line[0], line[1]) for line in table[1:] if len(line) > 1]
    shown = [("alone", "(1)"), ("high", "1="), ("equal", "1="), ("low", "3")]
    assert names == [(f"{name} quick1 seed", rank) for name, rank in shown]
    assert text.count("<b>0.700 ± 0.010</b>") == 2 and "<b>0.900" not in text and "<b>0.300" not in text
    assert "0.200 to 0.400" in text and "24 patch labels" in text
    assert "Without a label time: alone quick." in text


def test_tests_and_published_numbers_stand_beside_ours(tmp_path):
    reference = Reference(
        "A et al. 2020", "Table 1", "OEEM", "oeem", "tiles", "Tiles", None, "pixel/miou", 0.6, 0.02, (0.55, 0.65),
        "same split", "patch", "doubtful",
    )  # fmt: skip
    tests = (
        PairTest("pixel/miou", "patch", "pspnet quick", "oeem quick", "Wilcoxon", 20, 0.2, 0.00001),
        PairTest("pixel/miou", "patch", "oeem quick", "x quick", "Wilcoxon", 20, -0.01, 0.5),
        PairTest("pixel/miou", "patch", "oeem quick", "y quick", "Wilcoxon", refused="only 2 slides in common"),
    )
    published = (Published(reference, "oeem quick", 0.5, -0.1), Published(replace(reference, metric="other/Recall")))
    tables = Page(page_of(board(tests=tests, published=published), folder=tmp_path)).tables
    assert [line[5:] for line in tables[1][1:]] == [
        ["20", "+0.200", "< 0.0001", "differ"],
        ["20", "−0.010", "0.5000", "tie"],
        ["0", "–", "–", "only 2 slides in common"],
    ]
    ours, without = tables[2][1:]
    assert ours[0] == "mIoU" and ours[3].startswith("0.600 ± 0.020") and ours[4:7] == ["0.500", "−0.100", "oeem quick"]
    assert without[0] == "Recall" and without[4:7] == ["–", "–", "–"]


def test_real_stands_before_synthetic_and_incomplete_is_said(tmp_path):
    run = StoredRun("run-oeem", "oeem", "FINISHED", {}, {}, {"bench.synthetic_slides": "30"}, "")
    painted = board(row(runs=(run,)), synthetic=True, settings="target=malignant", content="ab12cd34")
    text = page_of(painted, board(used=15), folder=tmp_path)
    first, second = text.split("<section ")[1:3]
    assert 'class="tag">incomplete' in first and "5 test slides are missing" in first and "synthetic" not in first
    assert 'class="tag">synthetic' in second
    assert (
        "--set dataset.target=malignant --data synthetic --synthetic-slides 30 --force</code>" in second
        and "(data ab12cd34)</code>" not in second
    )


def test_at_most_eight_rows_have_pictures(tmp_path):
    text = page_of(board(*[row(f"m{index}") for index in range(11)]), folder=tmp_path)
    assert text.count("has no overlays") == 8 and "3 more rows are left out" in text


def test_mean_ranks_are_drawn(tmp_path, monkeypatch):
    drawn = []

    def critical_difference_figure(ranks, difference, *, title):
        drawn.append((dict(ranks), difference))
        empty = figure(4, 2)
        empty.text(0.5, 0.5, "a quick")
        return empty

    fake = ModuleType("rank_figure")
    fake.critical_difference_figure = critical_difference_figure
    monkeypatch.setitem(sys.modules, "benchmark.reporting.rank_figure", fake)
    ranks = MeanRanks("pixel/miou", False, ("tiles", "others"), 2, {"a quick": 1.5, "b quick": 1.5}, 0.8, None, "patch")
    text = page_of(board(), folder=tmp_path, ranks=(ranks, replace(ranks, synthetic=True)))
    assert drawn == [({"a quick": 1.5, "b quick": 1.5}, 0.8)] * 2
    assert "Mean ranks by mIoU over 2 real datasets, patch" in text and "no p." in text
    assert text.index("real datasets") < text.index("synthetic datasets")


def test_failures_are_listed_and_can_be_repeated(tmp_path):
    failure = Failure("tiles", "oeem paper", "2", "out of memory", "9 GiB", "ab12", "bench run --method oeem --seeds 2")
    text = render(Leaderboard("store.db", (), failures=(failure, replace(failure, reason=""))), Folder(tmp_path))
    (table,) = Page(text).tables
    assert table[1] == ["oeem paper", "tiles", "2", "out of memory", "9 GiB"] and "no reason is stored" in text
    assert text.count("<code>bench run --method oeem --seeds 2</code>") == 1


def test_nothing_to_show_is_an_error(tmp_path):
    with pytest.raises(TrackingError, match="no run in"):
        write_report(Leaderboard("store.db", ()), Folder(tmp_path), tmp_path / "a.html")
    with pytest.raises(ConfigError, match="it is a folder"):
        write_report(Leaderboard("store.db", (board(),)), Folder(tmp_path), tmp_path)
    assert not list(tmp_path.glob("*.html"))
