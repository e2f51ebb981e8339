"""A real SLURM of one node, from Debian's packages, on which runs are done, requeued, cancelled and killed for memory.

    sudo apt-get install slurmctld slurmd slurm-client munge
    sudo python measurements/slurm_one_node.py

Controller and node daemon are started in a folder of their own and ended afterwards; the machine's own configuration is
not touched. Needs root, for the node daemon does.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark.running.executors.executor import Ended, no_curve
from benchmark.running.executors.sample_works import make_task
from benchmark.running.executors.slurm import SlurmEngine
from benchmark.running.executors.slurm_options import SlurmOptions
from benchmark.running.executors.slurm_states import states_of
from benchmark.running.limits import Limits

ROOMY = Limits(None, 64 * 2**30)
NEEDED = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "munged")


class Slurm:
    """A controller and one node on the loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._daemons = folder, list[subprocess.Popen[bytes]]()
        lacking = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
        if lacking or os.getuid():
            sys.exit(
                f"needs root and Debian's slurmctld slurmd slurm-client munge; missing: {', '.join(lacking) or '-'}"
            )
        host = socket.gethostname().partition(".")[0]
        ports = [free_port() for _ in range(2)]
        for name in ("state", "spool", "log"):
            (folder / name).mkdir()
        settings = {
            "ClusterName": "bench",
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmUser": "root",
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={folder / 'munge.socket'}",
            "CryptoType": "crypto/munge",
            "SlurmctldPort": ports[0],
            "SlurmdPort": ports[1],
            "StateSaveLocation": folder / "state",
            "SlurmdSpoolDir": folder / "spool",
            "SlurmctldPidFile": folder / "slurmctld.pid",
            "SlurmdPidFile": folder / "slurmd.pid",
            "SlurmctldLogFile": folder / "log" / "slurmctld",
            "SlurmdLogFile": folder / "log" / "slurmd",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core",
            "JobAcctGatherType": "jobacct_gather/none",
            "AccountingStorageType": "accounting_storage/none",
            "MpiDefault": "none",
            "ReturnToService": 2,
            "KillWait": 5,
            "MinJobAge": 300,
            "SchedulerParameters": "sched_interval=1,batch_sched_delay=0",
            "NodeName": f"{host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN",
            "PartitionName": f"main Nodes={host} Default=YES MaxTime=INFINITE State=UP",
        }
        (folder / "slurm.conf").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        os.environ |= {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        self._munge()
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D")
        deadline = time.monotonic() + 60
        while "idle" not in self.said("sinfo", "--noheader", "--format=%T"):
            if time.monotonic() > deadline:
                sys.exit(
                    "the node does not come up:\n" + "".join(file.read_text() for file in (folder / "log").iterdir())
                )
            time.sleep(0.5)

    def _munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self.folder.chmod(0o755)
        files = {"key-file": key, "socket": self.folder / "munge.socket", "pid-file": self.folder / "munge.pid"}
        files |= {"log-file": self.folder / "munge.log", "seed-file": self.folder / "munge.seed"}
        self._start("munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in files.items()))
        deadline = time.monotonic() + 20
        while not (self.folder / "munge.socket").exists() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _start(self, *words: str) -> None:
        log = (self.folder / "log" / f"{words[0]}.out").open("wb")
        self._daemons.append(subprocess.Popen(words, stdout=log, stderr=log))

    def said(self, *words: str) -> str:
        """What a command of SLURM prints."""
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    def stop(self) -> None:
        """End jobs and daemons."""
        subprocess.run(["scancel", "--me"], capture_output=True, check=False)
        time.sleep(1)
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def show(name: str, began: float, ended: Ended) -> None:
    """One line of the report."""
    outcome = ended.outcome
    told = f"{outcome.state} {outcome.reason}".strip() if outcome is not None else f"done by {ended.holder}"
    print(f"{name:44} {time.monotonic() - began:6.1f} s   {told}", flush=True)


def main() -> None:
    """Start SLURM, do the jobs, say what came of them."""
    folder = Path(tempfile.mkdtemp(prefix="bench-slurm-", dir="/tmp"))
    slurm = Slurm(folder)
    print(slurm.said("sinfo", "--version").strip(), "|", slurm.said("sinfo", "--noheader").strip())
    work = folder / "work"
    work.mkdir()

    def engine(**options: object) -> SlurmEngine:
        return SlurmEngine(SlurmOptions(folder=work / "jobs", **options))  # type: ignore[arg-type]

    try:
        began = time.monotonic()
        with engine().executor(2, ROOMY, lambda *_: None, no_curve, queued=2) as executor:
            for seed in range(4):
                executor.start(seed, make_task("go_well" if seed != 1 else "raise_an_error", work, seed=seed))
            while executor.busy:
                for ended in executor.ended():
                    show(f"array of 4, two at a time: task {ended.number}", began, ended)
        began = time.monotonic()
        with engine().executor(1, ROOMY, lambda *_: None, no_curve) as executor:
            executor.start(0, make_task("never_end", work))
            requeued = False
            while executor.busy:
                for ended in executor.ended():
                    show("requeued while at work (scontrol requeue)", began, ended)
                if not requeued and (work / "began").exists():
                    (job,) = [job for job, state in states_of([]).items() if state == "RUNNING"]
                    requeued = subprocess.run(["scontrol", "requeue", job], check=True).returncode == 0
                    print(f"{'':44} {time.monotonic() - began:6.1f} s   job {job} is requeued by the administrator")
        (work / "began").unlink()
        began = time.monotonic()
        with engine(slurm_time=2, slurm_signal_delay_s=100).executor(1, ROOMY, lambda *_: None, no_curve) as executor:
            executor.start(0, make_task("never_end", work))
            while executor.busy:
                for ended in executor.ended():
                    show("time limit, warned by USR2 (slurm_time: 2)", began, ended)
        (work / "began").unlink()
        began = time.monotonic()
        with engine().executor(1, ROOMY, lambda *_: None, no_curve) as executor:
            executor.start(0, make_task("never_end", work))
            while not (work / "began").exists():
                list(executor.ended())
            for ended in executor.stop():
                show("Ctrl-C", began, ended)
        (work / "began").unlink()
        began = time.monotonic()
        with engine().executor(1, ROOMY, lambda *_: None, no_curve) as executor:
            executor.start(0, make_task("never_end", work))
            while not (work / "began").exists():
                list(executor.ended())
            (job,) = executor.leave()
        print(f"{'left (--detach)':44} {time.monotonic() - began:6.1f} s   {engine().states([job])}")
        engine().cancel(job)
        while engine().states([job]).get(job) in ("RUNNING", "COMPLETING"):
            time.sleep(0.5)
        print(f"{'cancelled (bench jobs cancel)':44} {time.monotonic() - began:6.1f} s   {engine().states([job])}")
    finally:
        slurm.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
