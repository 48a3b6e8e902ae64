"""What strangers gain when a model that was trained without a floor is given one: nothing is trained here.

    SER_DATA=FOLDER python -m benchmarks.floor --seeds 0 1

Runs of cross-leave-one-out, heard on the development speakers of the corpus that they have not heard, once for every
floor (`model.floor_db`); a row per fold, seed and floor to benchmarks/results/floor.json.
"""

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks import corpora, recipes
from benchmarks.results import add_row
from crnn.data import prepare as preparation
from crnn.data.loaders import EvalClips, eval_loader
from crnn.metrics import summarize
from crnn.training.predict import predict
from edge.export.trained import load_trained
from edge.stream.decision import probabilities

RESULTS = Path("benchmarks/results/floor.json")
FLOORS = (None, -50, -40, -35, -30, -25, -20, -15, -10)
"""dB"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--recipe", choices=recipes.RECIPES, default="narrow-96")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for job in recipes.jobs(args.recipe, [recipes.CROSS], args.seeds):
        trained = load_trained(job.folder)
        prepared = preparation.prepare(trained.config, trained.data)
        job.folder.check_split(prepared.split)
        clips = EvalClips(prepared.cache, prepared.split.dev_unseen, prepared.split.labels, trained.config)
        inputs = trained.model.encoder.inputs
        without = inputs.config
        for floor_db in FLOORS:
            inputs.config = replace(without, spectral_floor_db=floor_db)  # no weight depends on it
            probs = probabilities(predict(trained.model, trained.config, eval_loader(clips, trained.config)), 1.0)
            figures = summarize(probs, clips.labels, clips.utterances, prepared.split.labels)
            row = {
                "model": f"crnn {args.recipe}",
                "protocol": job.protocol,
                "split_hash": prepared.split.hash,
                "fold": job.fold,
                "seed": job.seed,
                "corpus": corpora.titles({u.corpus: trained.data[u.corpus] for u in prepared.split.dev_unseen}),
                "floor_db": floor_db,
                "probe_uar": figures["uar"],
                "n_clips": figures["n_clips"],
            }
            add_row(RESULTS, row, ("model", "protocol", "fold", "seed", "floor_db"))
            print(f"{job.name:40} floor {floor_db} dB  dev_unseen UAR {figures['uar']:.3f}", flush=True)


if __name__ == "__main__":
    main()
