"""Train the runs of a recipe. Their test speakers stay unread until a benchmark reads them.

SER_DATA=FOLDER python -m benchmarks.harness.train_runs --protocols cross-leave-one-out --seeds 0
"""

import argparse
import sys

from benchmarks.harness import recipes
from benchmarks.harness.jobs import metrics, run_all
from crnn.cli.command import command


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--protocols", nargs="+", required=True)
    parser.add_argument("--recipe", choices=recipes.RECIPES, default=recipes.SHIPS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--folds", nargs="+", type=int)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args(argv)
    wanted = recipes.jobs(args.recipe, args.protocols, args.seeds, args.folds)
    for job in run_all(wanted, args.processes):
        made = metrics(job)
        dev_unseen = f"  dev_unseen {made['dev_unseen']['uar']:.3f}" if "dev_unseen" in made else ""
        print(f"{job.name:50} dev {made['dev']['uar']:.3f}{dev_unseen}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
