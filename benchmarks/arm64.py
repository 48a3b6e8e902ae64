"""Are the results on a Raspberry Pi's processor those of this machine? Compares what benchmarks/arm64.sh streamed.

    python -m benchmarks.arm64 FOLDER     # of here.BUNDLE.RUNTIME.jsonl and CORE.BUNDLE.RUNTIME.jsonl

Exit code 1 where a result says another emotion or state, or a probability is further off than LIMIT.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.results import add_row
from edge.limits import Limits

RESULTS = Path("benchmarks/results/arm64.json")
LIMIT = Limits().max_abs_diff_float32
"""Of a probability, int8 bundles included: their integer kernels must agree from processor to processor"""


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def differences(ours: list[dict], theirs: list[dict]) -> dict:
    """Largest difference of a probability and shares of results that differ in what they say.

    >>> say = {"type": "hop", "seconds": 1, "state": "deciding", "emotion": "sad", "probs": {"sad": 0.6, "happy": 0.4}}
    >>> other = say | {"emotion": "happy", "probs": {"sad": 0.5, "happy": 0.5}}
    >>> found = differences([say, say], [say, other])
    >>> round(found["max_abs_diff"], 3), found["flip_rate"], found["n_decisions"]
    (0.1, 0.5, 2)
    """
    if [without_answer(event) for event in ours] != [without_answer(event) for event in theirs]:
        raise SystemExit("error: the two streams differ in their hops, states or segments")
    decided = [(a, b) for a, b in zip(ours, theirs, strict=True) if "probs" in a]
    return {
        "max_abs_diff": max(abs(a["probs"][name] - b["probs"][name]) for a, b in decided for name in a["probs"]),
        "flip_rate": sum(a["emotion"] != b["emotion"] for a, b in decided) / len(decided),
        "n_decisions": len(decided),
    }


def without_answer(event: dict) -> tuple:
    """What an event is of, whatever is answered."""
    return (*(event.get(key) for key in ("type", "seconds", "state", "start_seconds", "verdict")), "probs" in event)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    failed = False
    sys.stdout.write(f"{'core':12} {'bundle':8} {'runtime':8} {'decisions':>9} {'flips':>6} {'max difference':>15}\n")
    for path in sorted(folder.glob("cortex-*.jsonl")):
        core, bundle, runtime, _ = path.name.split(".")
        found = differences(read(folder / f"here.{bundle}.{runtime}.jsonl"), read(path))
        past = found["max_abs_diff"] > LIMIT or found["flip_rate"] > 0
        failed |= past
        sys.stdout.write(
            f"{core:12} {bundle:8} {runtime:8} {found['n_decisions']:9} {found['flip_rate']:6.2f} "
            f"{found['max_abs_diff']:15.2g}{'  PAST THE LIMIT' if past else ''}\n"
        )
        row = {"core": f"{core} (QEMU)", "bundle": bundle, "runtime": runtime, **found}
        add_row(RESULTS, row, ("core", "bundle", "runtime"))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
