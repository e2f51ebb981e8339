"""`bench sweep serve` and `bench sweep dashboard`: a storage of studies for other machines, and as a web page."""

from __future__ import annotations

import optuna

from benchmark.errors import StudyError
from benchmark.signals import terminable
from benchmark.terminal import PlainConsole
from benchmark.tracking.address import shown
from benchmark.tracking.server import free_port
from benchmark.tuning.grpc_storage import SCHEME, is_grpc, make_server
from benchmark.tuning.study_storage import artifacts_of, open_storage, quiet

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def serve(storage: str, host: str, port: int) -> None:
    """Serve a database of studies by gRPC until Ctrl-C. Raises `StudyError`."""
    if is_grpc(storage) or "://" not in storage:
        kind = "is a server itself" if is_grpc(storage) else "is a journal, which Optuna's proxy cannot serve"
        raise StudyError(f"the study storage {storage} {kind}", fix="--storage sqlite:///studies.db")
    server = make_server(open_storage(storage), host, port)
    server.start()
    console = PlainConsole()
    console.print(f"{shown(storage)} is served at {SCHEME}{host}:{port}; stop with Ctrl-C", soft_wrap=True)
    if host not in LOOPBACK:
        console.print(
            "  note: no password and no encryption: whoever reaches this port can read and change all studies"
        )
    try:
        with terminable():
            server.wait_for_termination()
    except KeyboardInterrupt:
        server.stop(grace=1.0).wait()


def dashboard(storage: str, host: str, port: int) -> None:
    """Show Optuna's dashboard of a storage until Ctrl-C, at the next free port. Raises `StudyError`."""
    try:
        from optuna_dashboard import run_server
    except ImportError as error:
        message = "the dashboard needs the Python package optuna-dashboard"
        raise StudyError(message, fix="pip install 'histobench[dashboard]'") from error
    backend = open_storage(storage, make=False)
    folder = artifacts_of(storage)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = free_port(host, port)
    PlainConsole().print(f"{shown(storage)} is shown at http://{host}:{chosen}/dashboard; stop with Ctrl-C")
    with quiet(), terminable():
        run_server(backend, host, chosen, optuna.artifacts.FileSystemArtifactStore(folder))
