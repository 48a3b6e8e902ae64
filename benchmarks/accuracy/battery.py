"""The battery (`edge.battery`) of shipped bundles, on corpora that they were not trained on.

    SER_DATA=FOLDER python -m benchmarks.accuracy.battery --corpora savee

Writes to benchmarks/results/battery.json a row per test, and one for all tests of a bundle (group "all").
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.harness.corpora import folder, recordings
from benchmarks.harness.results import RESULTS, add_row
from crnn.cli.command import command
from crnn.data.readers import READERS
from crnn.errors import require
from edge.battery.__main__ import build_parser, run
from edge.bundle import PRETRAINED, Bundle

KEY = ("bundle", "corpora", "corpus", "group", "test", "seed", "quick")
FIGURES = ("n_rows", "n_passed", "n_skipped", "share_passed", "share_random", "way_from_random")

GENERATED = "synthetic"
"""Voices of nobody: only played by name"""


def unseen(bundle: Bundle) -> list[str]:
    """The corpora below $SER_DATA that `bundle` was not trained on. Raises InputError if there is none."""
    trained_on = bundle.manifest.provenance.get("corpora_heard", [])
    others = [name for name in READERS if name not in (*trained_on, GENERATED)]
    there = [name for name in others if (recordings() / name).is_dir()]
    require(
        bool(there),
        f"{bundle.path}: trained on {', '.join(trained_on)}; {recordings()} holds no other corpus: put one of "
        f"{', '.join(others)} there",
    )
    return there


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bundles", nargs="+", default=["int8", "float32"], help="of edge/pretrained")
    parser.add_argument(
        "--corpora", nargs="+", help="below SER_DATA (default: those there that a bundle was not trained on)"
    )
    parser.add_argument("--quick", type=int, help="clips of each corpus, for a test of this program")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "battery.json")
    args = parser.parse_args(argv)
    bundles = {name: Bundle.open(PRETRAINED.with_name(name)) for name in args.bundles}
    for name, bundle in bundles.items():
        corpora = args.corpora or unseen(bundle)
        data = [f"{corpus}:{folder(corpus)}" for corpus in corpora]
        quick = [] if args.quick is None else ["--quick", str(args.quick)]
        made = run(build_parser().parse_args([str(bundle.path), "--data", *data, "--seed", str(args.seed), *quick]))
        shared = {
            "bundle": name,
            "identity": bundle.manifest.identity[:12],
            "corpora": " ".join(sorted(corpora)),
            "seed": args.seed,
            "quick": args.quick,
        }
        clips = {corpus: facts["clips"] for corpus, facts in made["corpora"].items()}
        for row in made["rows"]:
            add_row(args.out, shared | {"n_clips": clips[row["corpus"]]} | row, KEY)
        every = {"corpus": "all", "group": "all", "test": "all", "n_clips": sum(clips.values())}
        add_row(args.out, shared | every | {figure: made[figure] for figure in FIGURES}, KEY)
        print(name, json.dumps({figure: made[figure] for figure in FIGURES}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
