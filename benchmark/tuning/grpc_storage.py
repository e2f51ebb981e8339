"""Studies behind `bench sweep serve`: Optuna's gRPC proxy of a storage, with a lock that all machines share.

Optuna's protocol has no lock; two commands could take over the same dead trial. A lock is a call that the server
answers when it is the caller's turn and that lasts while it is held: whoever dies loses it.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, TracebackType
from typing import Any
from urllib.parse import urlsplit

import optuna

from benchmark.errors import StudyError

SCHEME, PORT, ANSWER_SECONDS = "grpc://", 13000, 10.0
COMMANDS = 128
"""How many commands may wait for a lock at once; each holds a thread of the server."""
_SERVICE, _HELLO, _HOLD = "bench.Studies", "Hello", "Hold"
_KEEPALIVE = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000)]
"""A machine that is gone without a word loses its locks after half a minute."""


def is_grpc(address: str) -> bool:
    """True for `grpc://HOST:PORT`."""
    return address.startswith(SCHEME)


def grpc_package() -> ModuleType:
    """The package grpc. Raises `StudyError` with the pip line where it is missing."""
    try:
        import grpc
    except ImportError as error:
        raise StudyError("gRPC needs the Python package grpcio", fix="pip install 'histobench[grpc]'") from error
    module: ModuleType = grpc
    return module


def connect(address: str) -> optuna.storages.BaseStorage:
    """Optuna's client of a running `bench sweep serve`. Raises `StudyError` where none answers within 10 s."""
    host, port = _place(address)
    grpc = grpc_package()
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            channel.unary_unary(f"/{_SERVICE}/{_HELLO}")(b"", timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            fix = f"bench sweep serve --storage URL --host {host} --port {port}   # there"
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                message = f"{address} is a gRPC server, but no `bench sweep serve`: it has no lock between machines"
                raise StudyError(message, fix=fix) from error
            raise StudyError(f"the study storage {address} does not answer: {words_of(error)}", fix=fix) from error
    return optuna.storages.GrpcStorageProxy(host=host, port=port)


def words_of(error: Any) -> str:
    """What went wrong with a call, in one line."""
    return str(error.details() or error.code()).splitlines()[0]


class GrpcLock:
    """A lock of that name on the server; used by `with`, not within itself. Raises what `grpc` does."""

    def __init__(self, address: str, name: str) -> None:
        self._target, self._name = "{}:{}".format(*_place(address)), name
        self._channel: Any = None
        self._call: Any = None

    def __enter__(self) -> GrpcLock:
        self._channel = grpc_package().insecure_channel(self._target, options=_KEEPALIVE)
        # Kept: a call that nothing refers to is cancelled when it is collected, and the lock with it.
        self._call = self._channel.unary_stream(f"/{_SERVICE}/{_HOLD}")(self._name.encode())
        next(self._call)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()


def make_server(storage: optuna.storages.BaseStorage, host: str, port: int) -> Any:
    """A gRPC server of the storage, not yet started. Raises `StudyError` when the port cannot be had.

    Optuna's `run_grpc_proxy_server` takes no further services, so its servicer is added to a server of our own.
    """
    grpc = grpc_package()
    from optuna.storages._grpc.auto_generated import api_pb2_grpc
    from optuna.storages._grpc.servicer import OptunaStorageProxyService

    options = [*_KEEPALIVE, ("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
    options += [("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000)]
    server = grpc.server(ThreadPoolExecutor(COMMANDS + 16), options=options)
    register: Any = api_pb2_grpc.add_StorageServiceServicer_to_server
    register(OptunaStorageProxyService(optuna.storages.get_storage(storage)), server)
    handlers = {
        _HELLO: grpc.unary_unary_rpc_method_handler(lambda request, context: b"bench"),
        _HOLD: grpc.unary_stream_rpc_method_handler(_Locks().hold),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    try:
        server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise StudyError(
            f"{host}:{port} cannot be listened on: it is in use, or no address here", fix="--port"
        ) from error
    return server


class _Locks:
    """The server's side of all locks."""

    def __init__(self) -> None:
        self._locks: dict[bytes, threading.Lock] = defaultdict(threading.Lock)

    def hold(self, name: bytes, context: Any) -> Iterator[bytes]:
        """Answer when the lock is the caller's, and keep it until the call ends."""
        over = threading.Event()
        if not context.add_callback(over.set):
            return
        lock = self._locks[name]
        while not lock.acquire(timeout=0.5):
            if over.is_set():
                return
        try:
            yield b"held"
            over.wait()
        finally:
            lock.release()


def _place(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        host, port = None, PORT
    if not host or parts.path.strip("/") or parts.username:
        raise StudyError(f"--storage {address}: expected {SCHEME}HOST:PORT", fix=f"--storage {SCHEME}localhost:{PORT}")
    return host, port
