"""A day of audio at full speed: checks that memory does not grow, no decision is lost and time does not drift.

    python -m benchmarks.device.soak [BUNDLE] [--hours 24] [--what loop]

Pushes speech and silence in turn, in blocks of 0.1 s like a microphone. `stream`: the exact stream alone, without a
VAD; the time of every result is compared with its position. `loop`: the whole recognition loop; the audio repeats,
so the events of every round must equal those of the one before, later by the length of a round. Writes
benchmarks/results/soak.json; exit code 1 if anything is missing, time drifts or memory grows.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.device.stream_systems import RATE, endless
from benchmarks.device.streaming import QUIET_ROOM, SPEECH
from benchmarks.harness.process_status import rss_mb
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.errors import require
from edge.audio.events import AudioEvent
from edge.audio.sources import CHUNK_SECONDS, from_file
from edge.audio.vad import make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.loop.events import Event
from edge.loop.listening import listen
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.recognizer import StreamingRecognizer
from edge.stream.results import Segment, StreamResult

OUT = Path("benchmarks/results/soak.json")
GROWTH_MB = 1.0
"""Allowed growth of resident memory between the first hour and the last"""


def soak(recognizer: StreamingRecognizer, audio: np.ndarray, hours: float) -> dict:
    """Push `hours` of `audio`, repeated, and return the figures."""
    g, chunk = recognizer.geometry, round(CHUNK_SECONDS * RATE)
    n_chunks = max(1, round(hours * 3600 / CHUNK_SECONDS))
    early = min(n_chunks // 4, round(3600 / CHUNK_SECONDS))
    first = g.first_samples - g.lead_samples
    pushed = intervals = decisions = misplaced = most_waiting = 0
    early_mb, by_hour = 0.0, []
    start = time.perf_counter()
    for number, samples in enumerate(endless(audio, chunk)):
        if number == early:
            early_mb = rss_mb("VmRSS")
        if number and number % round(3600 / CHUNK_SECONDS) == 0:
            by_hour.append(round(rss_mb("VmRSS"), 2))  # an allocator grows in steps and stops; a leak grows steadily
        last = number == n_chunks
        for result in recognizer.flush() if last else recognizer.push(samples):
            misplaced += result.seconds != (first + intervals * g.interval_samples) / RATE
            decisions += result.logits is not None and bool(np.isfinite(result.logits).all())
            intervals += 1
        if last:
            break
        pushed += chunk
        most_waiting = max(most_waiting, pushed - (first + (intervals - 1) * g.interval_samples)) if intervals else 0
    covered = first + (intervals - 1) * g.interval_samples
    return {
        "hours": pushed / RATE / 3600,
        "intervals_expected": g.n_intervals(pushed),
        "intervals": intervals,
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


class Repeats:
    """A sink that compares every round of events with the second; the silence before the first is another."""

    def __init__(self, round_seconds: float) -> None:
        self._seconds = round_seconds
        self._model: list[tuple[float, StreamResult | Segment]] = []
        self._round = self._at = 0
        self.rounds = self.intervals = self.segments = self.missing = self.misplaced = self.different = 0

    def write(self, seconds: float, event: Event) -> None:
        if isinstance(event, AudioEvent):
            return
        began = event.start_seconds if isinstance(event, Segment) else event.seconds
        number = int(began // self._seconds)
        if number != self._round:
            self._end_round()
            self._round, self._at = number, 0
        self.intervals += isinstance(event, StreamResult)
        self.segments += isinstance(event, Segment)
        if number == 1:
            self._model.append((began, event))
        elif number > 1:
            self._compare(began - (number - 1) * self._seconds, event)

    def _compare(self, began: float, event: StreamResult | Segment) -> None:
        if self._at < len(self._model):
            at, like = self._model[self._at]
            self.misplaced += abs(began - at) > 1e-6
            same = type(event) is type(like) and (event.probs is None) == (like.probs is None)
            if same and event.probs is not None:
                ours, theirs = (list(e.probs.values()) if isinstance(e, Segment) else e.probs for e in (event, like))
                same = np.allclose(ours, theirs, atol=1e-5)
            self.different += not same
        else:
            self.different += 1
        self._at += 1

    def _end_round(self) -> None:
        self.rounds += 1
        if self._round > 1:
            self.missing += max(0, len(self._model) - self._at)

    def close(self) -> None:
        pass


def soak_loop(recognizer: UtteranceRecognizer, audio: np.ndarray, hours: float) -> dict:
    """Process `hours` of `audio`, repeated, with the whole loop, and return the figures."""
    chunk = round(CHUNK_SECONDS * RATE)
    audio = audio[: len(audio) // chunk * chunk]
    per_hour, per_round = round(3600 / CHUNK_SECONDS), len(audio) // chunk
    n_chunks = max(1, round(hours * per_hour / per_round)) * per_round  # whole rounds: a cut one ends with other events
    sink = Repeats(len(audio) / RATE)
    early, by_hour = [], []
    start = time.perf_counter()

    def source() -> Iterator[np.ndarray]:
        for number, samples in zip(range(n_chunks), endless(audio, chunk), strict=False):
            if number == min(n_chunks // 4, per_hour):
                early.append(rss_mb("VmRSS"))
            if number and number % per_hour == 0:
                by_hour.append(round(rss_mb("VmRSS"), 2))
            yield samples

    counted = listen(source(), recognizer, sink)
    return {
        "hours": n_chunks * CHUNK_SECONDS / 3600,
        "rounds": sink.rounds,
        "intervals": counted.results,
        "segments": counted.segments,
        "missing": sink.missing,
        "misplaced": sink.misplaced,
        "different": sink.different,
        "drift_s": round(counted.seconds_processed - n_chunks * CHUNK_SECONDS, 6),
        "early_hours": min(n_chunks // 4, per_hour) * CHUNK_SECONDS / 3600,
        "rss_mb_early": round(early[0], 2),
        "rss_mb_by_hour": by_hour,
        "rss_mb_end": round(rss_mb("VmRSS"), 2),
        "rss_mb_peak": round(rss_mb(), 2),
        "rtf": round((time.perf_counter() - start) / (n_chunks * CHUNK_SECONDS), 6),
    }


def loop_problems(row: dict) -> list[str]:
    """The failures of a soak of the loop, in words; none if it passes."""
    checks = {
        f"only {row['rounds']} rounds: too short to compare": row["rounds"] >= 3,
        f"{row['missing']} events of later rounds are missing": row["missing"] == 0,
        f"{row['misplaced']} events at another time than theirs": row["misplaced"] == 0,
        f"{row['different']} events unlike those of the second round": row["different"] == 0,
        f"time drifted by {row['drift_s']} s": row["drift_s"] == 0,
        f"memory grew from {row['rss_mb_early']} to {row['rss_mb_end']} MB": row["rss_mb_end"]
        <= row["rss_mb_early"] + GROWTH_MB,
    }
    return [words for words, sound in checks.items() if not sound]


def problems(row: dict, window_intervals: int, interval_seconds: float) -> list[str]:
    """The failures of a soak's row, in words; none if it passes."""
    checks = {
        f"{row['intervals']} intervals where {row['intervals_expected']} were due": row["intervals"]
        == row["intervals_expected"],
        f"{row['decisions']} finite decisions": row["decisions"] == row["intervals"] - window_intervals + 1,
        f"{row['misplaced']} results at another time than theirs": row["misplaced"] == 0,
        f"time drifted by {row['drift_s']} s": row["drift_s"] == 0,
        f"audio waited {row['longest_wait_s']} s": row["longest_wait_s"] < interval_seconds,
        f"memory grew from {row['rss_mb_early']} to {row['rss_mb_end']} MB": row["rss_mb_end"]
        <= row["rss_mb_early"] + GROWTH_MB,
    }
    return [words for words, sound in checks.items() if not sound]


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path, default=PRETRAINED, help="default: the int8 model that ships")
    parser.add_argument("--hours", type=float, default=24, help="of audio (default: 24)")
    parser.add_argument("--what", choices=("loop", "stream"), default="loop", help="default: loop")
    parser.add_argument("--runtime", help="default: the bundle's first that is installed")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    require(args.hours > 0, f"--hours {args.hours}: give more than 0")
    bundle = Bundle.open(args.bundle)
    runtime = args.runtime or bundle.default_runtime()
    recognizer = bundle.recognizer(runtime)
    speech = np.concatenate(list(from_file(SPEECH, RATE)))
    quiet = np.random.default_rng(0).normal(0, QUIET_ROOM, len(speech)).astype(np.float32)
    audio = np.concatenate([speech, quiet])
    row = {"runtime": runtime, "what": args.what}
    if args.what == "loop":
        row |= soak_loop(UtteranceRecognizer(recognizer, make_vad("energy", RATE)), audio, args.hours)
        found = loop_problems(row)
    else:
        g = recognizer.geometry
        row |= soak(recognizer, audio, args.hours)
        found = problems(row, g.window_intervals, g.interval_samples / RATE)
    add_row(args.out, row, ("runtime", "what"))
    sys.stdout.write("  ".join(f"{key}={value}" for key, value in row.items()) + "\n")
    for words in found:
        sys.stderr.write(f"FAILED: {words}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
