"""Every reader of files that others may have written, on thousands of hostile inputs, each batch in a child process.

    python -m benchmarks.fuzz                       10,000 inputs, about an hour on one core
    python -m benchmarks.fuzz --inputs 500 --out /tmp/fuzz.json --readers onnx golden

An input is accepted, or refused in one printable line (InputError). Everything else is a fault: a traceback, a crash,
minutes without an answer. An interrupted run continues. Writes a row per reader to
benchmarks/results/fuzz.json; exit code 1 if there is a fault.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.fuzz.readers import Reader, readers
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.errors import InputError

RESULTS = Path("benchmarks/results/fuzz.json")
SILENCE = 200.0
"""s without an answer: a hang; a little longer than `edge.bundle.sandbox` gives a bundle"""
BATCH = 250
"""Inputs of one child process"""
OUTCOMES = ("refused", "accepted", "tracebacks", "crashes", "hangs")


def one(reader: Reader, given_input: object) -> str:
    """Outcome of one input: "refused", "accepted", or the name and place of the fault."""
    with tempfile.TemporaryDirectory(prefix="fuzz.") as folder:
        try:
            reader.read(Path(folder), given_input)
        except InputError as error:
            line = str(error)
            return "refused" if line and line.isprintable() else f"InputError that is no line: {line!r}"
        except Exception as error:  # noqa: BLE001 - any exception is a fault to report
            trace, places = error.__traceback__, []
            while trace is not None:
                places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
                trace = trace.tb_next
            return f"{type(error).__name__}: {str(error)[:200]!r} at {' '.join(places[-4:])}"
    return "accepted"


def batch(name: str, number: int, count: int, skip: int, progress: Path) -> None:
    """In a child: `count` inputs of the batch, without the first `skip`; a line at the start and the end of each."""
    reader, done = readers()[name], 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with progress.open("a", buffering=1) as out:

        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(reader.inputs)
        def every(given_input: object) -> None:
            nonlocal done
            done += 1
            if done > skip:
                out.write(f"{done} begun\n")
                out.write(f"{done} {json.dumps(one(reader, given_input))}\n")

        every()
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        out.write(f"0 {json.dumps(peak / 1024)}\n")


def run_batch(name: str, number: int, count: int, progress: Path) -> None:
    """Start children until every input of the batch has an outcome. After a crash the next child skips that input."""
    while True:
        begun = _lines(progress)
        if any(place == 0 for place, _ in begun):
            return
        if begun and begun[-1][1] is None:  # the process ended during this input
            progress.open("a").write(f"{begun[-1][0]} {json.dumps('crash: the process ended')}\n")
            continue
        skip = begun[-1][0] if begun else 0
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fuzz", "--child", name, str(number), str(count), str(skip), progress],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            _watch(child, progress)
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGKILL)
            lines = _lines(progress)
            if lines and lines[-1][1] is None:  # we ended it, not the input
                progress.write_text("".join(progress.read_text().splitlines(keepends=True)[:-1]))
            raise


def _watch(child: subprocess.Popen, progress: Path) -> None:
    size, since = -1, time.monotonic()
    while child.poll() is None:
        time.sleep(0.05)
        now = progress.stat().st_size if progress.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > SILENCE:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            lines = _lines(progress)
            with progress.open("a") as out:
                out.write(f"{lines[-1][0] if lines else 1} {json.dumps('hang')}\n")
            return
    lines = _lines(progress)
    if lines and lines[-1][1] is None:
        with progress.open("a") as out:
            out.write(f"{lines[-1][0]} {json.dumps(f'crash: status {child.returncode}')}\n")
    elif not lines:
        raise RuntimeError(f"a child ended with status {child.returncode} before its first input")


def _lines(progress: Path) -> list[tuple[int, object]]:
    """Number and outcome of every input, None if it has only begun; number 0: the peak memory, MiB, at the end."""
    found: dict[int, object] = {}
    for line in progress.read_text().splitlines() if progress.exists() else []:
        number, _, outcome = line.partition(" ")
        found[int(number)] = None if outcome == "begun" else json.loads(outcome)
    return list(found.items())


def summary(lines: list[tuple[int, object]]) -> dict:
    """Counts of one reader."""
    counts = Counter()
    faults = Counter()
    for number, outcome in lines:
        if number == 0 or outcome is None:
            continue
        kind = {"refused": "refused", "accepted": "accepted", "hang": "hangs"}.get(str(outcome))
        kind = kind or ("crashes" if str(outcome).startswith("crash") else "tracebacks")
        counts[kind] += 1
        if kind not in ("refused", "accepted"):
            faults[str(outcome)] += 1
    peak = max((outcome for number, outcome in lines if number == 0), default=0.0)
    row = {"inputs": counts.total()} | {kind: counts[kind] for kind in OUTCOMES}
    return row | {"peak_mb": round(peak, 1), "faults": dict(faults.most_common(20))}


def shares(total: int, chosen: dict[str, Reader]) -> dict[str, int]:
    """Inputs of each reader, in proportion to 1 / sqrt(cost)."""
    weights = {name: reader.cost**-0.5 for name, reader in chosen.items()}
    return {name: round(total * weight / sum(weights.values())) for name, weight in weights.items()}


@command
def main(argv: list[str] | None = None) -> int:
    known = readers()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000, help="of all readers together (default: 10000)")
    parser.add_argument("--readers", nargs="+", choices=tuple(known), default=list(known), metavar="READER")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        name, number, count, skip, progress = args.child
        batch(name, int(number), int(count), int(skip), Path(progress))
        return 0
    healthy = True
    for name, count in shares(args.inputs, {name: known[name] for name in args.readers}).items():
        lines, seconds = [], 0.0
        for start in range(0, count, BATCH):
            number = args.seed + start // BATCH
            progress = args.out.with_name(f".{args.out.stem}-{args.inputs}-{name.replace(' ', '_')}-{number}.progress")
            began = time.monotonic()
            run_batch(name, number, min(BATCH, count - start), progress)
            seconds += time.monotonic() - began
            lines += _lines(progress)
        row = {"reader": name, "seed": args.seed, **summary(lines), "seconds": round(seconds, 1)}
        add_row(args.out, row, ("reader", "seed"))
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
        healthy &= not row["faults"]
    for progress in args.out.parent.glob(f".{args.out.stem}-{args.inputs}-*.progress"):
        progress.unlink()
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
