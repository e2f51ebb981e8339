"""A PostgreSQL server in a folder of its own, started by a test as a user that is not root."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

PASSWORD = "s3cret"


def programs():
    """The folder of Debian's server programs; the test is skipped where the package is missing."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in [*folders, Path(shutil.which("initdb") or "/nowhere/initdb").parent]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.skip("the package postgresql is missing: apt-get install postgresql")


def another_user():
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.getuid():
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL refuses root, and there is no user postgres or nobody")


class PostgresqlServer:
    """`address(name)` makes an empty database and gives its address."""

    def __init__(self):
        binaries, self._user = programs(), another_user()
        self._folder = Path(tempfile.mkdtemp(prefix="bench-postgresql-", dir="/tmp"))
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        (self._folder / "password").write_text(PASSWORD)
        (self._folder / "password").chmod(0o644)
        data = self._folder / "data"
        words = ["--username", "bench", "--pwfile", self._folder / "password", "--auth", "scram-sha-256", "--no-sync"]
        self._run([binaries / "initdb", "-D", data, "--encoding=UTF8", *words]).wait()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        settings = {
            "fsync": "off",
            "max_connections": "400",
            "unix_socket_directories": self._folder,
            "port": self.port,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._server = self._run([binaries / "postgres", "-D", data, "-h", "127.0.0.1", *words])
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._server.poll() is None and time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.2)

    def _run(self, words):
        who = {} if self._user is None else {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        with (self._folder / "log").open("a") as log:
            return subprocess.Popen([str(word) for word in words], stdout=log, stderr=log, cwd=self._folder, **who)

    def _connect(self):
        import psycopg2

        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user="bench", password=PASSWORD, dbname="postgres", connect_timeout=5
        )

    def _answers(self):
        import psycopg2

        try:
            self._connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def address(self, name, password=PASSWORD):
        """The address of a database, which is made when it is not there."""
        connection = self._connect()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if cursor.fetchone() is None:
                cursor.execute(f'CREATE DATABASE "{name}"')
        connection.close()
        return f"postgresql://bench:{password}@127.0.0.1:{self.port}/{name}"

    def stop(self):
        """End the server and delete its files."""
        self._server.send_signal(signal.SIGINT)  # a "fast" end: SIGTERM waits for those still connected
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
