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
from augment.pipeline import chains
from benchmarks.results import add_row
from benchmarks.tables.results import rows as measured
from crnn.config import from_dict
from crnn.data.loaders import eval_loader
from crnn.training.predict import predict
from crnn.training.run_folder import RunFolder
from edge.export.source import open_fine_tune_data, open_source
from edge.export.trained import load_trained
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
        data = fine_tune_data(RunFolder(run))
        whole = describe(trained.model, trained.config, 0.0, data.dev)
        for schedule, distilled, criterion in product(SCHEDULES, (False, True), args.criteria):
            key = dict(zip(KEY, (run.name, args.share, criterion, schedule, distilled, args.epochs), strict=True))
            if measured("pruning", **key):
                continue
            before = Recipe(step=SCHEDULES[schedule]).shares(args.share)[:-1]
            last = args.epochs - args.step_epochs * len(before)
            recipe = Recipe(criterion, SCHEDULES[schedule], args.step_epochs, last, distilled)
            start = time.perf_counter()
            *_, (model, config, share) = pruning_steps(trained.model, trained.config, args.share, recipe, data)
            made = describe(model, config, share, data.dev)
            logits = torch.from_numpy(predict(model, config, eval_loader(data.dev, config)))
            row = {
                **key,
                **{name: trained.metrics[name] for name in ("protocol", "split_hash", "fold", "seed")},
                **{name: value for name, value in asdict(made).items() if name not in ("share", "uar", "bytes", "rtf")},
                "dev_uar": made.uar,
                "dev_uar_drop": whole.uar - made.uar,
                "dev_loss": float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.dev.labels))),
                "minutes": (time.perf_counter() - start) / 60,
            }
            add_row(RESULT, row, KEY)
            print("\n", *(f"{value:.3f}" if isinstance(value, float) else value for value in row.values()), flush=True)


def fine_tune_data(run: RunFolder) -> FineTuneData:
    """A run's training speakers with its own augmentation, and its development speakers."""
    source = open_source(run.path, {}, None, prunes=True)
    config = from_dict(AugmentConfig, source.trained.augment, "augment")
    features, window = source.trained.config.features, source.trained.config.geometry.window_samples
    return open_fine_tune_data(source, chains(config, features.sample_rate, window, features.log_offset), None)


if __name__ == "__main__":
    main()
