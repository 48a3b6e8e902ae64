"""A day of listening at full speed: does memory grow, is a hop lost, does time drift?

    python -m benchmarks.soak [BUNDLE] [--hours 24]

Pushes speech and quiet in turn, 0.1 s at a time, as a microphone would; every result's time is held against its place
in the stream. Writes benchmarks/results/soak.json; exit code 1 if a hop is missing, time drifts or memory grows.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.results import add_row
from benchmarks.stream_systems import RATE, endless, rss_mb
from benchmarks.streaming import QUIET_ROOM, SPEECH
from crnn.config import InputError, require
from edge.bundle import PRETRAINED, Bundle
from edge.sources import CHUNK_SECONDS, from_file
from edge.streaming import StreamingRecognizer

OUT = Path("benchmarks/results/soak.json")
GROWTH_MB = 1.0
"""Resident memory that may come between the first hour and the last"""


def soak(recognizer: StreamingRecognizer, audio: np.ndarray, hours: float) -> dict:
    """Push `hours` of `audio`, round and round, and say what was seen."""
    g, chunk = recognizer.geometry, round(CHUNK_SECONDS * RATE)
    n_chunks = max(1, round(hours * 3600 / CHUNK_SECONDS))
    early = min(n_chunks // 4, round(3600 / CHUNK_SECONDS))
    first = g.first_samples - g.lead_samples
    pushed = hops = decisions = misplaced = most_waiting = 0
    early_mb, by_hour = 0.0, []
    start = time.perf_counter()
    for number, samples in enumerate(endless(audio, chunk)):
        if number == early:
            early_mb = rss_mb("VmRSS")
        if number and number % round(3600 / CHUNK_SECONDS) == 0:
            by_hour.append(round(rss_mb("VmRSS"), 2))  # steps that end are an allocator's, a slope is a leak
        last = number == n_chunks
        for result in recognizer.flush() if last else recognizer.push(samples):
            misplaced += result.seconds != (first + hops * g.hop_samples) / RATE
            decisions += result.logits is not None and bool(np.isfinite(result.logits).all())
            hops += 1
        if last:
            break
        pushed += chunk
        most_waiting = max(most_waiting, pushed - (first + (hops - 1) * g.hop_samples)) if hops else 0
    covered = first + (hops - 1) * g.hop_samples
    return {
        "hours": pushed / RATE / 3600,
        "hops_expected": g.n_hops(pushed),
        "hops": hops,
        "decisions": int(decisions),
        "misplaced": int(misplaced),
        "drift_s": (covered - pushed - g.padding(pushed)[1]) / RATE,
        "longest_wait_s": most_waiting / RATE,
        "early_hours": early * CHUNK_SECONDS / 3600,
        "rss_mb_early": round(early_mb, 2),
        "rss_mb_by_hour": by_hour,
        "rss_mb_end": round(rss_mb("VmRSS"), 2),
        "rss_mb_peak": round(rss_mb(), 2),
        "rtf": round((time.perf_counter() - start) / (pushed / RATE), 6),
    }


def problems(row: dict, window_hops: int, hop_seconds: float) -> list[str]:
    """What is wrong with a soak's row, in words; none if it passes."""
    checks = {
        f"{row['hops']} hops where {row['hops_expected']} were due": row["hops"] == row["hops_expected"],
        f"{row['decisions']} finite decisions": row["decisions"] == row["hops"] - window_hops + 1,
        f"{row['misplaced']} results at another time than theirs": row["misplaced"] == 0,
        f"time drifted by {row['drift_s']} s": row["drift_s"] == 0,
        f"audio waited {row['longest_wait_s']} s": row["longest_wait_s"] < hop_seconds,
        f"memory grew from {row['rss_mb_early']} to {row['rss_mb_end']} MB": row["rss_mb_end"]
        <= row["rss_mb_early"] + GROWTH_MB,
    }
    return [words for words, sound in checks.items() if not sound]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path, default=PRETRAINED, help="default: the int8 model that ships")
    parser.add_argument("--hours", type=float, default=24, help="of audio (default: 24)")
    parser.add_argument("--runtime", help="default: the bundle's first that is installed")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    try:
        require(args.hours > 0, f"--hours {args.hours}: give more than 0")
        bundle = Bundle.open(args.bundle)
        runtime = args.runtime or bundle.default_runtime()
        recognizer = bundle.recognizer(runtime)
        speech = np.concatenate(list(from_file(SPEECH, RATE)))
        quiet = np.random.default_rng(0).normal(0, QUIET_ROOM, len(speech)).astype(np.float32)
        row = {"runtime": runtime} | soak(recognizer, np.concatenate([speech, quiet]), args.hours)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    add_row(args.out, row, ("runtime",))
    sys.stdout.write("  ".join(f"{key}={value}" for key, value in row.items()) + "\n")
    g = recognizer.geometry
    found = problems(row, g.window_hops, g.hop_samples / RATE)
    for words in found:
        sys.stderr.write(f"FAILED: {words}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
