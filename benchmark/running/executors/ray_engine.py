"""The engine `ray`: runs as tasks of a Ray cluster, fractions of a GPU included; a lost node's runs start elsewhere."""

from __future__ import annotations

import socket
from types import ModuleType
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from benchmark.errors import EngineError
from benchmark.running.executors.executor import Curve, Engine, EngineOptions, Say
from benchmark.running.executors.ray_executor import RayExecutor
from benchmark.running.limits import Limits

PIP = "pip install 'histobench[ray]'"
CONNECT_SECONDS = 5.0


class RayOptions(EngineOptions):
    """The file of the engine."""

    address: str = Field("auto", description="HOST:PORT of the head, ray://HOST:PORT, or auto")
    workers: int = Field(8, ge=1, description="runs at a time")
    resources: dict[str, float] = Field(
        default_factory=lambda: {"CPU": 1.0}, description="of one run: {CPU: 4, GPU: 0.5}, and the cluster's own"
    )
    retries: int = Field(3, ge=0, description="how often a run whose node is lost starts elsewhere")
    check: bool = Field(True, description="first send a task that compares versions and looks for data and store")

    @field_validator("resources")
    @classmethod
    def _positive(cls, value: dict[str, float]) -> dict[str, float]:
        if bad := [name for name, amount in value.items() if amount <= 0]:
            raise ValueError(f"{bad[0]} has to be more than 0")
        if value.get("GPU", 0) > 1 and value["GPU"] % 1:
            raise ValueError("GPU is a fraction of one, or a whole number")
        return value


class RayEngine(Engine):
    """Tasks of a Ray cluster."""

    name = "ray"
    Options = RayOptions
    options: RayOptions

    def require(self) -> None:
        """Raise `EngineError` without Ray, and when the cluster does not answer or cannot do a run."""
        ray = _ray()
        if not ray.is_initialized():
            require_answer(self.options.address)
            try:
                ray.init(self.options.address, log_to_driver=False, logging_level="error", configure_logging=False)
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                raise EngineError(f"Ray at {self.options.address}: {_told(error)}", fix=_fix(error)) from error
        self._require_room(ray)

    def executor(self, jobs: int, limits: Limits, say: Say, curve: Curve, *, queued: int = 0) -> RayExecutor:
        """An executor of at most `jobs` tasks at a time."""
        self.require()
        return RayExecutor(self.options.resources, self.options.retries, jobs, limits, say, curve)

    def _require_room(self, ray: ModuleType) -> None:
        """Raise `EngineError` when no node has what a run needs: Ray would wait for one for ever."""
        wanted = self.options.resources
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if any(all(node.get(name, 0.0) >= amount for name, amount in wanted.items()) for node in nodes):
            return
        most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in wanted}
        told = ", ".join(f"{name}: {amount:g} of at most {most[name]:g}" for name, amount in wanted.items())
        raise EngineError(f"no node of the Ray cluster can do a run ({told})", fix="resources: in the engine file")


def require_answer(address: str) -> None:
    """Raise `EngineError` when nothing listens at the address: Ray itself would try for minutes."""
    if address in ("auto", "local"):
        return
    parts = urlsplit(address if "://" in address else f"ray-head://{address}")
    try:
        host, port = parts.hostname, parts.port or 10001
        socket.create_connection((host or "", port), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        what = f"Ray at {address} does not answer: {getattr(error, 'strerror', None) or error}"
        raise EngineError(what, fix="ray status --address HOST:PORT   # is the head up?") from error


def _told(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:4]) or type(error).__name__


def _fix(error: Exception) -> str:
    if "ersion mismatch" in str(error):
        return "pip install ray==VERSION   # that of the cluster, and the same Python"
    return "ray status   # is the head up? address: in the engine file"


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise EngineError("the engine ray needs the Python package ray", fix=PIP) from error
    return ray
