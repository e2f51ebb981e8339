"""`bench --help` and `bench list` are quick, because nothing heavy is imported for them."""

import os
import subprocess
import sys

import pytest

LIMIT = 0.3
HEAVY = ("torch", "torchvision", "timm", "mlflow", "matplotlib", "skimage", "scipy", "sklearn", "shapely", "openslide")
NOT_FOR_A_LISTING = (*HEAVY, "numpy", "pandas", "pydantic", "rich", "yaml", "PIL", "psutil")

# The processor seconds of the child are measured: other work on the machine changes the time on the wall.
MEASURE = """
import os, subprocess, sys
before = os.times()
subprocess.run([sys.executable, "-m", "benchmark", *sys.argv[1:]], stdout=subprocess.DEVNULL, check=True)
after = os.times()
print(after.children_user - before.children_user + after.children_system - before.children_system)
"""


def python(*words):
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, env={**os.environ})
    return done.stdout


@pytest.mark.parametrize("words", [("--help",), ("list",), ("list", "methods"), ("run", "--help"), ("--version",)])
def test_quick(words):
    seconds = min(float(python("-c", MEASURE, *words)) for _ in range(3))
    assert seconds < LIMIT, f"bench {' '.join(words)} took {seconds:.2f} s of processor time"


@pytest.mark.parametrize("words", [("--help",), ("list",), ("run", "--help"), ("info", "--help"), ("doctor", "--help")])
def test_nothing_heavy_is_imported(words):
    code = (
        "import sys\nfrom benchmark.cli import main\n"
        f"try:\n    main({list(words)!r})\nexcept SystemExit as ended:\n    assert not ended.code\n"
        f"print([m for m in {NOT_FOR_A_LISTING!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("module", ["benchmark", "benchmark.cli", "benchmark.registry", "benchmark.datahome"])
def test_light_modules(module):
    code = f"import sys, {module}; print([m for m in {NOT_FOR_A_LISTING!r} if m in sys.modules])"
    assert python("-c", code).strip() == "[]"


@pytest.mark.parametrize("module", ["benchmark.config", "benchmark.method", "benchmark.dataset", "benchmark.describe"])
def test_contracts_import_no_framework(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'timm', 'mlflow', 'matplotlib') if m in sys.modules])"
    assert python("-c", code).strip() == "[]"
