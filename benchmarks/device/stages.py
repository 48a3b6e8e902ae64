"""Time of the parts of one interval: features, encoder, head, everything else; streamed and recomputed.

    python -m benchmarks.device.stages [BUNDLE] [--rounds N]

One thread; a figure is the median over the rounds. Writes benchmarks/results/stages.json.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.device.counted_parts import PARTS
from benchmarks.device.stream_systems import OursRecompute
from benchmarks.device.streaming import whole_window_encoder
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from edge import runtimes
from edge.bundle import PRETRAINED, Bundle
from edge.stream.recognizer import StreamingRecognizer

OUT = Path("benchmarks/results/stages.json")
WARM_UP = 4
"""Intervals after the first window that are not timed"""


class Stopwatch:
    """A model, or the features, with the time of every call."""

    def __init__(self, part: object) -> None:
        self._call, self.contract, self.seconds = getattr(part, "run", part), getattr(part, "contract", None), []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        start = time.perf_counter()
        made = self._call(x)
        self.seconds.append(time.perf_counter() - start)
        return made

    run = __call__


def timed_parts(system: object) -> dict[str, Stopwatch]:
    """The parts of a recognizer, each replaced by one that is timed."""
    parts = {name: Stopwatch(getattr(system, f"_{name}")) for name in PARTS}
    for name, part in parts.items():
        setattr(system, f"_{name}", part)
    return parts


def stages(recognizer: StreamingRecognizer, rounds: int) -> dict[str, float]:
    """Median seconds of an interval and of its parts, measured inside the stream."""
    parts, g, whole = timed_parts(recognizer), recognizer.geometry, []
    samples = (0.05 * np.random.default_rng(0).standard_normal(g.interval_samples)).astype(np.float32)
    for _ in range(g.window_intervals + WARM_UP + rounds):
        start = time.perf_counter()
        recognizer.push(samples)
        whole.append(time.perf_counter() - start)
    seconds = {"interval": whole[-rounds:]} | {name: part.seconds[-rounds:] for name, part in parts.items()}
    seconds["python"] = [interval - sum(rest) for interval, *rest in zip(*seconds.values(), strict=True)]
    return {name: statistics.median(values) for name, values in seconds.items()}


def window_stages(bundle: Bundle, scratch: Path, rounds: int) -> dict[str, float]:
    """Median seconds of the same parts if every window is recomputed, with the files of the streaming benchmark."""
    whole_window_encoder(bundle, scratch / "encoder.onnx")
    system = OursRecompute(bundle.path, "onnx", scratch)
    parts = timed_parts(system)
    samples = 0.05 * np.random.default_rng(0).standard_normal(bundle.manifest.geometry.window_samples)
    for _ in range(rounds):
        system.decide(samples.astype(np.float32))
    return {name: statistics.median(part.seconds) for name, part in parts.items()}


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path, default=PRETRAINED, help="default: the int8 model that ships")
    parser.add_argument("--rounds", type=int, default=200, help="timed intervals (default: 200)")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    bundle, rows = Bundle.open(args.bundle), []
    for runtime in bundle.manifest.models:
        if not runtimes.installed(runtime):
            sys.stderr.write(f"skipped {runtime}: not installed\n")
            continue
        median = stages(bundle.recognizer(runtime), args.rounds)
        rows += [
            {"part": part, "system": runtime, "us": _us(seconds), "share": round(seconds / median["interval"], 3)}
            for part, seconds in median.items()
        ]
    with tempfile.TemporaryDirectory() as scratch:
        again = window_stages(bundle, Path(scratch), args.rounds)
    rows += [{"part": part, "system": "recomputed", "us": _us(seconds)} for part, seconds in again.items()]
    for row in rows:
        add_row(args.out, row, ("part", "system"))
        sys.stdout.write("  ".join(f"{key}={value}" for key, value in row.items()) + "\n")
    return 0


def _us(seconds: float) -> float:
    return round(1e6 * seconds, 1)


if __name__ == "__main__":
    sys.exit(main())
