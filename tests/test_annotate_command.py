"""`bench annotate` as a command: killed and resumed, a port that is taken, a slide that nobody annotated, the run."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from benchmark.annotations import Polygons
from benchmark.tracking.store import Tracker

SETTINGS = ("rounds=1", "sessions=2", "reviews=3", "queries=1", "epochs=1")


@pytest.fixture
def slides(tmp_path, miniatures):
    """A folder of slides; of one with lesion the annotation is taken away."""
    root = shutil.copytree(miniatures["slides"], tmp_path / "slides")
    lines = (root / "manifest.csv").read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if ",tumor,test," in line)
    name, patient, label, split, _ = lines[place].split(",")
    lines[place] = ",".join((name, patient, label, split, ""))
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root, name.split("/")[1].removesuffix(".tif")


def words(root, slide, out, *more):
    command = [sys.executable, "-m", "benchmark", "annotate", "--dataset", "slides", "--data", str(root)]
    command += ["--slide", slide, "--method", "cnfp", "--preset", "smoke", "--device", "cpu", "--out", str(out)]
    return [*command, *(word for setting in SETTINGS for word in ("--set", setting)), *more]


class Program:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said, self.number = [], 0
        for line in self.process.stdout:
            self.said.append(line)
            if found := re.match(r"http://127\.0\.0\.1:(\d+)/\S+/", line):
                self.address, self.origin = found.group(), f"http://127.0.0.1:{found.group(1)}"
                return
        raise AssertionError("".join(self.said))

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}api/{path}", data, {"Origin": self.origin})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def act(self, kind, marks=()):
        self.number += 1
        listed = [{"item": item, "label": label, "was": None} for item, label in marks]
        body = {"tab": f"{self.process.pid}", "number": self.number, "kind": kind, "seconds": 1, "marks": listed}
        return self.ask("act", body)["state"]

    def settled(self, rounds):
        deadline = time.monotonic() + 120
        while (state := self.ask("state"))["busy"] or state["progress"]["rounds"] != rounds or not state["queue"]:
            assert time.monotonic() < deadline and not state["fault"], state
            time.sleep(0.1)
        return state

    def batch(self, rounds):
        return [entry["item"] for entry in self.settled(rounds)["queue"] if not entry["ahead"]]


def test_killed_between_two_answers_resumed_and_made_a_run_without_truth(slides, tmp_path, store):
    root, slide = slides
    out = tmp_path / "session"
    program = Program(words(root, slide, out))
    program.act("example", [(10, 1)])
    program.act("start")
    for item in program.batch(0):
        program.act("answer", [(item, item % 2)])
    second = program.batch(1)
    program.act("answer", [(second[0], 1)])
    before = program.ask("state")
    os.kill(program.process.pid, signal.SIGKILL)
    program.process.wait(30)
    again = Program(words(root, slide, out))
    after = again.settled(1)
    assert [after[name] for name in ("queue", "answers", "examples")] == [
        before[name] for name in ("queue", "answers", "examples")
    ]
    again.act("answer", [(second[1], 0)])
    again.act("end")
    output, _ = again.process.communicate(timeout=300)
    assert again.process.returncode == 0, output
    (run,) = Tracker(store).runs("slides-synthetic")
    assert run.status == "FINISHED" and run.tags["bench.settings"] == f"slide={slide}"
    assert run.metrics["labels/reviews"] == 6, "an example, three answers, and two of a round that was left"
    assert "pixel/dice" not in run.metrics, "nobody annotated the slide"
    from benchmark.annotations import read_annotation

    assert isinstance(read_annotation(out / f"{slide}.geojson"), Polygons)


def test_a_port_that_is_taken_costs_no_waiting(slides, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = words(*slides, tmp_path / "x", "--port", str(taken.getsockname()[1]))
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "Address already in use" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_says_where_the_session_is(slides, tmp_path):
    program = Program(words(*slides, tmp_path / "kept"))
    program.process.send_signal(signal.SIGINT)
    output, _ = program.process.communicate(timeout=120)
    assert program.process.returncode == 130 and f"saved: {tmp_path / 'kept'}" in output
