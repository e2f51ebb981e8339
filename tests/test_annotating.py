"""`bench annotate` over HTTP: who may speak, what counts, undo, resume, budgets, and the run that comes of it."""

import json
import shutil
import socket
import time

import numpy as np
import pytest
from annotating import PORT, SMALL, TOKEN, Oracle, page_of, request_of, same

from benchmark.annotating.files import annotated_cells
from benchmark.annotating.journal import Journal
from benchmark.annotating.serving import listen
from benchmark.annotations import read_annotation
from benchmark.dataset import Split
from benchmark.errors import BlankSlideError, ConfigError, DataError
from benchmark.ledger import Ledger
from benchmark.running.attempt import context_of
from benchmark.running.evaluate import Examination
from benchmark.running.job import open_job
from benchmark.running.plan import plan

SLIDE = "test_016"
"""Of the miniature, one with lesion."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def request_(miniatures):
    return request_of(miniatures["camelyon16"], SLIDE, *SMALL)


@pytest.fixture
def page(request_, tmp_path, cache):
    with page_of(request_, tmp_path / "session", cache) as page:
        yield page


@pytest.fixture(scope="module")
def untouched(miniatures, cache, tmp_path_factory):
    """A page that refuses everything it is sent, for all tests that send what is refused."""
    request = request_of(miniatures["camelyon16"], SLIDE, *SMALL)
    with page_of(request, tmp_path_factory.mktemp("session"), cache) as page:
        yield page


def told(request, cache):
    """What an ordinary run of a request says of the slide, and its ledger."""
    (spec,) = plan(request)
    job, ledger = open_job(spec, cache), Ledger()
    (slide,) = job.slides(Split.TEST)
    context = context_of(job, ledger, reporter(), "cpu", Examination(job.seen))
    job.method.fit(job.view(Split.TRAIN, ledger), job.view(Split.VALIDATION, ledger), context)
    return job.method.predict(slide, job.labels(Split.TEST, ledger), context), ledger


def reporter():
    from benchmark.context import SilentReporter

    return SilentReporter()


# ---- who may speak


@pytest.mark.parametrize(
    ("path", "headers", "why"),
    [
        ("/wrong/api/state", {}, "token"),
        ("/", {}, "token"),
        (f"/{TOKEN}x/api/state", {}, "token"),
        (f"/{TOKEN}/api/state", {"host": f"evil.example:{PORT}"}, "evil.example"),
        (f"/{TOKEN}/api/state", {"host": f"127.0.0.1:{PORT + 1}"}, "this page is not"),
        (f"/{TOKEN}/api/state", {"origin": "http://evil.example"}, "evil.example"),
        (f"/{TOKEN}/api/state", {"origin": "null"}, "null"),
        (f"/{TOKEN}/api/state", {"sec-fetch-site": "cross-site"}, "other sites"),
    ],
)
def test_strangers_are_refused(untouched, path, headers, why):
    answer = untouched.client.get(path, headers=headers)
    assert answer.status_code == 403 and why in answer.text
    assert TOKEN not in answer.text.replace(f"{TOKEN}x", "")


def test_what_changes_something_says_its_origin_and_is_small(page):
    del page.client.headers["origin"]
    assert page.get("api/state").status_code == 200
    assert page.post("act", {}).status_code == 403
    page.client.headers["origin"] = f"http://localhost:{PORT}"
    assert page.post("act", {}).status_code == 400
    assert page.post("act", {"tab": "x" * (1 << 20)}).status_code == 403


def test_nothing_is_loaded_from_elsewhere_and_the_address_stays_here(page):
    for path in ("", "annotate.js", "annotate.css", "annotate.svg", "api/about", "overview.jpg"):
        answer = page.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert "http" not in page.get("").text.replace("http-equiv", "")
    assert page.get("../journal.jsonl").status_code in (403, 404)


# ---- what counts


def test_an_answer_sent_twice_counts_once_and_one_out_of_order_not_at_all(page):
    oracle = Oracle(page)
    item = oracle.begin()[0]
    events = page.state()["events"]
    body = {
        "tab": "one",
        "number": 1,
        "kind": "answer",
        "seconds": 2,
        "marks": [{"item": item, "label": 1, "was": None}],
    }
    assert page.post("act", body).json()["new"] is True
    assert page.post("act", body).json()["new"] is False
    assert page.state()["events"] == events + 1 == len(page.session._journal.events)
    other = {**body, "marks": [{"item": item, "label": 0, "was": 1}]}
    assert page.post("act", other).status_code == 409
    for number in (0, 3, -1):
        answer = page.post("act", {**other, "number": number})
        assert answer.status_code == 409 and "out of order" in answer.json()["error"]
    assert page.state()["events"] == events + 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"marks": [{"item": 0, "label": 7, "was": None}]}, "no class 7"),
        ({"marks": [{"item": 0, "label": "1", "was": None}]}, "no class '1'"),
        ({"marks": [{"item": 10**6, "label": 1, "was": None}]}, "no patch 1000000"),
        ({"marks": [{"item": -1, "label": 1, "was": None}]}, "no patch -1"),
        ({"marks": [{"item": 0, "label": 1}, {"item": 0, "label": 0}]}, "marked twice"),
        ({"marks": []}, "answer comes with marks"),
        ({"marks": "all"}, "list"),
        ({"kind": "undo", "marks": [{"item": 0, "label": 1}]}, "undo comes without marks"),
        ({"kind": "paint"}, "unknown kind"),
        ({"kind": "reopen", "marks": []}, "unknown kind"),
        ({"seconds": "1"}, "seconds"),
        ({"tab": ""}, "tab"),
        ({"number": True}, "number"),
    ],
)
def test_what_cannot_be_read_is_refused(untouched, change, why):
    page = untouched
    body = {"tab": "one", "number": 1, "kind": "answer", "seconds": 1, "marks": [{"item": 0, "label": 1, "was": None}]}
    answer = page.post("act", {**body, **change})
    assert answer.status_code == 400 and why in answer.json()["error"]
    assert page.state()["events"] == 0
    assert page.client.post(f"/{TOKEN}/api/act", content=b"[1").status_code == 400
    assert page.client.post(f"/{TOKEN}/api/act", content=b'{"seconds": NaN}').status_code == 400


def test_tabs_do_not_overwrite_each_other(page):
    oracle = Oracle(page)
    item = oracle.begin()[0]
    first, second = page.tab(), page.tab()
    first.did("answer", [(item, 1)])
    body = {"tab": second.name, "number": 1, "kind": "answer", "marks": [{"item": item, "label": 0, "was": None}]}
    answer = page.post("act", body)
    assert answer.status_code == 409 and "another tab" in answer.json()["error"]
    seen = page.state()["undo"]
    second.did("answer", [(page.batch()[1], 0)])
    assert first.send("undo", last=seen).status_code == 409, "what it would take back is not what it saw last"
    version = page.state()["version"]
    began = time.monotonic()
    assert page.get(f"api/state?after={version - 1}").json()["version"] == version
    assert time.monotonic() - began < 2, "a tab that is behind is told at once"


def test_the_search_needs_an_example_and_examples_come_before_it(page):
    tab = page.tab()
    answer = tab.send("start")
    assert answer.status_code == 409 and "an example of" in answer.json()["error"]
    oracle = Oracle(page)
    positive = oracle.labels.index(1)
    tab.did("example", [(positive, 1)])
    assert "is an example" in tab.send("answer", [(positive, 1)]).json()["error"]
    tab.did("start")
    assert "begun already" in tab.send("start").json()["error"]
    assert "has begun" in tab.send("example", [(positive + 1, 1)]).json()["error"]


# ---- undo, and answers at any time


def test_undo_and_redo_of_everything(page):
    oracle = Oracle(page)
    first = oracle.begin()
    oracle.round()
    later = page.settled()
    probabilities = page.session.view.probabilities.copy()
    tab = page.tab()
    steps = later["undo"]
    for _ in range(later["events"]):
        state = tab.did("undo")
    assert steps and state["undo"] == 0 and state["phase"] == "examples" and not state["answers"]
    assert page.settled()["queue"] == []
    for number in range(later["events"]):
        state = tab.did("redo")
        if number == 2:
            assert page.batch() == first
    again = page.settled()
    assert [again[name] for name in ("queue", "answers", "examples")] == [
        later[name] for name in ("queue", "answers", "examples")
    ]
    same(page.session.view.probabilities, probabilities)
    assert "nothing to redo" in tab.send("redo").json()["error"]


def test_undo_across_a_round_opens_it_again(page):
    oracle = Oracle(page)
    oracle.begin()
    oracle.round()
    second = oracle.round()
    third = page.batch()
    assert page.session.view.rounds == 2
    state = page.tab().did("undo")
    assert page.batch() == second and page.session.view.rounds == 1
    assert len(page.state()["answers"]) == len(state["answers"]) == 7
    oracle.tab.did("answer", [(second[-1], oracle.labels[second[-1]])])
    assert page.batch() == third


def test_a_corrected_answer_is_learnt_again_and_the_others_stay(page):
    oracle = Oracle(page)
    first = oracle.begin()
    oracle.round()
    oracle.round()
    right = page.session.view.probabilities.copy()
    wrong = 1 - oracle.labels[first[0]]
    page.tab().did("answer", [(first[0], wrong)])
    state = page.settled()
    assert len(state["answers"]) == 8
    row, col = page.session.steps.places[first[0]].tolist()
    assert annotated_cells(page.session)[row, col] == wrong
    page.tab().did("answer", [(first[0], oracle.labels[first[0]])])
    page.settled()
    same(page.session.view.probabilities, right)


def test_answers_ahead_are_used_when_they_are_asked_for(page, request_, tmp_path, cache):
    oracle = Oracle(page)
    oracle.begin()
    everything = [
        (item, label) for item, label in enumerate(oracle.labels) if item not in dict(page.state()["examples"])
    ]
    page.tab().did("answer", everything)
    state = page.settled()
    assert state["finished"] and page.session.view.rounds == 4
    with page_of(request_, tmp_path / "other", cache) as other:
        slow = Oracle(other)
        slow.begin()
        for _ in range(4):
            slow.round()
        same(other.session.view.probabilities, page.session.view.probabilities)


def test_answers_are_taken_while_a_round_is_learnt(page, monkeypatch):
    import threading

    oracle = Oracle(page)
    items = oracle.begin()
    going, go = threading.Event(), threading.Event()
    update = page.session.steps.update

    def slow(answers):
        going.set()
        assert go.wait(60)
        return update(answers)

    monkeypatch.setattr(page.session.steps, "update", slow)
    tab = page.tab()
    tab.did("answer", [(item, oracle.labels[item]) for item in items])
    assert going.wait(60)
    state = page.state()
    assert state["busy"] == "learning"
    ahead = next(entry["item"] for entry in state["queue"] if entry["ahead"])
    began = time.monotonic()
    tab.did("answer", [(ahead, oracle.labels[ahead])])
    tab.did("undo")
    assert time.monotonic() - began < 2
    go.set()
    assert page.settled()["busy"] == "" and page.session.view.rounds == 1


def test_a_round_that_fails_is_told_and_tried_again(page, monkeypatch):
    oracle = Oracle(page)
    items = oracle.begin()
    update = page.session.steps.update

    def fails(answers):
        raise ConfigError("the loss became nan")

    monkeypatch.setattr(page.session.steps, "update", fails)
    tab = page.tab()
    tab.did("answer", [(item, oracle.labels[item]) for item in items])
    assert "the loss became nan" in page.settled()["fault"]
    monkeypatch.setattr(page.session.steps, "update", update)
    tab.did("undo")
    tab.did("redo")
    assert page.settled()["fault"] == "" and page.session.view.rounds == 1


# ---- another day


def test_a_session_goes_on_where_it_was(request_, tmp_path, cache):
    folder = tmp_path / "session"
    with page_of(request_, folder, cache) as page:
        oracle = Oracle(page)
        oracle.begin()
        oracle.round()
        item = page.batch()[0]
        oracle.tab.did("answer", [(item, 1)])
        before, probabilities = page.settled(), page.session.view.probabilities.copy()
        name, number = oracle.tab.name, oracle.tab.number
    with (folder / "journal.jsonl").open("ab") as stream:
        stream.write(b'{"kind": "answer", "marks": [[0, 0')  # a kill in the middle of a line
    for lose in (False, True):
        if lose:
            shutil.rmtree(folder / "rounds")
        with page_of(request_, folder, cache) as page:
            updates = []
            update = page.session.steps.update
            page.session.steps.update = lambda answers, update=update, done=updates: done.append(1) or update(answers)
            after = page.settled()
            assert len(updates) == lose, "what was learnt is kept; lost, it is learnt again"
            assert [after[name] for name in ("queue", "answers", "examples", "undo")] == [
                before[name] for name in ("queue", "answers", "examples", "undo")
            ]
            same(page.session.view.probabilities, probabilities)
            body = {"tab": name, "number": number, "kind": "answer", "marks": [{"item": item, "label": 1, "was": None}]}
            assert page.post("act", body).json()["new"] is False, "sent again after the crash it still counts once"


def test_a_folder_holds_one_session_at_a_time_and_of_one_kind(request_, tmp_path, cache, miniatures):
    folder = tmp_path / "session"
    with (
        page_of(request_, folder, cache),
        pytest.raises(ConfigError, match="has this session open"),
        page_of(request_, folder, cache),
    ):
        pass
    other = request_of(miniatures["camelyon16"], SLIDE, *SMALL, method="entropy")
    with pytest.raises(ConfigError, match="a session with method 'cnfp', not 'entropy'"), page_of(other, folder, cache):
        pass
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text() + '{"kind": "paint", "marks": []}\n')
    with pytest.raises(DataError, match="line 2 has the unknown kind 'paint'"), page_of(request_, folder, cache):
        pass


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([{"kind": "undo"}], "line 2 does undo where there is nothing to undo"),
        ([{"kind": "start"}, {"kind": "undo"}, {"kind": "start"}, {"kind": "redo"}], "line 5 does redo"),
        ([{"kind": "answer", "marks": [[0, -1, 0]]}], "line 2 marks row 0, column -1 with class 0: no such patch"),
        ([{"kind": "start"}, {"kind": "answer", "marks": [[9, 0, 0]]}], "line 3 marks row 9"),
        ([{"kind": "start", "seconds": "two"}], "line 2 has seconds 'two'"),
    ],
)
def test_a_journal_that_was_mended_by_hand_is_refused_with_the_line(entries, why, tmp_path):
    path = tmp_path / "journal.jsonl"
    lines = [{"journal": 1}, *({"marks": [], **entry} for entry in entries)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match=why) as refused:
        Journal(path, {"journal": 1}, lambda mark: mark[:2] == (0, 0))
    assert f"sed -i '{len(lines)},$d'" in refused.value.fix
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    assert len(Journal(path, {"journal": 1}).events) == len(entries) - 1


def test_a_mark_beside_the_tissue_in_the_journal_is_refused(request_, tmp_path, cache):
    with page_of(request_, tmp_path / "session", cache) as page:
        page.session.wait()
    journal = tmp_path / "session" / "journal.jsonl"
    journal.write_text(journal.read_text() + '{"kind": "example", "marks": [[999, 0, 1]]}\n')
    with pytest.raises(DataError, match="line 2 marks row 999"), page_of(request_, tmp_path / "session", cache):
        pass


# ---- limits


def test_a_spent_budget_ends_the_answers(miniatures, tmp_path, cache):
    request = request_of(miniatures["camelyon16"], SLIDE, *SMALL, "method.budget=5")
    with page_of(request, tmp_path / "session", cache) as page:
        oracle = Oracle(page)
        items = oracle.begin()
        for item in items[:3]:
            oracle.tab.did("answer", [(item, oracle.labels[item])])
        answer = oracle.tab.send("answer", [(items[3], 1)])
        assert answer.status_code == 409 and "budget of 5 answers is spent" in answer.json()["error"]
        oracle.tab.did("answer", [(items[0], 1 - oracle.labels[items[0]])])
        oracle.tab.did("undo")
        oracle.tab.did("end")
        assert page.over.is_set()
        assert "has ended" in oracle.tab.send("undo").json()["error"]
        prediction, ledger = told(page.annotated.recorded(), cache)
        assert ledger.totals()["reviews"] == 5
        assert prediction.notes, "the run says that it ended early"


def test_an_ended_session_can_be_opened_again(request_, tmp_path, cache):
    folder = tmp_path / "session"
    with page_of(request_, folder, cache) as page:
        oracle = Oracle(page)
        items = oracle.begin()
        oracle.tab.did("answer", [(items[2], 1)])
        oracle.tab.did("end")
        _, ledger = told(page.annotated.recorded(), cache)
        assert ledger.totals()["reviews"] == 3, "of a round that was left, what was answered counts"
    with page_of(request_, folder, cache) as page:
        assert page.state()["phase"] == "ended" and page.tab().send("undo").status_code == 409
    with page_of(request_, folder, cache, reopen=True) as page:
        assert page.settled()["phase"] == "review"
        page.tab().did("answer", [(items[0], 0)])


def test_bad_requests(miniatures, tmp_path, cache, monkeypatch, request_):
    root = miniatures["camelyon16"]
    with pytest.raises(ConfigError, match="oeem asks no expert step by step"):
        request_of(root, SLIDE, method="oeem")
    with pytest.raises(DataError, match="no slide 'test_999'"), page_of(request_of(root, "test_999"), tmp_path, cache):
        pass
    with pytest.raises(ConfigError, match="leaves none"):
        request_of(root, SLIDE, "method.search=train")
    kind = type(open_job(plan(request_)[0], cache).dataset)
    monkeypatch.setattr(kind.__mro__[2], "tissue", lambda self, slide, grid: np.zeros(grid.shape, bool))
    with pytest.raises(BlankSlideError, match="no tissue cell to review"), page_of(request_, tmp_path / "x", cache):
        pass


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            listen(port)
    with pytest.raises(ConfigError, match="cannot listen"):
        listen(70_000)
    with listen(0) as free:
        assert free.getsockname()[0] == "127.0.0.1"


# ---- keys, pictures, files


def test_keys_are_any_characters_and_stay(page, request_):
    about = page.get("api/about").json()
    assert [one["key"] for one in about["classes"]] == ["n", "l"]
    names = [one["name"] for one in about["classes"]]
    for keys in (
        {names[0]: "x"},
        dict.fromkeys(names, "x"),
        {names[0]: "u", names[1]: "x"},
        {names[0]: "", names[1]: "x"},
    ):
        assert page.post("keys", keys).status_code == 400
    assert page.post("keys", dict(zip(names, "éф", strict=True))).status_code == 200
    assert [one["key"] for one in page.get("api/about").json()["classes"]] == ["é", "ф"]


def test_what_cannot_be_read_or_written_is_told(page, monkeypatch):
    def fails(*given, **named):
        raise DataError("slide 'x': unreadable")

    monkeypatch.setattr(type(page.annotated.slide), "read", fails)
    answer = page.get("patch/7.jpg")
    assert answer.status_code == 500 and answer.json() == {"error": "slide 'x': unreadable"}

    def full(*given, **named):
        raise OSError("no space left on device")

    monkeypatch.setattr(page.session._journal, "append", full)
    answer = page.tab().send("answer", [(0, 1)])
    assert answer.status_code == 507 and "no space left" in answer.json()["error"]
    assert page.state()["answers"] == [] and page.state()["events"] == 0


def test_pictures(page):
    import io

    from PIL import Image

    oracle = Oracle(page)
    oracle.begin()
    oracle.round()
    steps, slide = page.session.steps, page.annotated.slide
    row, col = steps.places[5].tolist()
    side = steps.patches.width
    wanted = slide.read(int(steps.patches.x[col]), int(steps.patches.y[row]), side, side)
    shown = np.asarray(Image.open(io.BytesIO(page.get("patch/5.jpg").content)))
    assert shown.shape == wanted.shape and np.abs(shown.astype(int) - wanted).mean() < 6
    around = Image.open(io.BytesIO(page.get("context/5.jpg").content))
    assert around.size == (3 * side, 3 * side)
    assert page.get("patch/100000.jpg").status_code == 404
    for name in ("classes.png", "uncertainty.png"):
        layer = np.asarray(Image.open(io.BytesIO(page.get(name).content)))
        assert layer.shape == (*steps.grid.shape, 4)
        np.testing.assert_array_equal(layer[..., 3] > 0, page.session.items >= 0)
    (x, y), (width, height) = steps.grid.centres, slide.size
    assert page.get(f"api/place?x={x[col] / width}&y={y[row] / height}").json()["item"] == 5
    assert page.get("api/place?x=0.001&y=0.001").status_code == 404
    assert page.get("api/place?x=nan&y=0").status_code in (400, 404)


def test_outlines_come_in_and_go_out(request_, tmp_path, cache):
    with page_of(request_, tmp_path / "one", cache) as page:
        oracle = Oracle(page)
        oracle.begin()
        for _ in range(2):
            oracle.round()
        cells, grid = annotated_cells(page.session), page.session.steps.grid
        files = page.post("export", {}).json()
        classes = page.annotated.classes
        for path in files.values():
            np.testing.assert_array_equal(
                read_annotation(tmp_path / "one" / path.split("/")[-1], classes).labels(grid), cells
            )
    drawn = tmp_path / "one" / f"{SLIDE}.geojson"
    said = []
    with page_of(request_, tmp_path / "two", cache, labels=drawn, say=said.append) as page:
        state = page.state()
        known = dict(map(tuple, state["answers"] + state["examples"]))
        positive = cells[tuple(page.session.steps.places.T)] > 0
        assert sorted(known) == np.flatnonzero(positive).tolist() and set(known.values()) == {1}
        assert len(state["examples"]) == 10 or not state["answers"]
        page.tab().did("start")
        assert page.settled()["queue"]
    with page_of(request_, tmp_path / "two", cache, labels=drawn, say=said.append):
        assert "has begun" in said[-1]
    drawn.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    with (
        pytest.raises(DataError, match="outlines no tissue cell"),
        page_of(request_, tmp_path / "x", cache, labels=drawn),
    ):
        pass


def test_outlines_that_somebody_drew_are_not_replaced(request_, tmp_path, cache):
    drawn = tmp_path / f"{SLIDE}.geojson"
    drawn.write_text("mine")
    with (
        pytest.raises(ConfigError, match="is where the session writes"),
        page_of(request_, tmp_path, cache, labels=drawn),
    ):
        pass
    with pytest.raises(ConfigError, match="was not written by an export"), page_of(request_, tmp_path, cache):
        pass
    assert drawn.read_text() == "mine"
    drawn.unlink()
    with page_of(request_, tmp_path, cache) as page:
        page.session.wait()
        assert [page.post("export", {}).status_code for _ in range(2)] == [200, 200]
        drawn.write_text("corrected in QuPath")
        refused = page.post("export", {})
        assert refused.status_code == 500 and "was changed since" in refused.json()["error"]
        page.tab().did("end")
    with page_of(request_, tmp_path, cache):
        assert drawn.read_text() == "corrected in QuPath"
    with pytest.raises(ConfigError, match="move it away"), page_of(request_, tmp_path, cache, reopen=True):
        pass


# ---- the run that comes of it


def test_an_oracle_of_250_answers_gives_what_the_simulated_expert_gives(miniatures, tmp_path, cache):
    settings = ("method.cell=32", "method.sessions=5", "method.rounds=5", "method.reviews=10", "method.queries=5")
    request = request_of(miniatures["camelyon16"], SLIDE, *settings)
    simulated, ledger = told(request, cache)
    with page_of(request, tmp_path / "session", cache) as page:
        oracle, items = Oracle(page), page.session.items
        cells = [tuple(map(int, item.partition(":")[2].split(","))) for _, _, item in ledger.answers]
        oracle.begin([int(items[cell]) for cell in cells[:5]])
        while not page.state()["finished"]:
            oracle.round()
        assert len(page.state()["answers"]) == 250
        oracle.tab.did("end")
        asked = {(row, col) for row, col in page.session.record.answers} | set(page.session.record.examples)
        assert asked == set(cells)
        p = page.session.view.probabilities[:, 1]
        same(simulated.scores.values[tuple(page.session.steps.places.T)], p)
        recorded, again = told(page.annotated.recorded(), cache)
        same(recorded.scores.values, simulated.scores.values)
        same(recorded.classes, simulated.classes)
        assert {key: answer.label for key, answer in again.answers.items()} == {
            key: answer.label for key, answer in ledger.answers.items()
        }
        assert {answer.who for answer in again.answers.values()} == {"test"}
        assert again.review_seconds == pytest.approx(1.5 * 255)


def test_tiles_of_many_classes(miniatures, tmp_path, cache):
    request = request_of(miniatures["crc"], "train", *SMALL, dataset="crc")
    with page_of(request, tmp_path / "session", cache) as page:
        about = page.get("api/about").json()
        assert len(about["classes"]) == 9 and len({one["key"] for one in about["classes"]}) == 9
        oracle = Oracle(page)
        firsts = [oracle.labels.index(label) for label in sorted(set(oracle.labels))]
        oracle.begin(firsts)
        oracle.round()
        assert page.get("context/3.jpg").status_code == page.get("overview.jpg").status_code == 200
        oracle.tab.did("end")
        prediction, _ = told(page.annotated.recorded(), cache)
        assert set(np.unique(prediction.classes)) <= set(range(9))
