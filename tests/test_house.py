"""The rules of the house: who may import what, what files are called, and how long files and functions may be."""

import ast
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("benchmark", "methods", "datasets", "sweeps")
IMPORT_RULES = {"TID251", "TID252", "TID253"}

ONLY_PLACE = {
    "mlflow": ("benchmark/tracking/",),
    "openslide": ("benchmark/slides/",),
    "optuna": ("benchmark/tuning/",),
    "ray": ("benchmark/running/executors/",),
    "submitit": ("benchmark/running/executors/",),
}

APART = [
    ("benchmark/reporting", "benchmark/tracking"),
    ("benchmark/tracking", "benchmark/reporting"),
    ("benchmark/running", "benchmark/tuning"),
]
"""The first imports nothing of the second."""

FORBIDDEN = [
    *(("benchmark/somewhere.py", f"import {library}") for library in ONLY_PLACE),
    *(("benchmark/running/somewhere.py", f"from {library} import x") for library in ONLY_PLACE),
    *(("methods/family/somewhere.py", f"import {library}") for library in ONLY_PLACE),
    *(("datasets/somewhere.py", f"import {library}") for library in ONLY_PLACE),
    *(("benchmark/slides/somewhere.py", f"import {library}") for library in ("mlflow", "optuna", "ray", "submitit")),
    ("sweeps/somewhere.py", "import mlflow"),
    ("benchmark/running/executors/somewhere.py", "import mlflow"),
    ("benchmark/tracking/somewhere.py", "import optuna"),
    ("benchmark/tracking/somewhere.py", "from benchmark.reporting import style"),
    ("benchmark/tracking/somewhere.py", "def f():\n    from benchmark.reporting.style import save"),
    ("benchmark/tracking/somewhere.py", "from benchmark import methods"),
    ("benchmark/reporting/report/somewhere.py", "from benchmark import tracking"),
    ("benchmark/running/somewhere.py", "from benchmark.tuning.trial import run_trial"),
    ("benchmark/running/executors/somewhere.py", "def f():\n    import benchmark.tuning.trial"),
    ("benchmark/somewhere.py", "def f():\n    from mlflow.entities import Run"),
    ("benchmark/somewhere.py", "from benchmark.methods.wsss import oeem"),
    ("benchmark/somewhere.py", "import benchmark.datasets.tiles.glas"),
    ("benchmark/somewhere.py", "from benchmark import methods"),
    ("benchmark/somewhere.py", "from . import datasets"),
    ("benchmark/somewhere.py", "from .methods.wsss import oeem"),
    ("benchmark/learning/somewhere.py", "from benchmark.methods.hybrid import hybrid"),
    ("benchmark/slides/somewhere.py", "from benchmark import datasets"),
    ("methods/somewhere.py", "from benchmark.datasets import glas"),
    ("methods/somewhere.py", "from benchmark.methods.wsss import oeem"),
    ("methods/somewhere.py", "from benchmark import datasets"),
    ("methods/somewhere.py", "from .wsss import oeem"),
    ("methods/somewhere.py", "from . import wsss"),
    ("methods/family/somewhere.py", "from benchmark.datasets.tiles.glas import Glas"),
    ("methods/family/somewhere.py", "from benchmark.methods.other import x"),
    ("methods/family/somewhere.py", "from ..other import x"),
    ("methods/wsss/somewhere.py", "from ..segmentation.pspnet import Pspnet"),
    ("methods/segmentation/somewhere.py", "from benchmark.methods.wsss.cam_seg import CITATION"),
    ("methods/mil/somewhere.py", "from ..hybrid.hybrid_params import x"),
    ("methods/hybrid/somewhere.py", "def f():\n    from ..mil.tiles import Tiles"),
    ("methods/family/somewhere.py", "from ...datasets import x"),
    ("datasets/somewhere.py", "from benchmark.methods.wsss import oeem"),
    ("datasets/somewhere.py", "from ..methods import oeem"),
    ("benchmark/reporting/somewhere.py", "from benchmark.tracking.store import Tracker"),
    ("benchmark/reporting/report/somewhere.py", "import benchmark.tracking"),
]

