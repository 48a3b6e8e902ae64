"""Work in batches: recordings to a table by two processes, and training beside the same model in plain PyTorch.

    python -m benchmarks.device.batch --work csv train

`csv`: two processes of `stream_infer.py --csv`, half of the recordings each. `train`: `train.py` with
`configs/recipe.yaml` on generated voices, in turns with `benchmarks.device.plain_training`. Everything is a process of
its own. A figure is the median over the rounds, memory is the largest resident set of a process. Writes
benchmarks/results/batch.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import soundfile

from benchmarks.device.streaming import ROOT, SPEECH, median_row
from benchmarks.harness.environment import measured
from benchmarks.harness.process_status import rss_mb
from benchmarks.harness.results import RESULTS, add_row
from crnn.cli.command import command
from crnn.errors import require
from crnn.synthetic import write_corpus

OUT = RESULTS / "batch.json"
PROCESSES = 2
WORK = ("csv", "train")
UNAUGMENTED = ("--augment.noise", "false", "--augment.room", "false", "--augment.copies", "1")
"""Both need recordings; copies are computed before the first step and are not counted"""
READ_SECONDS = 0.02
"""Between two readings of the memory, which never falls (VmHWM)"""


class Ran(NamedTuple):
    """What processes that ran at once have used."""

    seconds: float
    """Until the last has ended"""
    cpu_seconds: float
    """Of all together"""
    rss_mb: float
    """Largest resident set of one, MB (10^6 bytes)"""


def run_all(commands: list[list]) -> Ran:
    """Run the commands at once.

    Raises InputError with the end of what a command printed if it fails.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        children = [
            subprocess.Popen(
                [sys.executable, *map(str, command)],
                cwd=ROOT,
                env=measured(),
                stdout=printed,
                stderr=printed,
            )
            for command in commands
        ]
        largest = largest_set([child.pid for child in children])
        ends = [os.wait4(child.pid, 0) for child in children]
        seconds = time.perf_counter() - start
        for child, (_, status, _) in zip(children, ends, strict=True):
            child.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        failed = [child.args for child in children if child.returncode]
        require(not failed, f"{failed}: failed: {printed.read()[-500:]}")
    used = [usage for *_, usage in ends]
    cpu_seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    return Ran(seconds, cpu_seconds, largest)


def largest_set(children: list[int]) -> float:
    """The largest resident set of one of these processes, MB, read until all of them have ended."""
    largest, running = 0.0, set(children)
    while running:
        for child in [*running]:
            try:
                largest = max(largest, rss_mb("VmHWM", child))
            except LookupError:
                running.remove(child)
        time.sleep(READ_SECONDS)
    return largest


def csv_turn(files: int, folder: Path) -> dict[str, float]:
    """Hours of recordings per minute: copies of the clip that ships, which no process has seen before."""
    clips = [folder / f"{number}{SPEECH.suffix}" for number in range(files)]
    for clip in clips:
        shutil.copyfile(SPEECH, clip)
    halves = [clips[first::PROCESSES] for first in range(PROCESSES)]
    tables = [folder / f"{number}.csv" for number in range(PROCESSES)]
    commands = [
        ["stream_infer.py", *half, "--csv", table, "--vad", "energy"]
        for half, table in zip(halves, tables, strict=True)
    ]
    ran = run_all(commands)
    rate = files * soundfile.info(SPEECH).duration / 60  # hours of audio, times 60 s in a minute
    return {
        "hours_per_minute": rate / ran.seconds,
        "hours_per_cpu_minute": rate / ran.cpu_seconds,
        "rss_mb": ran.rss_mb,
    }


def train_turn(clips: int, corpus: Path, folder: Path) -> dict[str, float]:
    """Clips per second, as the run folder states them, beside those of plain PyTorch, and the memory of both."""
    settings = ["--config", "configs/recipe.yaml", "--protocol", "synthetic-demo", "--data", f"synthetic:{corpus}"]
    length = ["--optim.epochs", 1, "--optim.eval_every", 1, "--optim.epoch_clips", clips, "--test", "false"]
    trained = run_all([["train.py", *settings, *length, *UNAUGMENTED, "--out", folder / "run"]])
    plain = folder / "plain.json"
    alone = run_all([["-m", "benchmarks.device.plain_training", "--clips", clips, "--out", plain]])
    ours = json.loads((folder / "run" / "metrics.json").read_text())["training"]
    plain_rate = json.loads(plain.read_text())["clips_per_second"]
    return {
        "clips_per_second": ours["utterances_per_second"],
        "data_wait_share": ours["data_wait_share"],
        "rss_mb": trained.rss_mb,
        "plain_clips_per_second": plain_rate,
        "plain_rss_mb": alone.rss_mb,
        "of_plain": ours["utterances_per_second"] / plain_rate,
    }


def measure(work: str, rounds: int, size: int) -> dict:
    """Medians, key by key, to four digits. `size`: recordings or clips of a turn."""
    turns = []
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus"
        if work == "train":
            write_corpus(corpus, takes=1)
        for number in range(rounds):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            turns.append(csv_turn(size, folder) if work == "csv" else train_turn(size, corpus, folder))
    return median_row(turns)


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="+", choices=WORK, default=WORK, help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="turns (default: 3)")
    parser.add_argument("--files", type=int, default=100, help="recordings of a turn of csv (default: 100)")
    parser.add_argument("--clips", type=int, default=640, help="clips of a turn of train (default: 640)")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    require(args.rounds >= 1, f"--rounds {args.rounds}: give at least 1")
    require(args.files >= PROCESSES, f"--files {args.files}: give at least {PROCESSES}")
    require(args.clips >= 1, f"--clips {args.clips}: give at least 1")
    sizes = {"csv": ("files", args.files), "train": ("clips", args.clips)}
    for work in args.work:
        what, size = sizes[work]
        row = {"work": work, "rounds": args.rounds, what: size} | measure(work, args.rounds, size)
        add_row(args.out, row, ("work",))
        sys.stdout.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
