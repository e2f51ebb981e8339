"""The pages' templates: each gives one self-contained file, and whatever comes from data stays text."""

import base64
import hashlib
import re
import tomllib
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace as Facts

import jinja2
import pytest
from markupsafe import Markup

import benchmark.reporting
from benchmark.reporting import templating
from benchmark.reporting.folded import Folded, Sheet

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = Path(benchmark.reporting.__file__).parent / "templates"
PARTS = {"base", "folded", "macros"}
EVIL = """</style></script>"><script>alert(1)</script><img src=https://elsewhere.example/a.png onerror='x'>&{{ 7 }}"""
PICTURE = "data:image/png;base64,AAAA"


def evil(*_):
    return EVIL


def summary():
    part = Folded(EVIL, EVIL, [Sheet((EVIL, EVIL), [(EVIL, EVIL)], EVIL)], {}, [EVIL])
    facts = Facts(
        confusion=[[1, 2], [3, 4]],
        classes=(EVIL, EVIL),
        title=EVIL,
        subtitle=EVIL,
        command=EVIL,
        synthetic=True,
        values={EVIL: 0.5, "b": -30.25},
        intervals={EVIL: (0.25, 0.75), "b": (-40.0, -20.0)},
        titles={EVIL: EVIL, "rank": EVIL},
        facts={"test": EVIL, EVIL: EVIL},
        train={EVIL: 1},
        ledger={EVIL: 3},
        stages=[Facts(name=EVIL, seconds=1.0, peak_mib=2.0, peak_gpu_mib=3.0, reused=True)],
        totals={EVIL: EVIL},
        rank_by="rank",
        rows=[{"slide": EVIL, EVIL: EVIL, "dice": 0.5}],
        settings={EVIL: EVIL},
    )
    return {
        "facts": facts,
        "headlines": [EVIL],
        "names": [EVIL, "b"],
        "subsets": [EVIL],
        "reasons": {EVIL: [EVIL]},
        "refined": [(EVIL, [(EVIL, EVIL)] * 2)],
        "tested": {"test": EVIL},
        "few": "",
        "notes": {EVIL: EVIL},
        "reading": [(EVIL, EVIL)],
        "columns": ["slide", EVIL, "dice"],
        "numeric": ["dice"],
        "figures": {EVIL: PICTURE},
        "gallery": {EVIL: [(EVIL, EVIL, PICTURE)]},
        "folded": [(part, {EVIL: PICTURE})],
    }


def report():
    look = Facts(ink=EVIL, dash=(1.0, 2.0), shape=EVIL)
    chart = Facts(title=EVIL, svg="<svg class='chart'></svg>", legend=[(look, EVIL)], notes=[EVIL])
    cell = Facts(text=EVIL, value=1.0, more=[EVIL], best=True)
    table = Facts(
        task=EVIL,
        columns=[Facts(title=EVIL, better="up", name=EVIL)],
        tracks=[(EVIL, [Facts(label=EVIL, seeds=EVIL, cells=[cell])])],
    )
    test = Facts(metric=EVIL, track=EVIL, one=EVIL, other=EVIL, kind=EVIL, pairs=3, difference=1, p=0.5, refused=EVIL)
    reference = Facts(
        metric=EVIL, subset=EVIL, paper=EVIL, source=EVIL, label=EVIL, supervision=EVIL, value=1, spread=1,
        interval=(0, 1), protocol=EVIL, note=EVIL, quoted=EVIL,
    )  # fmt: skip
    shown = Facts(place=EVIL, slide=EVIL, score=EVIL, address=PICTURE, size=(4, 3))
    of = Facts(
        title=EVIL, dataset=EVIL, settings=EVIL, synthetic=False, complete=False, used=1, expected=2, notes=[EVIL],
        tests=[test], published=[Facts(reference=reference, ours=1, gap=1, row=EVIL)],
    )  # fmt: skip
    strips = [Facts(label=EVIL, shown=[shown], missing="", run=EVIL), Facts(label=EVIL, shown=[], missing=EVIL)]
    board = Facts(of=of, tables=[table], charts=[chart], strips=strips, left_out=1, commands=[(EVIL, EVIL)])
    failure = Facts(label=EVIL, dataset=EVIL, seed=EVIL, state=EVIL, reason=EVIL, command=EVIL)
    away = Facts(title=EVIL, columns=(EVIL, EVIL, EVIL), groups=(((EVIL, EVIL, EVIL),),), notes=(EVIL,))
    functions = dict.fromkeys(("figure_text", "metric_title", "probability", "signed", "verdict"), evil)
    parts = {"boards": [board], "transfers": [away], "transfer_notes": [EVIL], "ranks": [chart], "failures": [failure]}
    return {"title": EVIL, "store": EVIL, **parts, **functions}