ALLOWED = [
    ("benchmark/tracking/somewhere.py", "import mlflow"),
    ("benchmark/slides/somewhere.py", "import openslide"),
    ("benchmark/tuning/somewhere.py", "import optuna"),
    ("benchmark/running/executors/somewhere.py", "import ray"),
    ("benchmark/running/executors/somewhere.py", "import submitit"),
    ("benchmark/running/somewhere.py", "from benchmark.tracking.store import Tracker"),
    ("benchmark/running/somewhere.py", "from benchmark.reporting import style"),
    (
        "benchmark/commands/somewhere.py",
        "from benchmark.tracking.store import Tracker\nfrom benchmark.reporting import style",
    ),
    ("benchmark/tuning/somewhere.py", "from benchmark.running.task import Task"),
    ("benchmark/somewhere.py", "from benchmark.method import Method"),
    ("benchmark/somewhere.py", "from benchmark.dataset import Dataset"),
    ("methods/somewhere.py", "from benchmark.learning import training"),
    ("methods/family/somewhere.py", "from benchmark.learning.segmentation.segmenter import Segmenter"),
    ("methods/family/somewhere.py", "from .params import x"),
    ("methods/family/somewhere.py", "from . import params"),
    ("datasets/somewhere.py", "from .painter import x"),
    ("datasets/somewhere.py", "from benchmark.slides import Slide"),
    ("tests/test_somewhere.py", "import mlflow"),
]


def broken_rules(place, code):
    """The import rules that ruff finds broken by `code` at `place`."""
    words = ["ruff", "check", "--no-cache", "--output-format", "concise", "--stdin-filename", str(ROOT / place), "-"]
    done = subprocess.run([sys.executable, "-m", *words], input=code + "\n", capture_output=True, text=True, cwd=ROOT)
    assert done.returncode in (0, 1), done.stderr
    return {word for word in done.stdout.split() if word in IMPORT_RULES}


@pytest.mark.parametrize(("place", "code"), FORBIDDEN)
def test_ruff_refuses(place, code):
    assert broken_rules(place, code)


@pytest.mark.parametrize(("place", "code"), ALLOWED)
def test_ruff_admits(place, code):
    assert not broken_rules(place, code)


def test_nothing_switches_the_import_rules_off():
    waived = [f"{path}: {line}" for path in sources() for line in path.read_text().splitlines() if "noqa: TID" in line]
    assert not waived
    settings = [ROOT / "pyproject.toml", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("ruff.toml"))]
    lines = [line for path in settings for line in path.read_text().splitlines() if '["TID' in line]
    assert sorted(line.split("=")[0].strip() for line in lines) == [
        '"*/*"',
        '"*/*.py"',
        '"measurements/cluster_overhead.py"',
        '"measurements/e_step.py"',
        '"measurements/patch_streaming.py"',
        '"tuning/*"',
    ]


