"""The page in a real browser: keys, undo, reload, two tabs, other layouts, and that the next patch is there already."""

import threading
from pathlib import Path

import anyio
import pytest
from annotating import SMALL, request_of

from benchmark.annotating.opening import opened
from benchmark.annotating.serving import listen, serve

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright: pip install playwright")
CHROMIUM = Path("/usr/bin/chromium")
_ = anyio.open_file  # found here: pytest rewrites the module that has it, for which the server's thread may lack depth
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason="needs the Debian package chromium")
SLIDE = "test_016"
"""Of the miniature, one with lesion."""


PRESS = """key => document.getElementById('keydialog').dispatchEvent(
  new KeyboardEvent('keydown', {key, bubbles: true}))"""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield started
        started.close()


class Served:
    """The page on a port of its own, ended or closed by the test."""

    def __init__(self, annotated):
        self.annotated, self.session = annotated, annotated.session
        self._address, self._ready, self.ended = "", threading.Event(), None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _serve(self):
        with listen(0) as listening:
            self.ended = serve(self.annotated, listening, self._told)

    def _told(self, address):
        self.address = address
        self._ready.set()

    def over(self):
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.ended


@pytest.fixture
def served(miniatures, tmp_path):
    request = request_of(miniatures["camelyon16"], SLIDE, *SMALL)
    say = lambda text: None  # noqa: E731
    with opened(
        request, tmp_path / "cache", tmp_path / "session", who="t", labels=None, reopen=False, say=say
    ) as annotated:
        served = Served(annotated)
        yield served
        if served.ended is None:
            annotated.session.act({"tab": "closing", "number": 1, "kind": "end"})


@pytest.fixture
def tab(served, browser):
    return opened_tab(served, browser)


def opened_tab(served, browser):
    page = browser.new_page(viewport={"width": 1400, "height": 850})
    page.set_default_timeout(120_000)  # where several tests share the machine
    page.mistakes = []
    page.on("pageerror", lambda error: page.mistakes.append(str(error)))
    page.on("console", lambda line: page.mistakes.append(line.text) if line.type == "error" else None)
    page.on(
        "request", lambda asked: page.mistakes.append(asked.url) if not asked.url.startswith(served.address) else None
    )
    page.goto(served.address)
    page.wait_for_selector("#grid button.current")
    return page


def current(page):
    return int(page.get_attribute("#grid button.current", "data-item"))


def marked(page):
    return {
        int(one.get_attribute("data-item")): one.inner_text() for one in page.query_selector_all("#grid button.given")
    }


def settled(served, page):
    """Until everything is saved and learnt, and the page shows it."""
    page.wait_for_function("() => document.body.dataset.version")
    while True:
        served.session.wait(60)
        version = served.session.version
        page.wait_for_function("version => Number(document.body.dataset.version) >= version", arg=int(version))
        if served.session.version == version:
            return


def begun(served, page):
    page.keyboard.press("l")
    page.keyboard.press("l")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => document.getElementById('heading').textContent === 'To review'")
    page.wait_for_selector("#grid button.current:not(.given)")
    settled(served, page)


def test_keys_undo_reload_and_two_tabs(served, browser, tab):
    shapes = tab.eval_on_selector_all("#grid button", "all => all.map(one => one.offsetHeight / one.offsetWidth)")
    assert len(shapes) > 9 and shapes == pytest.approx([1] * len(shapes), abs=0.05), "patches are shown whole"
    begun(served, tab)
    assert len(served.session.record.examples) == 2
    first = current(tab)
    tab.keyboard.press("n")
    second = current(tab)
    assert second != first, "the next patch is in focus"
    tab.keyboard.press("l")
    settled(served, tab)
    assert served.session.answers() == {first: 0, second: 1}
    assert marked(tab) == {first: "normal", second: "lesion"}
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("u")
    settled(served, tab)
    assert served.session.answers() == {first: 0} and current(tab) == second, "what was undone is in focus"
    tab.keyboard.press("Control+y")
    settled(served, tab)
    assert served.session.answers() == {first: 0, second: 1}
    other = opened_tab(served, browser)
    assert marked(other) == marked(tab)
    other.keyboard.press("Control+z")
    tab.wait_for_function("() => document.querySelectorAll('#grid button.given').length === 1")
    tab.reload()
    tab.wait_for_selector("#grid button.given")
    assert marked(tab) == {first: "normal"}
    assert not tab.mistakes and not other.mistakes