def comparison():
    names = ("title", "text", "signed", "within", "p_value", "verdict", "share", "called", "specificity_caption")
    words = Facts(**dict.fromkeys(names, evil), specificity=lambda pair: [EVIL])
    row = Facts(
        name=EVIL, one=1, other=1, one_interval=(0, 1), other_interval=None, difference=0, test=Facts(p=1, corrected=1)
    )
    gap = Facts(slide=EVIL, one=1, other=1, difference=0)
    setting = Facts(name=EVIL, kind=EVIL, one=EVIL, other=None)
    pairs = [Facts(rule=EVIL, metric=EVIL, refused=refused) for refused in (EVIL, "")]
    drawn = Facts(gap=gap, panels=[Facts(address=PICTURE, size=(4, 3), caption=EVIL)], right=0.5, note=EVIL)
    difference = Facts(
        one=Facts(name=EVIL), other=Facts(name=EVIL), metric=EVIL, refused=[EVIL], notes=[EVIL], listed=[setting],
        folded=[setting], settings=[setting], equal=1, lacking=([EVIL], [EVIL]), specificities=pairs, labels=[row],
        costs=[row], slides=[gap],
    )  # fmt: skip
    return {
        "difference": difference,
        "words": words,
        "caption": EVIL,
        "headlines": [row],
        "main": [row],
        "rest": [row],
        "rankings": [(EVIL, [gap])],
        "pictures": [drawn],
        "drawn_on_tissue": True,
        "closed": EVIL,
        "kinds": [(EVIL, EVIL)],
        "truth_colour": EVIL,
    }


def study():
    trial = Facts(number=1, state=EVIL, reason=EVIL, params={EVIL: EVIL}, values=(0.5,), seconds=1.0, run=EVIL)
    return {
        "study": EVIL,
        "subtitle": EVIL,
        "start": EVIL,
        "metrics": [EVIL],
        "constraints": [(EVIL, EVIL)],
        "goals": EVIL,
        "bounded": lambda trial, bound: EVIL,
        "rows": [Facts(name=EVIL, trial=trial, test={EVIL: (0.5,)}, runs=[EVIL])],
        "note": EVIL,
        "front": [1],
        "importances": {EVIL: {EVIL: 0.5}, "b": {}},
        "space": [(EVIL, EVIL, EVIL)],
        "trials": [trial],
        "figures": {EVIL: Markup("<div></div>")},
        "absent": {EVIL: EVIL},
        "plain": evil,
        "spread": evil,
    }


def refined():
    figures = dict.fromkeys(("before", "after", "added", "removed", "tissue", "changed"), 1.5)
    doubt = Facts(x=3, y=4, score=0.5, annotated=True, refined=False)
    of = Facts(
        id=EVIL, path=EVIL, annotation=EVIL, files={EVIL: EVIL}, unit=EVIL, figures=figures, changed=EVIL,
        warnings=[EVIL], notes=[EVIL], picture=PICTURE, doubts=[(doubt, PICTURE)],
    )  # fmt: skip
    words = dict.fromkeys(("title", "method", "paper", "preset"), EVIL)
    return {**words, "params": {EVIL: EVIL}, "slides": [of], "failed": {EVIL: EVIL}}


PAGES = {"refined": refined, "summary": summary, "report": report, "comparison": comparison, "study": study}
SCRIPTS = {"report": 1}


class Page(HTMLParser):
    """Elements, references and policies of a page; every element must be closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.refs, self.policies, self.handlers, self.open, self.text = [], [], [], [], [], ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.refs += [value for name, value in attrs if name in ("href", "src", "srcset", "action", "xlink:href")]
        self.handlers += [name for name in given if name.startswith("on")]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(given["content"])

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_every_template_is_tried():
    assert {path.stem for path in TEMPLATES.glob("*.html")} == {*PAGES, *PARTS}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_self_contained_and_data_stays_text(name):
    text = templating.render(name, **PAGES[name]())
    page = Page(text)
    assert page.tags.count("script") == SCRIPTS.get(name, 0) and page.tags.count("style") == 1 and not page.handlers
    assert all(ref == PICTURE or re.fullmatch(r"#[\w-]+", ref) for ref in page.refs), page.refs
    assert "link" not in page.tags and "url(" not in text and "@import" not in text
    assert page.text.count(EVIL) > 20
    (policy,) = page.policies
    assert policy.startswith("default-src 'none'; img-src data:") and "http" not in policy and "*" not in policy
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text


def test_a_page_runs_its_own_script_only():
    text = templating.render("report", **report())
    script = text[text.index("<script>") + len("<script>") : text.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in Page(text).policies[0]
    assert script == (TEMPLATES / "report.js").read_text(encoding="utf-8")


def test_nothing_is_left_unescaped_but_the_drawn_chart():
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.html")))
    assert re.findall(r"\S+ *\| *safe\b", text) == ["chart.svg | safe"] and "autoescape" not in text


def test_a_value_that_is_missing_is_an_error():
    values = summary()
    del values["reasons"]
    with pytest.raises(jinja2.UndefinedError, match="reasons"):
        templating.render("summary", **values)


def test_every_template_is_packaged():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["benchmark.reporting"]
    files = [path.relative_to(TEMPLATES.parent).as_posix() for path in TEMPLATES.rglob("*") if path.is_file()]
    assert {"templates/style.css", "templates/report.js"} < set(files)
    assert [name for name in files if not any(fnmatch(name, pattern) for pattern in patterns)] == []


def test_intervals_and_numbers_have_a_minus_sign():
    assert templating.interval((-40.0, 0.5)) == "−40 to 0.500"
    assert [templating.number(value) for value in (-30.25, -3, -2e-6)] == ["−30.2", "−3", "−2.0e-06"]