def sources():
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path):
    """Every module that a file imports, anywhere in it, under its full import name."""
    module = path.relative_to(ROOT).with_suffix("").parts
    package = module[:-1] if module[0] == "benchmark" else ("benchmark", *module[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def is_in(name, package):
    return name == package or name.startswith(f"{package}.")


def offence(path, name):
    """Which rule the import of `name` by `path` breaks, if any; what ruff says, without its exceptions."""
    place = path.relative_to(ROOT).as_posix()
    for library, places in ONLY_PLACE.items():
        if is_in(name, library) and not place.startswith(places):
            return f"{place} imports {name}"
    for room, other in APART:
        if place.startswith(f"{room}/") and is_in(name, other.replace("/", ".")):
            return f"{place} imports {name}"
    folder, *inside = path.relative_to(ROOT).parts
    if is_in(name, "benchmark.datasets") and folder in ("benchmark", "methods"):
        return f"{place} imports a dataset: {name}"
    if is_in(name, "benchmark.methods"):
        own = f"benchmark.methods.{inside[0].removesuffix('.py')}"
        if folder != "methods" or not is_in(name, own):
            return f"{place} imports a method: {name}"
    return None


def offences():
    return [text for path in sources() for name in imports(path) if (text := offence(path, name))]


def test_no_file_breaks_an_import_rule():
    assert not [text for text in offences() if not is_of_reporting(text)]


def test_reporting_knows_no_store():
    assert not [text for text in offences() if is_of_reporting(text)]


def is_of_reporting(text):
    return text.startswith("benchmark/reporting/") and "imports benchmark.tracking" in text


@pytest.mark.parametrize(("place", "code"), FORBIDDEN)
def test_the_second_look_sees_the_same(place, code, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(code + "\n")
    assert [text for name in imports(path) if (text := offence(path, name))]


def test_a_family_begins_with_a_page_that_names_its_files():
    """`methods/FAMILY/README.md` leads to every file of its folder, and to none that is not there."""
    families = sorted(path.parent for path in (ROOT / "methods").glob("*/__init__.py"))
    shared = {path.name for path in (ROOT / "benchmark" / "learning").rglob("*.py")}
    for folder in families:
        page = (folder / "README.md").read_text(encoding="utf-8")
        own = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
        named = set(re.findall(r"`([\w./]+\.py)`", page))
        assert len(page.splitlines()) <= 20, folder
        assert own <= named, f"{folder.name}: {sorted(own - named)}"
        missing = {name for name in named - own - shared if not (ROOT / name).is_file()}
        assert not missing, f"{folder.name}: {sorted(missing)}"


def modules():
    """Full import name → file."""
    names = {}
    for path in sources():
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts if parts[0] == "benchmark" else ("benchmark", *parts)
        names[".".join(parts).removesuffix(".__init__")] = path
    return names


def circles():
    """Groups of modules that import each other, directly or not; imports for types and late ones count."""
    known = modules()
    number = {name: place for place, name in enumerate(known)}
    edges = np.zeros((len(known), len(known)), bool)
    for name, path in known.items():
        for imported in imports(path):
            target = imported if imported in known else imported.rpartition(".")[0]
            if target in known and target != name:
                edges[number[name], number[target]] = True
    _, group = connected_components(csr_array(edges), connection="strong")
    members = [{name for name, place in number.items() if group[place] == one} for one in np.unique(group)]
    return [frozenset(names) for names in members if len(names) > 1]


def test_nothing_imports_in_circles():
    assert not circles()


def test_a_circle_is_seen(tmp_path, monkeypatch):
    """Through another room, a type and a late import; a file beside them that is in none."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    files = {
        "benchmark/__init__.py": "",
        "benchmark/one.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from benchmark.room.two import T",
        "benchmark/room/__init__.py": "from .two import T",
        "benchmark/room/two.py": "def f():\n    import benchmark.methods.three",
        "methods/__init__.py": "",
        "methods/three.py": "from benchmark import one, room",
        "methods/four.py": "from .three import x",
    }
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    members = {"benchmark.one", "benchmark.room", "benchmark.room.two", "benchmark.methods.three"}
    assert circles() == [frozenset(members)]


def test_no_two_files_of_neighbouring_rooms_are_called_the_same():
    """Rooms are neighbours when they are in one outer folder, at any depth."""
    places = {}
    for path in sources():
        if path.stem != "__init__":
            places.setdefault((path.relative_to(ROOT).parts[0], path.name), []).append(
                path.relative_to(ROOT).as_posix()
            )
    twice = {name: found for (_, name), found in places.items() if len(found) > 1}
    assert not twice


def test_files_are_short():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert statistics.median(lengths.values()) < 120
    assert not {str(path): length for path, length in lengths.items() if length > 400}


def test_functions_are_short():
    lengths = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths[f"{path.relative_to(ROOT)}:{node.name}"] = node.end_lineno - node.lineno + 1
    assert not {name: length for name, length in lengths.items() if length > 100}
    assert sorted(lengths.values())[int(0.95 * len(lengths))] < 60


def test_a_new_folder_needs_no_edit(tmp_path):
    """Every folder with an `__init__.py` is a package, also one that was not there when this was written."""
    copied = tmp_path / "house"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copied / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for new in ("benchmark/learning/new", "methods/new", "datasets/wsi/new"):
        (copied / new).mkdir()
        (copied / new / "__init__.py").touch()
    shutil.copy(ROOT / "setup.py", copied)
    code = (
        "import setuptools; setuptools.setup = lambda **named: print(*named['packages']); exec(open('setup.py').read())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=copied, capture_output=True, text=True, check=True)
    folders = {path.parent.relative_to(copied).as_posix() for path in copied.rglob("__init__.py")}
    packages = {name if name.startswith("benchmark") else f"benchmark/{name}" for name in folders}
    assert {name.replace(".", "/") for name in done.stdout.split()} == packages