def test_batches_are_accepted_and_the_next_is_shown(served, tab):
    begun(served, tab)
    assert tab.is_disabled("#accept"), "nothing is suggested before anything is learnt"
    for key in "nnlunl":
        tab.keyboard.press(key)
    settled(served, tab)
    tab.wait_for_selector("#grid .suggested:not([hidden])")
    before = tab.inner_text("#told")
    assert before.startswith("suggested: ")
    tab.keyboard.press("o")
    doubts = [
        float(one.get_attribute("style").split(":")[1].strip(" %;")) for one in tab.query_selector_all(".doubt i")
    ]
    assert doubts == sorted(doubts, reverse=True)
    late = []
    tab.route("**/classes.png*", lambda route: late.append(route))
    tab.keyboard.press("Shift+Enter")
    settled(served, tab)
    assert served.session.view.rounds == 2 and len(served.session.record.answers) == 8
    tab.keyboard.press("m")
    shown = "() => document.getElementById('layer').src.includes('uncertainty.png')"
    tab.wait_for_function(shown)
    for route in late:  # a request that the page has given up since gets no response: nothing waits for one
        route.fulfill(response=route.fetch())
    tab.wait_for_timeout(300)
    assert late and tab.evaluate(shown), "a picture that comes late does not replace the one asked for since"
    assert not tab.mistakes


def test_keys_can_be_any_character(served, tab):
    tab.click("#keys")
    for number, key in ((0, "é"), (1, "ф")):
        tab.click(f"#keyrows button >> nth={number}")
        tab.evaluate(PRESS, key)
        tab.wait_for_function("key => document.querySelector('#classes').textContent.includes(key)", arg=key)
    tab.click("#keydialog button[value=close]")
    item = current(tab)
    tab.evaluate("dispatchEvent(new KeyboardEvent('keydown', {key: 'Ф'}))")
    settled(served, tab)
    assert [served.session.items[cell] for cell in served.session.record.examples] == [item]
    tab.reload()
    tab.wait_for_selector("#classes kbd")
    assert [one.inner_text() for one in tab.query_selector_all("#classes kbd")] == ["é", "ф"]


def test_the_slide_answers_clicks_and_patches_show_their_surroundings(served, tab):
    box = tab.query_selector("#canvas").bounding_box()
    steps, (width, height) = served.session.steps, served.annotated.slide.size
    item = 40
    row, col = steps.places[item].tolist()
    x, y = (centres[place] for centres, place in zip(steps.grid.centres, (col, row), strict=True))
    tab.mouse.click(box["x"] + box["width"] * x / width, box["y"] + box["height"] * y / height)
    tab.wait_for_function("item => document.querySelector('#grid .current').dataset.item === item", arg=str(item))
    hovered = tab.query_selector("#grid button:not(.current)")
    hovered.hover()
    assert tab.get_attribute("#context", "src").endswith(f"context/{hovered.get_attribute('data-item')}.jpg")
    tab.mouse.move(5, 5)
    assert tab.get_attribute("#context", "src").endswith(f"context/{item}.jpg")
    assert not tab.mistakes


def test_the_next_patch_is_there_before_its_key(served, tab):
    """Its picture was fetched ahead: a key shows it without asking for it (how fast: `annotating_latency.py`)."""
    tab.wait_for_function("() => [...document.querySelectorAll('#grid img')].every(image => image.complete)")
    tab.wait_for_function("""() => { const known = performance.getEntriesByType('resource').map(one => one.name);
      return [...document.querySelectorAll('#grid button')].every(
        one => known.some(name => name.endsWith(`/context/${one.dataset.item}.jpg`))); }""")
    shown, asked = [], []
    tab.on("request", lambda request: asked.append(request.url) if "/context/" in request.url else None)
    for _ in range(9):
        tab.evaluate("dispatchEvent(new KeyboardEvent('keydown', {key: 'n'}))")
        shown.append(tab.get_attribute("#context", "src"))
        assert tab.evaluate("() => document.getElementById('context').decode().then(() => true)")
    assert len(set(shown)) == 9, "each key shows another patch"
    assert not asked


def test_the_end_closes_the_page(served, tab):
    tab.keyboard.press("l")
    settled(served, tab)
    tab.click("#end")
    tab.click("#reallyend")
    tab.wait_for_selector("#over:not([hidden])")
    assert served.over() is True
