"""Fixtures of all tests: isolation, real data, miniatures, and distributions made on the spot."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("project", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("project")
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

REPOSITORY = Path(__file__).resolve().parent.parent

Distribution = Callable[..., Path]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--dist loadgroup` a file stays on one worker, but contract suites go component by component."""
    for item in items:
        component = getattr(getattr(item, "callspec", None), "params", {}).get("component")
        of = f":{component}" if component is not None else ""
        item.add_marker(pytest.mark.xdist_group(f"{item.path.name}{of}"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Refuse a pytest with which the groups have no effect: fixtures would be made once a worker, without a word."""
    alone = [name for name in ids if "@" not in name.rpartition("]")[2]]
    if node.config.getvalue("dist") == "loadgroup" and alone:
        raise pytest.UsageError(
            f"pytest {pytest.__version__} ignores the group of {alone[0]}: pip install 'pytest<9.2'"
        )


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep cache, store, data and relative paths of a test in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.delenv("BENCH_DATA", raising=False)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real data; the test is skipped where it is absent."""
    folder = Path(os.environ.get("BENCH_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder (set BENCH_SHARED_DATA)")
    return folder


class Miniatures(Mapping[str, Path]):
    """Dataset name → the folder of a miniature that is written when it is first asked for. Only to be read."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory

    def __getitem__(self, name: str) -> Path:
        from benchmark.registry import datasets
        from benchmark.testing.datasets import shared_root

        return shared_root(datasets().load(name), self._factory)

    def __iter__(self) -> Iterator[str]:
        from benchmark.registry import datasets

        return iter(datasets().names())

    def __len__(self) -> int:
        return sum(1 for _ in self)


@pytest.fixture(scope="session")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Miniatures:
    """A miniature of every dataset, shared by the tests that only read."""
    return Miniatures(tmp_path_factory)


@pytest.fixture(scope="session")
def empty_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tables of a new store are kept: making them takes seconds, so it is done once."""
    return tmp_path_factory.mktemp("tables")


@pytest.fixture
def store(tmp_path: Path, empty_tables: Path) -> str:
    """The address of an empty tracking store."""
    from benchmark.tracking.store import Tracker

    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    Tracker(address, cache=empty_tables).connect()
    return address


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distribution]:
    """Install a distribution: `distribution(name, modules={name: source}, methods={name: target}, datasets={…})`.

    It is a real one, a module beside a `.dist-info` on `sys.path`, so entry points find it as they find any other.
    """
    from benchmark.registry import refresh

    before = set(sys.modules)

    def install(
        name: str,
        *,
        modules: Mapping[str, str] | None = None,
        methods: Mapping[str, str] | None = None,
        datasets: Mapping[str, str] | None = None,
        encoders: Mapping[str, str] | None = None,
        version: str = "1.0",
        folder: str = "",
    ) -> Path:
        site = tmp_path / (folder or f"site-{name}")
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        for module, source in (modules or {}).items():
            path = site / f"{module.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        groups = {"bench.methods": methods or {}, "bench.datasets": datasets or {}, "bench.encoders": encoders or {}}
        lines = [
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(str(site))
        refresh()
        return site

    yield install
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]
    monkeypatch.undo()
    refresh()
