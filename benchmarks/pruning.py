"""How to prune: three criteria, at once or gradually, with and without the unpruned model as teacher.

    SER_DATA=FOLDER python -m benchmarks.pruning RUN [RUN ...]

Each way takes the same share away and trains for as many epochs in all. Judged on development speakers alone, in torch,
float32. Adds to benchmarks/results/pruning.json, one row per run and way; what is there already is not made again.
"""

import argparse
import logging
import sys
import time
from dataclasses import asdict
from itertools import product
from pathlib import Path

import torch

from augment.config import AugmentConfig
from augment.pipeline import Chains, chains
from benchmarks.results import add_row
from benchmarks.tables.results import rows as measured
from crnn.config import from_dict
from crnn.data import prepare as preparation
from crnn.data.loaders import EvalClips, eval_loader
from crnn.run_config import RunConfig
from crnn.training.predict import predict
from crnn.training.run_folder import RunFolder
from edge.export.pipeline import open_fine_tune_data
from edge.export.trained import Trained, load_trained
from edge.prune.gradual import FineTuneData, Recipe, describe, pruning_steps
from edge.prune.importance import CRITERIA

RESULT = Path("benchmarks/results/pruning.json")
KEY = ("bundle", "pruning", "criterion", "schedule", "distilled", "epochs")
SCHEDULES = {"once": 1.0, "gradual": 0.2}
"""Name -> share, of what is still there, that leaves in a step"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of channels and units")
    parser.add_argument("--epochs", type=int, default=8, help="in all")
    parser.add_argument("--step-epochs", type=int, default=1, help="of these, after every step but the last")
    parser.add_argument("--criteria", nargs="+", choices=CRITERIA, default=list(CRITERIA))
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    for run in args.runs:
        trained = load_trained(RunFolder(run))
        ground = ground_of(trained, RunFolder(run))
        whole = describe(trained.model, trained.config, 0.0, ground.dev)
        for schedule, distilled, criterion in product(SCHEDULES, (False, True), args.criteria):
            key = dict(zip(KEY, (run.name, args.share, criterion, schedule, distilled, args.epochs), strict=True))
            if measured("pruning", **key):
                continue
            before = Recipe(step=SCHEDULES[schedule]).shares(args.share)[:-1]
            last = args.epochs - args.step_epochs * len(before)
            recipe = Recipe(criterion, SCHEDULES[schedule], args.step_epochs, last, distilled)
            start = time.perf_counter()
            *_, (model, config, share) = pruning_steps(trained.model, trained.config, args.share, recipe, ground)
            made = describe(model, config, share, ground.dev)
            logits = torch.from_numpy(predict(model, config, eval_loader(ground.dev, config)))
            row = {
                **key,
                **{name: trained.metrics[name] for name in ("protocol", "split_hash", "fold", "seed")},
                **{name: value for name, value in asdict(made).items() if name not in ("share", "uar", "bytes", "rtf")},
                "dev_uar": made.uar,
                "dev_uar_drop": whole.uar - made.uar,
                "dev_loss": float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(ground.dev.labels))),
                "minutes": (time.perf_counter() - start) / 60,
            }
            add_row(RESULT, row, KEY)
            print("\n", *(f"{value:.3f}" if isinstance(value, float) else value for value in row.values()), flush=True)


def ground_of(trained: Trained, folder: RunFolder) -> FineTuneData:
    """A run's training speakers with its own augmentation, and its development speakers."""
    prepared = preparation.prepare(trained.config, trained.data)
    folder.check_split(prepared.split)
    prepared = preparation.without_test(prepared)
    dev = EvalClips(prepared.cache, prepared.split.dev, prepared.split.labels, trained.config)
    return open_fine_tune_data(trained, prepared, dev, augmentation, None)


def augmentation(settings: dict, run: RunConfig) -> Chains:
    config = from_dict(AugmentConfig, settings, "augment")
    return chains(config, run.features.sample_rate, run.geometry.window_samples, run.features.log_offset)


if __name__ == "__main__":
    main()
