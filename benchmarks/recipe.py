"""Which recipe: one factor at a time, judged on development speakers. The test folds are not read.

    SER_DATA=FOLDER python -m benchmarks.recipe --bench cross --experiments base level

`cross` trains on two corpora and asks the development speakers of the third, for each of the three (protocol
cross-leave-one-out), `union` likewise with all emotions of the two (cross-all-labels); `luna5` asks the development
speakers of two folds of ravdess-luna5 and `emodb` those of three folds of emodb-loso (six people), starting from a run
that has not heard that corpus where an experiment says so. Writes rows to benchmarks/results/recipe.json.
"""

import argparse
import statistics
from pathlib import Path

from benchmarks import recipes
from benchmarks.experiments import EXPERIMENTS, STARTS, TEACHERS
from benchmarks.jobs import Job, metrics, run_all
from benchmarks.results import add_row

BENCHES = {
    "cross": [("cross-leave-one-out", fold) for fold in (0, 1, 2)],
    "union": [("cross-all-labels", fold) for fold in (0, 1, 2)],
    "luna5": [("ravdess-luna5", fold) for fold in (0, 2)],
    "emodb": [("emodb-loso", fold) for fold in (0, 6, 9)],
}
WITHIN = {"luna5": "ravdess", "emodb": "emodb"}
"""Benches within a corpus"""


def jobs(bench: str, experiment: str, seed: int) -> list[Job]:
    settings = ("--test", "false", *EXPERIMENTS[bench][experiment])
    start = start_of(bench, experiment, seed) if bench in WITHIN else None
    return [
        Job(f"try-{experiment}", protocol, fold, seed, settings, start, teachers(experiment, protocol, fold))
        for protocol, fold in BENCHES[bench]
    ]


def teachers(experiment: str, protocol: str, fold: int) -> tuple[Job, ...]:
    return recipes.teachers(TEACHERS.get(experiment, ()), protocol, fold)


def start_of(bench: str, experiment: str, seed: int) -> Job | None:
    """The cross run, deaf to the corpus, whose weights an experiment on it starts from; None: from scratch."""
    unheard = recipes.HELD_OUT[WITHIN[bench]]
    start = STARTS.get(experiment, "narrow")
    if start is None:
        return None
    if start in recipes.RECIPES:
        return recipes.job(start, recipes.CROSS, unheard, seed)
    across = next(bench for bench in EXPERIMENTS if bench not in WITHIN and start in EXPERIMENTS[bench])
    return next(job for job in jobs(across, start, seed) if job.fold == unheard)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bench", choices=BENCHES, default="cross")
    parser.add_argument("--experiments", nargs="+", default=["base"])
    parser.add_argument("--folds", nargs="+", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/recipe.json"))
    args = parser.parse_args()
    wanted = [job for name in args.experiments for job in jobs(args.bench, name, args.seed)]
    wanted = [job for job in wanted if args.folds is None or job.fold in args.folds]
    scores: dict[str, list[float]] = {}
    for job in run_all(wanted, args.processes):
        made = metrics(job)
        name = job.recipe.removeprefix("try-")
        judged = made.get("dev_unseen", made["dev"])
        scores.setdefault(name, []).append(judged["uar"])
        row = {
            "experiment": name,
            "bench": args.bench,
            "protocol": job.protocol,
            "split_hash": made["split_hash"],
            "fold": job.fold,
            "seed": job.seed,
            "dev_uar": made["dev"]["uar"],
            "last_dev_uar": made["history"][-1]["dev_uar"],
            "probe_uar": made.get("dev_unseen", {}).get("uar"),
            "probe_per_corpus": made.get("dev_unseen", {}).get("per_corpus_uar"),
            "per_sex_uar": judged.get("per_sex_uar"),
            "epochs": made["history"][-1]["epoch"] + 1,
            "best_epoch": made["training"]["best_epoch"],
            "seconds_per_epoch": made["training"]["seconds_per_epoch"],
            "data_wait_share": made["training"]["data_wait_share"],
            "n_params": made["n_params"],
            "macs_per_window": made["macs_per_window"],
            "settings": " ".join(EXPERIMENTS[args.bench][name]),
        }
        add_row(args.out, row, ("experiment", "bench", "protocol", "fold", "seed"))
        dev_unseen = "" if row["probe_uar"] is None else f"  dev_unseen {row['probe_uar']:.3f}"
        print(f"{job.name:50} dev {row['dev_uar']:.3f}{dev_unseen}", flush=True)
    for name, figures in scores.items():
        print(f"{args.bench} {name}: mean {statistics.mean(figures):.3f} over {len(figures)}", flush=True)


if __name__ == "__main__":
    main()
