"""A small process that ends what outlives the command that started it.

A command that is killed cannot stop what it started, and a process that sits in a C loop hears no signal but SIGKILL.
The guardian waits at a pipe whose other end only the command holds; when that is closed it kills what is left.

It is run as `python -c`, so it imports nothing of this package that takes time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

GRACE = 8.0
"""Seconds a process gets to end by itself when the command is gone."""


class Guardian:
    """Kills the trees of watched processes when this one is gone. `term`: they are sent SIGTERM first."""

    def __init__(self, *, term: bool = False, grace: float = GRACE) -> None:
        source = "import sys; from benchmark.guardian import main; main()"
        # Isolated from the working directory: `benchmark` is found where this one is.
        environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        self._tell({"term": term, "grace": grace})

    def watch(self, pid: int | None, mark: str | None = None) -> None:
        """Watch a process, and those that bear the mark."""
        if pid is not None:
            self._tell({"watch": pid, "mark": mark})

    def forget(self, pid: int | None) -> None:
        """The process is over."""
        self._tell({"forget": pid})

    def close(self) -> None:
        """End the guardian; what it still watches is left alone."""
        self._tell({"over": True})
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.wait()

    def disown(self) -> None:
        """For a process that was forked from the guardian's owner: let go of the pipe that the owner alone may hold."""
        assert self._process.stdin is not None
        os.close(self._process.stdin.fileno())

    def _tell(self, message: dict[str, object]) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()


def main() -> None:
    """What the guardian does: listen until the pipe is closed, then end what is still watched."""
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, signal.SIG_IGN)
    watched: dict[int, str | None] = {}
    term, grace = False, GRACE
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("over"):
            return
        term, grace = message.get("term", term), message.get("grace", grace)
        if "watch" in message:
            watched[message["watch"]] = message["mark"]
        watched.pop(message.get("forget"), None)
    if watched:
        _end(watched, term, grace)


def _end(watched: dict[int, str | None], term: bool, grace: float) -> None:
    from benchmark.process_tree import alive, kill_tree, members

    trees = {pid: members(pid) for pid in watched}
    if term:
        for pid in watched:
            with suppress(OSError):
                os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(alive(process) for tree in trees.values() for process in tree):
        time.sleep(0.1)
        trees = {pid: list({*tree, *members(pid)}) for pid, tree in trees.items()}
    for pid, mark in watched.items():
        kill_tree(None, trees[pid], mark=mark)
