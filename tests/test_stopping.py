"""What was started ends, however the command that started it ends, and whatever it does meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from benchmark.process_tree import MARK, kill_tree, marked
from benchmark.running.executors.local import _how
from benchmark.running.states import reason_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

DEAF = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
while True: pass
"""

COMMAND = f"""
import os, subprocess, sys
from benchmark.guardian import Guardian
guardian = Guardian(term=True, grace=0.3)
worker = subprocess.Popen([sys.executable, "-c", {DEAF!r}], stdout=subprocess.PIPE, text=True, start_new_session=True)
guardian.watch(worker.pid)
print(worker.pid, worker.stdout.readline().strip(), flush=True)
sys.stdin.read()
"""


def gone(pid: int, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_killed_command_leaves_nothing_that_is_deaf_to_sigterm():
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pids = [int(word) for word in command.stdout.readline().split()]
    assert len(pids) == 2 and all(psutil.pid_exists(pid) for pid in pids)
    command.kill()
    command.wait()
    assert all(gone(pid) for pid in pids)


def test_a_child_whose_parent_is_gone_is_found_by_its_mark():
    source = (
        "import subprocess; null = subprocess.DEVNULL; "
        "print(subprocess.Popen(['sleep', '60'], start_new_session=True, stdout=null, stderr=null).pid)"
    )
    parent = subprocess.run(
        [sys.executable, "-c", source], env={**os.environ, MARK: "stray"}, capture_output=True, text=True, check=True
    )
    pid = int(parent.stdout)
    assert [process.pid for process in marked("stray")] == [pid]
    kill_tree(None, mark="stray")
    assert gone(pid)


def test_a_tree_is_killed_with_children_in_sessions_of_their_own():
    parent = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    kill_tree(parent.pid)
    assert parent.wait(10) == -signal.SIGKILL and gone(child)


@pytest.mark.parametrize(
    ("code", "words"),
    [(-signal.SIGSEGV, "crashed: SIGSEGV in its own code"), (-signal.SIGKILL, "SIGKILL from outside"), (3, "code 3")],
)
def test_a_crash_is_told_from_a_kill(code, words):
    assert words in _how(code, 0)[1]


def test_an_error_whose_text_raises_has_a_reason():
    class Nasty(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    assert reason_of(Nasty()) == "Nasty: (its text cannot be shown: RuntimeError)"
