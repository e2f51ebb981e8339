"""The tracking store, the cache and the data folders."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmark.doctor.check import Check, size
from benchmark.errors import DataError, RegistryError, TrackingError

ENOUGH_DISK = 10 * 2**30
LITTLE_DISK = 2**30


def check_store(store: str | None = None) -> Check:
    """Whether results can be written into the tracking store."""
    from benchmark.tracking.address import require_file, require_server, shown, sqlite_path, store_uri
    from benchmark.tracking.sqlite_file import require_kind

    uri = store_uri(store)
    path = sqlite_path(uri)
    try:
        if path is not None:
            require_kind(path)
            require_file(path)
        elif urlsplit(uri).hostname:
            require_server(uri)
        else:
            return Check("store", None, f"{shown(uri)}: only files and servers are checked", "try it: bench run")
    except ValueError as error:
        return Check("store", False, f"{shown(uri)}: {error}", "set --store or MLFLOW_TRACKING_URI to an address")
    except TrackingError as error:
        return Check("store", False, error.what, error.fix or "")
    return Check("store", True, shown(uri))


def check_cache() -> Check:
    """Whether the cache can be written, and how much disk space is free."""
    from benchmark.cachehome import CACHE_VARIABLE, cache_home

    folder = cache_home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _try_write(folder)
    except OSError as error:
        fix = f"export {CACHE_VARIABLE}=/a/writable/folder"
        return Check("cache", False, f"{folder}: {error.strerror or error}", fix)
    free = shutil.disk_usage(folder).free
    ok = True if free >= ENOUGH_DISK else None if free >= LITTLE_DISK else False
    fix = f"free disk space, or point {CACHE_VARIABLE} to another disk"
    return Check("cache", ok, f"{folder}, {size(free)} free", fix)


def check_data() -> Iterator[Check]:
    """Where the data of each dataset lies; absent data is a warning, because miniatures do without."""
    from benchmark.datahome import find_root
    from benchmark.registry import datasets

    try:
        names = datasets().names()
    except RegistryError:  # check_plugins reports it
        return
    for name in names:
        try:
            yield Check(f"data {name}", True, str(find_root(name)))
        except DataError:
            yield Check(f"data {name}", None, "not found", f"bench data info {name}, or --data synthetic")


def _try_write(folder: Path) -> None:
    import tempfile

    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"bench")
