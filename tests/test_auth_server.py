"""A real MLflow server with passwords and artifacts of its own; a wrong password is told before the first run."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from benchmark.config import RunRequest
from benchmark.errors import TrackingError
from benchmark.running import matrix
from benchmark.stored import slide_rows
from benchmark.tracking.artifacts import StoreArtifacts
from benchmark.tracking.store import Tracker

pytest.importorskip("flask_wtf", reason="the package flask-wtf is missing: pip install 'mlflow[auth]'")
PASSWORD = "a long password 1"


@pytest.fixture(scope="module")
def server(tmp_path_factory, empty_tables):
    folder = tmp_path_factory.mktemp("server")
    Tracker(f"sqlite:///{folder / 'server.db'}", cache=empty_tables).connect()
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder / 'auth.db'}\n"
        f"admin_username = admin\nadmin_password = {PASSWORD}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--app-name",
        "basic-auth",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    command += ["--artifacts-destination", (folder / "served").as_uri()]
    told = {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "secret"}
    told |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **told}, start_new_session=True, cwd=folder
        )
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_wrong_password_is_told_before_the_first_run_and_the_right_one_serves(
    server, miniatures, monkeypatch, tmp_path, capsys
):
    usual = {"dataset": "glas", "data": str(miniatures["glas"]), "device": "cpu", "preset": "smoke"}
    asked = RunRequest(method="constant,coarse", store=server, **usual)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "guess")
    with pytest.raises(TrackingError, match="refuses the user or the password") as refused:
        matrix.run_all(asked)
    assert "MLFLOW_TRACKING_PASSWORD" in refused.value.fix and "guess" not in str(refused.value)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    assert matrix.run_all(asked) == 0
    tracker = Tracker(server)
    runs = tracker.runs("glas-synthetic")
    assert {run.status for run in runs} == {"FINISHED"} and len(runs) == 2
    with StoreArtifacts(tracker) as artifacts:
        assert all(slide_rows(artifacts, run) for run in runs), "artifacts come through the server"
