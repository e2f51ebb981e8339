"""What every engine must keep. The tasks are small; on an engine for clusters each may take seconds to start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from benchmark.running.executors.engines import engines
from benchmark.running.executors.executor import Ended, Engine, Executor
from benchmark.running.executors.sample_works import make_task
from benchmark.running.limits import Limits
from benchmark.testing.datasets import Contract

PATIENCE = 180.0
ROOMY = Limits(None, 64 * 2**30)


class Heard:
    """Everything that the tasks of one executor told."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.curve: list[tuple[int, int, float]] = []

    def say(self, number: int, line: str) -> None:
        """Take a printed line."""
        if line.strip():
            self.lines.append((number, line.strip()))

    def point(self, number: int, step: int, value: float) -> None:
        """Take a point of a curve."""
        self.curve.append((number, step, value))


def drain(executor: Executor, until: Callable[[], bool] | None = None) -> Iterator[Ended]:
    """The tasks that end, until none is at work or `until` says so."""
    deadline = time.monotonic() + PATIENCE
    while executor.busy and not (until is not None and until()):
        assert time.monotonic() < deadline, "the tasks do not end"
        yield from executor.ended()


class EngineContract(Contract):
    """Subclass it and set `name`, or override the fixture `engine` with one that is set up for your test cluster."""

    @pytest.fixture
    def engine(self, component: str, tmp_path: Path) -> Engine:
        """The engine under test with its default options; the test is skipped where a package is missing."""
        made = engines().load(component)()
        made.require()
        return made

    def test_order_states_reasons_and_one_failure_costs_only_itself(self, engine: Engine, tmp_path: Path) -> None:
        heard = Heard()
        works = ("go_well", "raise_an_error", "exit_silently", "be_elsewhere", "go_well")
        over: dict[int, Ended] = {}
        with engine.executor(2, ROOMY, heard.say, heard.point) as executor:
            waiting = list(enumerate(works))
            assert executor.free
            assert not executor.busy
            while waiting or executor.busy:
                while waiting and executor.free:
                    number, work = waiting.pop(0)
                    executor.start(number, make_task(work, tmp_path, seed=number))
                over |= {ended.number: ended for ended in executor.ended()}
        states = {number: ended.outcome.state for number, ended in over.items() if ended.outcome is not None}
        assert states == {0: "ok", 1: "failed", 2: "failed", 4: "ok"}
        assert over[3].outcome is None
        assert over[3].holder == "process 7 on another machine"
        failed, silent, well = over[1].outcome, over[2].outcome, over[4].outcome
        assert failed is not None
        assert silent is not None
        assert well is not None
        assert "out of luck" in failed.reason
        assert not over[1].stored, "it failed before its run was opened"
        assert "out of luck" in failed.trace
        assert "exit code 3" in silent.reason
        assert not over[2].stored
        assert silent.run_id == "run-gone"
        assert (well.run_id, well.metrics) == ("run-4", {"seed": 4.0})
        for number in (0, 4):
            assert [line for who, line in heard.lines if who == number] == [f"line {n} of {number}" for n in range(3)]
            points = [point[1:] for point in heard.curve if point[0] == number]
            assert points == [(step, step / 2 + number) for step in range(3)]
        folder, told, _ = (tmp_path / "here-4").read_text(encoding="utf-8").splitlines()
        assert Path(folder) == tmp_path
        assert told == "4"

    def test_no_more_than_asked_for_at_a_time(self, engine: Engine, tmp_path: Path) -> None:
        heard = Heard()
        with engine.executor(1, ROOMY, heard.say, heard.point, queued=1) as executor:
            for seed in range(2):
                while not executor.free:
                    list(executor.ended())
                executor.start(seed, make_task("go_well", tmp_path, seed=seed, seconds=1.0))
            assert {ended.number for ended in drain(executor)} <= {0, 1}
        spans = sorted(tuple(map(float, (tmp_path / f"span-{seed}").read_text().split())) for seed in range(2))
        assert spans[0][1] <= spans[1][0], "two tasks at once where one was asked for"

    def test_limits_of_time_and_memory(self, engine: Engine, tmp_path: Path) -> None:
        heard = Heard()
        for work, limits, state, word in (
            ("never_end", Limits(2.0, 64 * 2**30), "timed out", "--timeout"),
            ("eat_memory", Limits(None, 2 * 2**30), "out of memory", "--memory"),
        ):
            with engine.executor(1, limits, heard.say, heard.point) as executor:
                executor.start(0, make_task(work, tmp_path))
                (ended,) = drain(executor)
            assert ended.outcome is not None
            assert ended.outcome.state == state
            assert word in ended.outcome.reason
            assert not ended.stored
        assert not at_work(tmp_path / "child")

    def test_what_is_given_up_ends_with_its_children_and_can_be_started_again(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        heard = Heard()
        with engine.executor(1, ROOMY, heard.say, heard.point) as executor:
            executor.start(0, make_task("never_end", tmp_path))
            assert not list(drain(executor, (tmp_path / "began").exists))
            executor.give_up(0, "pruned", "not good enough")
            (ended,) = drain(executor)
            assert ended.outcome is not None
            assert (ended.outcome.state, ended.outcome.reason) == ("pruned", "not good enough")
            assert ended.outcome.run_id == "run-endless"
            assert not at_work(tmp_path / "child")
            executor.start(0, make_task("never_end", tmp_path))
            (again,) = drain(executor)
        assert again.outcome is not None
        assert again.outcome.reason == "resumed"

    def test_stop_ends_everything(self, engine: Engine, tmp_path: Path) -> None:
        heard = Heard()
        with engine.executor(1, ROOMY, heard.say, heard.point) as executor:
            executor.start(0, make_task("never_end", tmp_path))
            assert not list(drain(executor, (tmp_path / "began").exists))
            (ended,) = executor.stop()
            assert not executor.busy
        assert ended.outcome is not None
        assert ended.outcome.state == "interrupted"
        assert not at_work(tmp_path / "child")
        assert not at_work(tmp_path / "began")


def at_work(file: Path) -> bool:
    """Whether the process whose number is in the file is there, after some time to end."""
    number = int(file.read_text(encoding="utf-8"))
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
            return False
        time.sleep(0.1)
    return True
