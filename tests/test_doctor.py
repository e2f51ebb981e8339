"""The checks of `bench doctor`, each against what it is to find."""

import socket
import sqlite3
import sys
import threading
import types

import pytest
from packaging.requirements import Requirement

from benchmark.doctor import machine, places, software


def test_python_and_packages():
    assert software.python().ok is True
    assert software.package(Requirement("typer>=0.1")).ok is True
    old = software.package(Requirement("typer>=999"))
    assert old.ok is False and ">=999 is needed" in old.found and old.fix == "pip install 'typer>=999'"
    absent = software.package(Requirement("no-such-distribution>=1"))
    assert absent.ok is False and absent.found == "not installed"


def test_python_out_of_range(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    check = software.python()
    assert check.ok is False and check.found.startswith("3.9.1") and ">=3.11" in check.fix


def test_a_package_that_cannot_be_imported(distribution):
    distribution("half-installed", modules={"half_installed": "raise OSError('libfoo.so.1 is missing')"})
    check = software.package(Requirement("half-installed"))
    assert check.ok is False and "libfoo.so.1" in check.found and "--force-reinstall" in check.fix


def test_broken_plug_ins_are_named_beside_the_sound(distribution):
    distribution("elsewhere", methods={"broken": "nowhere:Nothing"})
    found = {check.what: check for check in software.plugins()}
    assert found["method broken"].ok is False and "elsewhere 1.0" in found["method broken"].found
    assert found["datasets"].ok is True and "glas" in found["datasets"].found
    distribution("again", methods={"broken": "nowhere:Nothing"})
    assert {check.what: check.ok for check in software.plugins()}["methods"] is False


def fake_torch(monkeypatch, gpus):
    properties = types.SimpleNamespace(name="Some GPU", total_memory=8 * 2**30)
    cuda = types.SimpleNamespace(
        is_available=lambda: bool(gpus), device_count=lambda: gpus, get_device_properties=lambda index: properties
    )
    torch = types.ModuleType("torch")
    torch.cuda, torch.__version__ = cuda, "9.9"
    monkeypatch.setitem(sys.modules, "torch", torch)


def test_devices(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    fake_torch(monkeypatch, 2)
    assert [check.found for check in machine.devices()] == [f"cuda:{i} Some GPU, 8.0 GiB" for i in (0, 1)]
    fake_torch(monkeypatch, 0)
    assert [(check.ok, check.found) for check in machine.devices()] == [(True, "cpu (no GPU)")]
    (tmp_path / "nvidia-smi").write_text("")
    (tmp_path / "nvidia-smi").chmod(0o755)
    (check,) = machine.devices()
    assert check.ok is None and "9.9" in check.found and "pytorch.org" in check.fix
    monkeypatch.setitem(sys.modules, "torch", None)
    (check,) = machine.devices()
    assert check.ok is False and "force-reinstall torch" in check.fix


@pytest.mark.parametrize(("told", "ok"), [("", True), ("1", True), ("100000", None), ("many", False)])
def test_threads(monkeypatch, told, ok):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    check = machine.processor()
    assert check.ok is ok and (ok is True or check.fix)


@pytest.mark.parametrize(("free", "ok"), [(8 * 2**30, True), (2**30, None)])
def test_memory(monkeypatch, free, ok):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(available=free, total=16 * 2**30))
    check = machine.memory()
    assert check.ok is ok and f"{free / 2**30:.1f} GiB free of 16.0 GiB" == check.found


def test_a_sqlite_store(tmp_path):
    assert places.tracking().ok is True
    address = f"sqlite:///{tmp_path / 'a.db'}"
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("CREATE TABLE t (x)")
    assert places.tracking(address).ok is True
    (tmp_path / "a.db").write_text("this is not a database, though it is long enough to be looked at as one" * 20)
    check = places.tracking(address)
    assert check.ok is False and "a.db" in check.found and check.fix


def test_a_server_store():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=lambda: server.accept()[0].close(), daemon=True)
        thread.start()
        assert places.tracking(f"http://127.0.0.1:{port}").ok is True
        thread.join(5)
    check = places.tracking(f"http://127.0.0.1:{port}")
    assert check.ok is False and str(port) in check.found
    assert places.tracking("http://[oops").ok is False
    assert places.tracking("mlruns").ok is None


@pytest.mark.parametrize(("free", "ok"), [(100 * 2**30, True), (5 * 2**30, None), (2**20, False)])
def test_room_in_the_cache(monkeypatch, tmp_path, free, ok):
    monkeypatch.setattr(places.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=free))
    check = places.cache()
    assert check.ok is ok and str(tmp_path / "cache") in check.found and "BENCH_CACHE" in check.fix


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file" / "cache"))
    check = places.cache()
    assert check.ok is False and "Not a directory" in check.found and "export BENCH_CACHE" in check.fix


def test_data(tmp_path):
    assert {check.what: check.ok for check in places.data()}["data glas"] is None
    (tmp_path / "data" / "glas").mkdir(parents=True)
    (tmp_path / "data" / "glas" / "Grade.csv").write_text("")
    found = {check.what: check for check in places.data()}["data glas"]
    assert found.ok is True and found.found == str((tmp_path / "data" / "glas").resolve())


def test_completion(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    check = software.completion()
    assert check.ok is None and check.fix == "bench --install-completion"
    (tmp_path / ".bash_completions").mkdir()
    (tmp_path / ".bash_completions" / "bench.sh").write_text("")
    assert software.completion().ok is True
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert software.completion().ok is None
