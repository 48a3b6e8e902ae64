"""The battery (`edge.battery`) of shipped bundles, on corpora that they were not trained on.

    SER_DATA=FOLDER python -m benchmarks.accuracy.battery --corpora emovo

Writes to benchmarks/results/battery.json a row per test, and one for all tests of a bundle (group "all").
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.harness.corpora import folder
from benchmarks.harness.results import RESULTS, add_row
from crnn.cli.command import command
from edge.battery.__main__ import build_parser, run
from edge.bundle import PRETRAINED, Bundle

KEY = ("bundle", "corpora", "corpus", "group", "test", "seed", "quick")
FIGURES = ("n_rows", "n_passed", "n_skipped", "share_passed", "share_random", "way_from_random")


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bundles", nargs="+", default=["int8", "float32"], help="of edge/pretrained")
    parser.add_argument("--corpora", nargs="+", default=["emovo"])
    parser.add_argument("--quick", type=int, help="clips of each corpus, for a test of this program")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "battery.json")
    args = parser.parse_args(argv)
    bundles = {name: Bundle.open(PRETRAINED.with_name(name)) for name in args.bundles}
    for name, bundle in bundles.items():
        data = [f"{corpus}:{folder(corpus)}" for corpus in args.corpora]
        quick = [] if args.quick is None else ["--quick", str(args.quick)]
        made = run(build_parser().parse_args([str(bundle.path), "--data", *data, "--seed", str(args.seed), *quick]))
        shared = {
            "bundle": name,
            "identity": bundle.manifest.identity[:12],
            "corpora": " ".join(sorted(args.corpora)),
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
