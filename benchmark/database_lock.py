"""A lock in a PostgreSQL database: between all machines that use it, freed when its holder is gone."""

from __future__ import annotations

import zlib
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

CONNECT_SECONDS = 10
_NUMBER = 0x62656E63
"""The first half of every key, so that no other program's lock is met."""


def is_postgresql(uri: str) -> bool:
    """True for the address of a PostgreSQL database, whatever its driver."""
    return uri.partition("://")[0].partition("+")[0] == "postgresql"


class DatabaseLock:
    """An advisory lock of that name; used by `with`, also within itself. Waits for as long as it takes.

    Raises what SQLAlchemy does when the database cannot be reached, and `ImportError` without its driver.
    """

    def __init__(self, uri: str, name: str) -> None:
        self._uri, self._key, self._depth = uri, zlib.crc32(name.encode()) - 2**31, 0
        self._held: Connection | None = None

    def __enter__(self) -> DatabaseLock:
        if self._held is None:
            import sqlalchemy
            from sqlalchemy.pool import NullPool

            engine = sqlalchemy.create_engine(
                self._uri, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS}
            )
            held = engine.connect()
            try:
                held.execute(sqlalchemy.text("SELECT pg_advisory_lock(:own, :key)"), {"own": _NUMBER, "key": self._key})
            except BaseException:
                held.close()
                raise
            self._held = held
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if not self._depth and self._held is not None:
            held, self._held = self._held, None
            held.close()
