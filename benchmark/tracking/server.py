"""`bench ui`: MLflow's web page on the tracking store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import IO

from benchmark.errors import TrackingError
from benchmark.guardian import Guardian
from benchmark.signals import terminable
from benchmark.tracking.address import is_server, require_address, require_server, shown, sqlite_path, store_uri
from benchmark.tracking.sqlite_file import require_runs

PORTS_TRIED, START_SECONDS, STOP_SECONDS = 50, 90.0, 10.0
FILTERS = (
    "tags.`bench.method` = 'oeem'",
    "tags.`bench.supervision` = 'patch' and tags.`bench.data_kind` = 'real'",
    "metrics.`pixel/miou` > 0.6 and attributes.status = 'FINISHED'",
    "tags.`bench.state` != 'ok'",
    "tags.`bench.complete` = 'false'",
    "tags.`bench.audit` != 'clean' and tags.`bench.preset` = 'paper'",
)


def serve(uri: str | None = None, host: str = "127.0.0.1", port: int = 5000) -> int:
    """Show the store until Ctrl-C; returns the exit code. A server given as `uri` is only pointed at.

    Takes the next free port when `port` is taken. Raises `TrackingError` when there is nothing to show or
    MLflow does not start.
    """
    address = store_uri(uri)
    from benchmark.tracking.offline_files import offline_folder

    folder = offline_folder(address)
    if folder is not None:
        msg = f"{folder} holds offline runs, which MLflow's page cannot show"
        raise TrackingError(msg, fix=f"bench sync {folder}   # delivers them to a store; or: bench leaderboard")
    require_address(address, "--store" if uri else "MLFLOW_TRACKING_URI")
    if is_server(address):
        require_server(address)
        _announce(shown(address), address)
        return 0
    path = sqlite_path(address)
    if path is not None:
        require_runs(path)
    chosen = free_port(host, port)
    if chosen != port:
        print(f"port {port} is in use, taking {chosen}")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", address]
    command += ["--host", host, "--port", str(chosen), "--workers", "1"]
    if path is not None:
        command += ["--artifacts-destination", (path.parent / "mlartifacts").as_uri()]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, env=quiet | os.environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        return _attend(server, log, host, chosen, address)


def free_port(host: str, first: int) -> int:
    """The first port from `first` on that can be listened at."""
    for port in range(first, first + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(os.name != "nt"))
            try:
                probe.bind((host, port))
            except OSError as error:
                refused = error
            else:
                return port
    msg = f"no free port on {host} from {first} to {first + PORTS_TRIED - 1}: {refused.strerror}"
    raise TrackingError(msg, fix="bench ui --port 8080")


def _attend(server: subprocess.Popen[bytes], log: IO[bytes], host: str, port: int, uri: str) -> int:
    page = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"
    guardian = Guardian(term=True)
    guardian.watch(server.pid)
    try:
        with terminable():
            return _shown(server, log, host, port, page, uri)
    except KeyboardInterrupt:
        print("stopped")
        return 0
    finally:
        _stop(server)
        guardian.close()


def _shown(server: subprocess.Popen[bytes], log: IO[bytes], host: str, port: int, page: str, uri: str) -> int:
    """Wait for the server, say where it is, and wait until it ends."""
    _await(server, log, host, port)
    _announce(page, uri)
    return server.wait()


def _await(server: subprocess.Popen[bytes], log: IO[bytes], host: str, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection((host, port), 1.0).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()[-5:]
    raise TrackingError("the MLflow server did not start:\n  " + "\n  ".join(said), fix="bench doctor")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, which sit in a session of their own."""
    if server.poll() is not None:
        return
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        if os.name == "nt":
            server.terminate()
        else:
            os.killpg(server.pid, number)
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def _announce(page: str, uri: str) -> None:
    path = sqlite_path(uri)
    print(f"MLflow on {path or shown(uri)}:  {page}/#/experiments?workflowType=machine_learning")
    print("Useful in the search field of an experiment's runs:")
    for text in FILTERS:
        print(f"  {text}")
    print("Ctrl-C stops it." if page != shown(uri) else "", flush=True)
