"""Folders in which miniatures are made: what a killed process leaves is removed by the next, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from benchmark.workshop import workshop

MAKER = """
import pathlib, sys, time
from benchmark.workshop import workshop
with workshop(pathlib.Path(sys.argv[1])) as folder:
    (folder / "slide").write_text("half")
    print("at work", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_maker_left_is_removed_and_a_living_one_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "data"
    makers = [
        subprocess.Popen([sys.executable, "-c", MAKER, str(target)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        assert [maker.stdout and maker.stdout.readline() for maker in makers] == ["at work\n"] * 2
        stranger = tmp_path / ".data.unfinished-notes"
        stranger.mkdir()
        makers[0].send_signal(signal.SIGKILL)
        makers[0].wait()
        with workshop(target) as folder:
            assert not any(folder.iterdir())
            assert len([path for path in tmp_path.iterdir() if path != stranger]) == 2, "this one and the living one"
    finally:
        for maker in makers:
            maker.kill()
            maker.communicate()
    with workshop(target):
        pass
    assert list(tmp_path.iterdir()) == [stranger]


def test_a_killed_synth_leaves_nothing_after_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmark", "data", "synth", "glas", "--out", "made", "--slides"]
    first = subprocess.Popen([*command, "200"], stdout=subprocess.DEVNULL)
    while not any(name.endswith(".bmp") for _, _, names in os.walk(tmp_path) for name in names):
        assert first.poll() is None
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    left = {path.name for path in tmp_path.iterdir()} - {"cache"}
    assert len(left) == 1 and "made" not in left
    subprocess.run([*command, "4"], check=True, stdout=subprocess.DEVNULL)
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"made"}
