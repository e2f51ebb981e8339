"""The parameters of a method: typed for its author, watched inside a stage, and of one class."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.context import Context
from benchmark.errors import StageError
from benchmark.method import Method, Params, param
from benchmark.supervision import Ledger

ROOT = Path(__file__).resolve().parent.parent

PLUG_IN = """
from __future__ import annotations
from benchmark.method import Method, Params, param

class ColourParams(Params):
    gamma: float = param(1.0, "brightness")

class Colour(Method[ColourParams]):
    Params = ColourParams

    def right(self) -> float:
        return 2 * self.params.gamma

    def wrong(self) -> float:
        return 2 * self.params.gama
"""

MYPY = """
[mypy]
strict = True
plugins = pydantic.mypy
follow_imports = skip
ignore_missing_imports = True
[mypy-pydantic.*,pydantic_core.*,typing_extensions,benchmark.method]
follow_imports = silent
"""


def test_a_misspelt_parameter_is_a_type_error(tmp_path):
    (tmp_path / "colour.py").write_text(PLUG_IN)
    (tmp_path / "mypy.ini").write_text(MYPY)
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", "cache", "colour.py"]
    done = subprocess.run(command, cwd=tmp_path, env={"MYPYPATH": str(ROOT)}, capture_output=True, text=True)
    errors = [line for line in done.stdout.splitlines() if "[attr-defined]" in line]
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(errors) == 1 and '"ColourParams" has no attribute "gama"' in errors[0], done.stdout


def test_no_parameters_are_typed_any():
    """In the harness and in every method, whatever is called `params` says which parameters it is."""
    untyped = []
    for path in (path for folder in ("benchmark", "methods") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "arg", None) or getattr(getattr(node, "target", None), "id", None)
            note = getattr(node, "annotation", None)
            if name in ("params", "_params") and isinstance(note, ast.Name) and note.id in ("Any", "object"):
                untyped.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not untyped


class ColourParams(Params):
    gamma: float = param(1.0, "brightness")
    contrast: float = param(1.0, "contrast")


class Untyped(Method):
    """As a plug-in may be written that does not care for types."""

    supervision = frozenset()
    card = None
    presets = {"paper": {}}
    Params = ColourParams

    def fit(self, train, validation, context):
        self.gamma = context.stage("colours", lambda: self.params.gamma, uses=("gamma",))
        context.stage("more", lambda: self.params.contrast, uses=("gamma",))

    def predict(self, slide, labels, context): ...

    def state(self): ...

    def restore(self, state, context): ...


class Typed(Untyped, Method[ColourParams]):
    """The same, typed."""


@pytest.mark.parametrize("kind", [Untyped, Typed])
def test_a_stage_reads_declared_parameters_alone(kind, tmp_path):
    method = kind(ColourParams(gamma=0.5))
    context = Context(geometry=None, folder=tmp_path, ledger=Ledger()).bind(method)
    with pytest.raises(StageError, match="stage 'more' reads the parameter 'contrast', which it does not declare"):
        method.fit(None, None, context)
    assert method.gamma == 0.5 and method.params.contrast == 1.0


def test_a_method_typed_with_other_parameters_than_its_own_is_refused():
    class Narrower(ColourParams):
        pass

    class Fine(Method[ColourParams]):
        Params = Narrower

    with pytest.raises(TypeError, match=r"Wrong is typed Method\[Narrower\], its Params are ColourParams"):

        class Wrong(Method[Narrower]):
            Params = ColourParams

    with pytest.raises(TypeError, match=r"Heir is typed Method\[ColourParams\], its Params are Params"):

        class Heir(Fine):
            Params = Params
