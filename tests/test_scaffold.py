"""`bench new`: what it writes passes its own test at once, is what the docs show, and overwrites nothing."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import timm
import torch
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.errors import BenchError
from benchmark.scaffold.packages import encoder_files, package_files

ROOT = Path(__file__).resolve().parent.parent


def new(*words):
    done = CliRunner().invoke(app, ["new", *words])
    assert done.exit_code == 0, done.output
    return done.output


def installed(package, site):
    """Beside its files what an installation would write: the distribution with its entry points."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    named = f"Name: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{named}")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n{name} = {target}" for group, points in groups for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def passes(folder, *more):
    """The suites of a folder pass; a numerical warning is an error."""
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error::RuntimeWarning", "-p", "no:cacheprovider", "."]
    path = os.pathsep.join(map(str, (folder, *more)))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return int(re.search(r"(\d+) passed", done.stdout).group(1))


@pytest.mark.parametrize(("kind", "name", "least"), [("method", "colour", 8), ("dataset", "my-tiles", 14)])
def test_a_new_package_passes_its_contract(kind, name, least, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = new(kind, name)
    assert f"pip install -e {name}" in said and "pytest" in said
    installed(tmp_path / name, tmp_path / "site")
    assert passes(tmp_path / name, tmp_path / "site") >= least


def test_a_new_encoder_passes_its_contract(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    kept = tmp_path / "cache" / "weights" / "our-net.pth"
    assert str(kept) in new("encoder", "our-net", "--architecture", "resnet10t")
    installed(tmp_path / "our-net", tmp_path / "site")
    kept.parent.mkdir(parents=True)
    torch.save(timm.create_model("resnet10t", num_classes=3).state_dict(), kept)
    assert passes(tmp_path / "our-net", tmp_path / "site") >= 8


@pytest.mark.parametrize(("method", "more"), [("oeem", ()), ("hybrid", ("--dataset", "camelyon16"))])
def test_a_new_sweep_passes_its_test(method, more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new("sweep", method, *more)
    assert passes(tmp_path / f"{method}-sweep") == 1
    planned = CliRunner().invoke(app, ["sweep", f"{method}-sweep/{method}.yaml", "--data", "synthetic", "--dry-run"])
    assert planned.exit_code == 0, planned.output


def shown(page):
    """The Python and TOML of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```(?:python|toml)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("architecture", "width"), [("vgg11", 4096), ("resnet18", 512)])
def test_the_width_of_a_new_encoder_is_what_comes_out(architecture, width):
    assert f"side, width = 224, {width}\n" in encoder_files("mine", architecture)["bench_mine.py"]


def test_the_docs_show_what_is_written():
    blocks = shown("plugins.md")
    method, dataset = package_files("method", "colour"), package_files("dataset", "my-tiles")
    written = [method[name] for name in ("bench_colour.py", "pyproject.toml", "test_bench_colour.py")]
    assert blocks == [*written, dataset["bench_my_tiles.py"], dataset["test_bench_my_tiles.py"]]
    encoder = encoder_files("our-vit", "vit_small_patch16_224")
    module, line, test = shown("encoders.md")
    assert [module, test] == [encoder["bench_our_vit.py"], encoder["test_bench_our_vit.py"]]
    assert line in encoder["pyproject.toml"]
    names = {}
    exec(compile(module, "docs/encoders.md", "exec"), names)
    assert names["OurVit"].network(96)(torch.zeros(1, 3, 96, 96)).shape == (1, 384), "quick takes patches of 96 px"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method", "oeem"], "registered already"),
        (["method", "My_Method"], "cannot be a name"),
        (["dataset", "../etc"], "cannot be a name"),
        (["encoder", "resnet18"], "a network's name already"),
        (["encoder", "imagenet-lite0"], "registered already"),
        (["encoder", "mine", "--architecture", "resnt18"], "timm has no such model"),
        (["sweep", "oem"], "'oeem'"),
        (["sweep", "oeem", "--metric", "pixel/mio"], "no metric of that name"),
        (["method", "mine", "--out", "there"], "is there already"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_left(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    done = CliRunner().invoke(app, ["new", *words])
    assert isinstance(done.exception, BenchError) and said in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
