"""The tables of a new SQLite store, made once and copied from then on."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

from benchmark.tracking.address import install, sqlite_uri


def make_tables(path: Path, cache: Path | None) -> None:
    """Put an empty MLflow database at `path`, whole or not at all, from the cached tables where there are any."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.version import VERSION

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

    # Not by way of a client: that writes the working directory into SQL as it is, so that `a'b` is a syntax error.
    with (
        tempfile.TemporaryDirectory(prefix="mlflow-", ignore_cleanup_errors=True) as plain,
        tempfile.TemporaryDirectory(prefix=".mlflow-", dir=path.parent, ignore_cleanup_errors=True) as name,
    ):
        made, fresh = Path(plain) / "made.db", Path(name) / "fresh.db"
        template = cache / f"mlflow-{VERSION}.db" if cache else made
        if not template.exists():
            SqlAlchemyStore(sqlite_uri(made), Path(plain).as_uri())
            if cache:
                cache.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(made, staged := cache / f".{Path(name).name}.db")
                staged.replace(template)
        install(template, fresh, path)
