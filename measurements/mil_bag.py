"""A bag of 50 000 × 512 features: seconds and memory of one forward and backward pass of every pooling.

    OMP_NUM_THREADS=2 python measurements/mil_bag.py [--only TransMIL] [--passes 3] [--threads 2]

Each pooling has a process of its own. `seconds`: the quickest of the passes; `CPU seconds`: processor time of that
pass over all threads, of which half is what two free cores would take; `GiB`: the highest resident memory, less that
of the process before it made the bag.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

INSTANCES, DIM = 50_000, 512
LIMIT_SECONDS, LIMIT_GIB = 5.0, 2.0
NAMES = ("mean", "max", "attention, gated", "attention, plain", "CLAM", "TransMIL", "DSMIL", "DSMIL, repository")


def poolings() -> dict:
    from benchmark.learning.mil.clam_pooling import ClamPooling
    from benchmark.learning.mil.dsmil_pooling import DsmilPooling, RepositoryDsmilPooling
    from benchmark.learning.mil.pooling import AttentionPooling, MaxPooling, MeanPooling
    from benchmark.learning.mil.transmil_pooling import TransmilPooling

    kinds = (
        MeanPooling,
        MaxPooling,
        AttentionPooling,
        lambda dim: AttentionPooling(dim, gated=False),
        ClamPooling,
        TransmilPooling,
        DsmilPooling,
        RepositoryDsmilPooling,
    )
    return dict(zip(NAMES, kinds, strict=True))


def measure(name: str, number: int, threads: int) -> dict[str, float]:
    import torch

    from benchmark.learning.mil.mil_losses import bag_loss

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    pooling = poolings()[name](DIM)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    features, numbers = torch.randn(INSTANCES, DIM), torch.arange(INSTANCES)
    passes = []
    for _ in range(number):
        began, worked = time.perf_counter(), time.process_time()
        pooled = pooling(features, numbers)
        loss = bag_loss(pooled.logit, 1) + bag_loss(pooled.instance_logits.max(), 1)
        own = pooling.own_loss(pooled, 1)
        (loss if own is None else loss + own).backward()
        passes.append((time.perf_counter() - began, time.process_time() - worked))
        pooling.zero_grad()
        del pooled, loss, own
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, worked = min(passes)
    return {"seconds": seconds, "cpu": worked, "gib": (after - before) / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=NAMES, help="measure this one in the present process and print JSON")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="1 on a busy machine: waiting threads spin")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a limit is broken")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.passes, arguments.threads)))
        return
    print(f"{INSTANCES} × {DIM}, {arguments.threads} threads, load of the machine {os.getloadavg()[0]:.1f}\n")
    print("| pooling | seconds | CPU seconds | GiB |\n|---|---|---|---|")
    broken = []
    for name in NAMES:
        options = ["--passes", str(arguments.passes), "--threads", str(arguments.threads)]
        command = [sys.executable, __file__, "--only", name, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout)
        print(f"| {name} | {result['seconds']:.2f} | {result['cpu']:.2f} | {result['gib']:.2f} |", flush=True)
        if result["seconds"] > LIMIT_SECONDS or result["gib"] > LIMIT_GIB:
            broken.append(name)
    print(f"\nover {LIMIT_SECONDS} s or {LIMIT_GIB} GiB: {', '.join(broken) or 'none'}")
    sys.exit(bool(broken and arguments.check))


if __name__ == "__main__":
    main()
