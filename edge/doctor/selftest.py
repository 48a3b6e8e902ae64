"""Runs a bundle on this machine: opens it, replays its golden values and measures the speed of the stream.

The doctor starts this as a child process (`python -m edge.doctor.selftest BUNDLE RUNTIME`), so that a runtime that
crashes does not end the doctor.
"""

import argparse
import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from crnn.cli.command import command
from edge.bundle import Bundle

DECISIONS = 100


@dataclass(frozen=True)
class SelfTest:
    """The measurements of one runtime, on 1 thread."""

    runtime: str
    scheme: str
    """Of the files (`edge.bundle.ModelFiles`)"""
    startup_s: float
    """Opening the bundle, loading the models and replaying the golden values, s"""
    hop_seconds: float
    """s of audio between decisions; in the JSON of the doctor under the name of the version before"""
    latency_ms_p50: float
    """ms of computing per decision, median"""
    latency_ms_p95: float
    """Likewise, 95th percentile"""
    rtf: float
    """Compute time / audio time"""
    rss_mb: float
    """Peak memory of the process, MiB"""


def self_test(path: Path, runtime: str, decisions: int = DECISIONS) -> SelfTest:
    """Open the bundle under `runtime` and time `decisions` decisions of its stream once the window is full.

    Raises InputError, naming it, if the bundle or the runtime is at fault.
    """
    start = time.perf_counter()
    bundle = Bundle.open(path)
    recognizer = bundle.recognizer(runtime, threads=1)
    startup = time.perf_counter() - start
    g, rate = recognizer.geometry, recognizer.features.sample_rate
    noise = np.random.default_rng(0)
    recognizer.push(0.01 * noise.standard_normal(g.window_samples))
    taken = []
    for _ in range(decisions):
        samples = (0.01 * noise.standard_normal(g.interval_samples)).astype(np.float32)
        start = time.perf_counter()
        recognizer.push(samples)
        taken.append(time.perf_counter() - start)
    return SelfTest(
        runtime=runtime,
        scheme=bundle.manifest.model_files(runtime).scheme,
        startup_s=startup,
        hop_seconds=g.interval_samples / rate,
        latency_ms_p50=1000 * float(np.percentile(taken, 50)),
        latency_ms_p95=1000 * float(np.percentile(taken, 95)),
        rtf=sum(taken) / (decisions * g.interval_samples / rate),
        rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge.doctor.selftest", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("runtime")
    args = parser.parse_args(argv)
    sys.stdout.write(json.dumps(asdict(self_test(args.bundle, args.runtime))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
