"""The checks of `bench doctor`, each against what it is to find."""

import socket
import sqlite3
import subprocess
import sys
import threading
import time
import types

import pytest
from packaging.requirements import Requirement

from benchmark.doctor import machine, places, preset_weights, software


def check_package(requirement):
    return software.check_package(requirement, software.import_names())


def test_python_and_packages():
    assert software.check_python().ok is True
    assert check_package(Requirement("typer>=0.1")).ok is True
    old = check_package(Requirement("typer>=999"))
    assert old.ok is False and ">=999 is needed" in old.result and old.fix == "pip install 'typer>=999'"
    absent = check_package(Requirement("no-such-distribution>=1"))
    assert absent.ok is False and absent.result == "not installed"


def test_python_out_of_range(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    check = software.check_python()
    assert check.ok is False and check.result.startswith("3.9.1") and ">=3.11" in check.fix


def test_a_package_that_cannot_be_imported(distribution):
    distribution("half-installed", modules={"half_installed": "raise OSError('libfoo.so.1 is missing')"})
    check = check_package(Requirement("half-installed"))
    assert check.ok is False and "libfoo.so.1" in check.result and "--force-reinstall" in check.fix


def test_packages_are_imported_under_the_names_of_their_files(distribution):
    site = distribution("faiss-like", modules={"fastsearch": "", "_private": "raise OSError('not this one')"})
    (site / "faiss_like-1.0.dist-info" / "RECORD").write_text("fastsearch.py,,\n_private.py,,\n")
    assert software.import_names()["faiss-like"] == ["fastsearch"]
    assert check_package(Requirement("faiss-like")).ok is True
    (site / "fastsearch.py").write_text("raise OSError('libgomp.so.1 is missing')")
    sys.modules.pop("fastsearch")
    assert "libgomp.so.1" in check_package(Requirement("faiss-like")).result


def test_a_clean_installation_is_green_and_the_first_line_comes_at_once():
    command = [sys.executable, "-m", "benchmark", "doctor"]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        first, waited = process.stdout.readline(), time.monotonic() - began
        rest, total = process.stdout.read(), time.monotonic() - began
    assert first.startswith("ok   python:") and waited < total / 2, (first, waited, total)
    assert process.returncode == 0 and "FAIL" not in rest, rest
    assert "ok   packages: histobench" in rest and "ok   methods: " in rest


def test_nothing_is_imported_before_the_first_check_is_known():
    code = "import sys; from benchmark import doctor; next(doctor.examine()); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_broken_plug_ins_are_named_beside_the_sound(distribution):
    distribution("elsewhere", methods={"broken": "nowhere:Nothing"})
    checks = {check.subject: check for check in software.check_plugins()}
    assert checks["method broken"].ok is False and "elsewhere 1.0" in checks["method broken"].result
    assert checks["datasets"].ok is True and "glas" in checks["datasets"].result
    distribution("again", methods={"broken": "nowhere:Nothing"})
    assert {check.subject: check.ok for check in software.check_plugins()}["methods"] is False


def test_a_method_that_cannot_be_made_hides_no_others_weights(distribution):
    """Neither does one that cannot be imported, which another check names."""
    source = "from benchmark.methods.constant import Constant\n\nclass Unmade(Constant):\n    name = 'unmade'\n"
    source += "    def __init__(self, params):\n        raise ValueError('cannot be made')\n"
    names = {"unmade": "unmade_module:Unmade", "broken": "nowhere:Nothing"}
    distribution("elsewhere", modules={"unmade_module": source}, methods=names)
    checks = {check.subject: check for check in preset_weights.check_weights()}
    assert checks["weights of unmade"].ok is False and "cannot be made" in checks["weights of unmade"].result
    assert "weights imagenet-lite0" in checks


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
    assert [check.result for check in machine.check_devices()] == [f"cuda:{i} Some GPU, 8.0 GiB" for i in (0, 1)]
    fake_torch(monkeypatch, 0)
    assert [(check.ok, check.result) for check in machine.check_devices()] == [(True, "cpu (no GPU)")]
    (tmp_path / "nvidia-smi").write_text("")
    (tmp_path / "nvidia-smi").chmod(0o755)
    (check,) = machine.check_devices()
    assert check.ok is None and "9.9" in check.result and "pytorch.org" in check.fix
    monkeypatch.setitem(sys.modules, "torch", None)
    (check,) = machine.check_devices()
    assert check.ok is False and "force-reinstall torch" in check.fix


@pytest.mark.parametrize(("told", "ok"), [("", True), ("1", True), ("100000", None), ("many", False), ("²", False)])
def test_threads(monkeypatch, told, ok):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    check = machine.check_cores()
    assert check.ok is ok and (ok is True or check.fix)


@pytest.mark.parametrize(("free", "ok"), [(8 * 2**30, True), (2**30, None)])
def test_memory(monkeypatch, free, ok):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(available=free, total=16 * 2**30))
    check = machine.check_memory()
    assert check.ok is ok and f"{free / 2**30:.1f} GiB free of 16.0 GiB" == check.result


def test_a_sqlite_store(tmp_path):
    assert places.check_store().ok is True
    address = f"sqlite:///{tmp_path / 'a.db'}"
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("CREATE TABLE t (x)")
    foreign = places.check_store(address)
    assert foreign.ok is False and "another program's database" in foreign.result
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("CREATE TABLE experiments (x)")
        database.execute("CREATE TABLE runs (x)")
    assert places.check_store(address).ok is True
    (tmp_path / "a.db").write_text("this is not a database, though it is long enough to be looked at as one" * 20)
    check = places.check_store(address)
    assert check.ok is False and "a.db" in check.result and check.fix


def test_a_server_store():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer():
            for _ in range(3):
                try:
                    caller = server.accept()[0]
                except OSError:
                    return
                if caller.recv(1000):
                    caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
                caller.close()

        server.settimeout(1.0)
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert places.check_store(f"http://127.0.0.1:{port}").ok is True
        thread.join(10)
    check = places.check_store(f"http://127.0.0.1:{port}")
    assert check.ok is False and str(port) in check.result
    assert places.check_store("http://[oops").ok is False
    assert places.check_store("mlruns").ok is None


@pytest.mark.parametrize(("free", "ok"), [(100 * 2**30, True), (5 * 2**30, None), (2**20, False)])
def test_room_in_the_cache(monkeypatch, tmp_path, free, ok):
    monkeypatch.setattr(places.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=free))
    check = places.check_cache()
    assert check.ok is ok and str(tmp_path / "cache") in check.result and "BENCH_CACHE" in check.fix


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file" / "cache"))
    check = places.check_cache()
    assert check.ok is False and "Not a directory" in check.result and "export BENCH_CACHE" in check.fix


def test_data(tmp_path):
    assert {check.subject: check.ok for check in places.check_data()}["data glas"] is None
    (tmp_path / "data" / "glas").mkdir(parents=True)
    (tmp_path / "data" / "glas" / "Grade.csv").write_text("")
    glas = {check.subject: check for check in places.check_data()}["data glas"]
    assert glas.ok is True and glas.result == str((tmp_path / "data" / "glas").resolve())


def test_completion(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    check = software.check_completion()
    assert check.ok is None and check.fix == "bench --install-completion"
    (tmp_path / ".bash_completions").mkdir()
    (tmp_path / ".bash_completions" / "bench.sh").write_text("")
    assert software.check_completion().ok is True
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert software.check_completion().ok is None
