"""Odd surroundings of `bench`: no working directory, ASCII, closed streams, a full disk, a server that hangs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.errors import ConfigError, TrackingError
from benchmark.storage import require_folder
from benchmark.tracking.address import require_server

BENCH = f"{sys.executable} -m benchmark"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


def test_a_deleted_working_directory_is_told(tmp_path: Path) -> None:
    done = shell(f"mkdir gone && cd gone && rmdir ../gone && {BENCH} leaderboard", MLFLOW_TRACKING_URI="")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: the working directory has been deleted")


def test_an_ascii_locale_is_no_error() -> None:
    done = shell(f"{BENCH} info glas", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0 and done.stdout.isascii() and "\\u" in done.stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_error(closed: str) -> None:
    assert shell(f"{BENCH} data synth glas --out made --slides 4 {closed}").returncode == 0
    assert len(list(Path("made").rglob("*.bmp"))) == 8 and shell(f"{BENCH} nonsense {closed}").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_below_the_output_is_told() -> None:
    done = shell(f"{BENCH} list > /dev/full")
    assert done.returncode == 2 and done.stderr.startswith("error: no space left on ")


def test_an_output_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    require_folder(tmp_path / "new" / "deep")
    for out in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(ConfigError, match=r"file is not a folder"):
            require_folder(out)


def test_ctrl_c_while_bench_is_starting_ends_it_without_a_traceback() -> None:
    for delay in (0.15, 0.3, 0.5):
        process = subprocess.Popen([*BENCH.split(), "info", "oeem"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        # Before the first line of the program Python itself may tell of it; what it says there is not ours.
        assert b"benchmark/cli" not in errors and process.returncode in (0, 1, 130, -signal.SIGINT)


@pytest.mark.parametrize("drip", [False, True])
def test_a_server_that_hangs_is_told_within_ten_seconds(drip: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        if drip:
            import threading

            threading.Thread(target=_drip, args=(server,), daemon=True).start()
        with pytest.raises(TrackingError, match="takes connections, but does not answer within 5 s"):
            require_server(uri)
        assert time.monotonic() - began < 10


def _drip(server: socket.socket) -> None:
    server.accept()  # the first look, which only connects
    connection, _ = server.accept()
    for letter in b"HTTP/1.1 200 OK" + b"x" * 100:
        connection.sendall(bytes([letter]))
        time.sleep(0.5)
