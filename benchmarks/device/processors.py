"""Compare the answers of emulated processors: stream the clip that ships through the whole loop on each.

    python -m benchmarks.device.processors [--arm64 FOLDER] [--bundles NAME ...]

The small bundles that ship, or those that are named, under every runtime they have files for, on: this machine; x86
processors with AVX2 and no VNNI (valgrind, and QEMU's Haswell) and with SSE4 alone (QEMU's Nehalem); the cores of the
Raspberry Pi Zero 2 / 3, 4 and 5 (FOLDER is made by benchmarks/device/arm64_system.sh). One process on each opens every
bundle, which replays its golden values, and streams the clip (benchmarks/device/answers.py). Emulated times are
meaningless. Writes a row per processor, bundle and runtime to benchmarks/results/processors.json. Exit code 1 if a
result has another emotion or state, or if a probability differs by more than LIMIT.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.environment import measured
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.errors import require
from edge.bundle import PRETRAINED, Bundle
from edge.bundle.golden import MODEL_TOLERANCE as LIMIT
from edge.runtimes import installed

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path("benchmarks/results/processors.json")
CLIP = PRETRAINED.parent / "synthetic_voice.flac"
BUNDLES = ("int8", "float32")
TIMEOUT_SECONDS = 1800
Case = tuple[str, str]
"""Bundle and runtime"""


@dataclass(frozen=True)
class Processor:
    """A processor that can run programs here, in emulation or directly."""

    name: str
    int8_path: str
    """Instructions with which it adds 8-bit products"""
    command: tuple[str, ...]
    """Starts a Python that has the runtimes"""


def emulated(arm64: Path | None) -> Iterator[Processor]:
    """The processors that can be emulated here; `arm64` is a folder of arm64_system.sh."""
    shown = [
        ("AVX2 (valgrind)", "AVX2 without VNNI", ("valgrind", "--tool=none", "-q")),
        ("Haswell (QEMU)", "AVX2 without VNNI", ("qemu-x86_64-static", "-cpu", "Haswell")),
        ("Nehalem (QEMU)", "SSE4", ("qemu-x86_64-static", "-cpu", "Nehalem")),
    ]
    if os.uname().machine == "x86_64":
        for name, path, before in shown:
            if shutil.which(before[0]):
                yield Processor(name, path, (*before, sys.executable))
    cores = {"cortex-a53": "ARM NEON", "cortex-a72": "ARM NEON", "cortex-a76": "ARM dot product"}
    for core, path in cores.items():
        if arm64 and (arm64 / core).is_file():
            yield Processor(f"{core} (QEMU)", path, (str(arm64 / core),))


def stream(
    python: tuple[str, ...], cases: Iterable[Case], recording: Path = CLIP, opened: Iterable[Case] = ()
) -> dict[Case, list[dict]]:
    """The events of the recording for each case, as `stream_infer.py --json --decisions` gives them, from one process,
    which also opens the cases of `opened`.

    Raises SystemExit if it fails, as where golden values do not hold.
    """
    names, only_opened = ([":".join(case) for case in each] for each in (cases, opened))
    more = ["--open", *only_opened] if only_opened else []
    done = subprocess.run(
        [*python, "-m", "benchmarks.device.answers", str(recording), *names, *more],
        cwd=ROOT,
        env=measured(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"error: {' '.join(python)}: {done.stderr.strip() or done.returncode}")
    answers: dict[Case, list[dict]] = {}
    for line in map(json.loads, done.stdout.splitlines()):
        if "bundle" in line:
            events = answers[line["bundle"], line["runtime"]] = []
        else:
            events.append(line)
    return answers


def differences(ours: list[dict], theirs: list[dict]) -> dict:
    """Largest difference of a probability, and share of results with another emotion.

    >>> say = {"type": "hop", "seconds": 1, "state": "deciding", "emotion": "sad", "probs": {"sad": 0.6, "happy": 0.4}}
    >>> other = say | {"emotion": "happy", "probs": {"sad": 0.5, "happy": 0.5}}
    >>> found = differences([say, say], [say, other])
    >>> round(found["max_abs_diff"], 3), found["flip_rate"], found["n_decisions"]
    (0.1, 0.5, 2)
    """
    if [without_answer(event) for event in ours] != [without_answer(event) for event in theirs]:
        raise SystemExit("error: the two streams differ in their decisions, states or segments")
    decided = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.get("probs")]
    return {
        "max_abs_diff": max(abs(a["probs"][name] - b["probs"][name]) for a, b in decided for name in a["probs"]),
        "flip_rate": sum(a["emotion"] != b["emotion"] for a, b in decided) / len(decided),
        "n_decisions": len(decided),
    }


def without_answer(event: dict) -> tuple:
    """The identity of an event, without its answer."""
    return (*(event.get(key) for key in ("type", "seconds", "state", "start_seconds", "verdict")), "probs" in event)


def identities(bundles: Iterable[str] = BUNDLES) -> dict[str, str]:
    """Bundle that ships -> SHA-256 over its files, by which a transcript names its bundle."""
    return {name: Bundle.open(PRETRAINED.parent / name).manifest.identity for name in bundles}


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--arm64", type=Path, metavar="FOLDER", help="made by benchmarks/device/arm64_system.sh")
    parser.add_argument(
        "--bundles", nargs="+", default=BUNDLES, help="folders of edge/pretrained; default: %(default)s"
    )
    args = parser.parse_args(argv)
    require(
        args.arm64 is None or args.arm64.is_dir(), f"--arm64 {args.arm64}: no such folder; make it by arm64_system.sh"
    )
    failed = False
    known = identities(args.bundles)
    for name, identity in known.items():
        sys.stdout.write(f"bundle {name}: {identity}\n")
    head = f"{'processor':20} {'bundle':8} {'runtime':8} {'decisions':>9} {'flips':>6} {'max difference':>15}"
    sys.stdout.write(head + "\n")
    cases = [
        (bundle, runtime)
        for bundle in args.bundles
        for runtime in Bundle.open(PRETRAINED.parent / bundle).manifest.models
        if installed(runtime)
    ]
    ours = stream((sys.executable,), cases)
    for processor in emulated(args.arm64):
        theirs = stream(processor.command, cases)
        for bundle, runtime in cases:
            found = differences(ours[bundle, runtime], theirs[bundle, runtime])
            past = found["max_abs_diff"] > LIMIT or found["flip_rate"] > 0
            failed |= past
            sys.stdout.write(
                f"{processor.name:20} {bundle:8} {runtime:8} {found['n_decisions']:9} {found['flip_rate']:6.2f} "
                f"{found['max_abs_diff']:15.2g}{'  PAST THE LIMIT' if past else ''}\n"
            )
            sys.stdout.flush()
            row = {"processor": processor.name, "emulates": processor.int8_path, "bundle": bundle, "runtime": runtime}
            add_row(RESULTS, row | found | {"identity": known[bundle]}, ("processor", "bundle", "runtime"))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
