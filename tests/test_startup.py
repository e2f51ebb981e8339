"""Nothing heavy is imported for `bench --help` and `bench list`; `measurements/startup.py` measures the seconds."""

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "mlflow", "matplotlib", "skimage", "scipy", "sklearn", "shapely", "openslide")
NOT_FOR_A_LISTING = (*HEAVY, "numpy", "pandas", "pydantic", "rich", "yaml", "PIL", "psutil")


def python(*words):
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, env={**os.environ})
    return done.stdout


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
