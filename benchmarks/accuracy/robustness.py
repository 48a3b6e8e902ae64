"""UAR of trained runs on their test speakers, clean and with noise, rooms, other levels, lines and speeds.

    SER_DATA=FOLDER python -m benchmarks.accuracy.robustness --protocol ravdess-luna5 --seed 0
    SER_DATA=FOLDER python -m benchmarks.accuracy.robustness --protocol cross-leave-one-out --folds 0

Pools all folds of the protocol, or those given, of one corpus, from the runs that other benchmarks have trained. Noise
files and rooms are not used in training. Random numbers depend on the clip alone. Resumable; writes a row per
condition to benchmarks/results/robustness.json.
"""

import argparse
import hashlib
import json
import logging
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.accuracy.conditions import Condition, conditions
from benchmarks.harness import corpora, recipes
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.data import prepare as preparation
from crnn.data.cache import AudioCache
from crnn.data.loaders import EvalClips, eval_loader
from crnn.errors import require
from crnn.metrics import summarize
from crnn.pooled import pooled
from crnn.training.predict import predict
from edge.export.trained import Trained, load_trained
from edge.stream.decision import probabilities


class Spoiled:
    """A cache that applies a condition to its waveforms."""

    def __init__(self, cache: AudioCache, condition: Condition) -> None:
        self.clips, self._cache, self._condition = cache.clips, cache, condition

    def waveform(self, name: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        return self._condition(np.array(self._cache.waveform(name)), np.random.default_rng(seed)).astype(np.float32)


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--protocol", default="ravdess-luna5")
    parser.add_argument("--recipe", choices=recipes.RECIPES, default=recipes.TUNED)
    parser.add_argument("--folds", nargs="+", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/robustness.json"))
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    recordings = corpora.recordings()
    folds = []
    for job in recipes.jobs(args.recipe, [args.protocol], [args.seed], args.folds):
        trained = load_trained(job.folder)
        prepared = preparation.prepare(trained.config, trained.data)
        job.folder.check_split(prepared.split)
        folds.append((trained, prepared))
    tested = {u.corpus for _, prepared in folds for u in prepared.split.test}
    require(len(tested) == 1, f"these folds test {', '.join(sorted(tested))}; give --folds that test one of them")
    found = json.loads(args.out.read_text(encoding="utf-8"))["rows"] if args.out.is_file() else []
    run = {
        "protocol": args.protocol,
        "folds": args.folds,
        "split_hash": ", ".join(prepared.split.hash for _, prepared in folds),
        "model": f"crnn {args.recipe}",
        "seed": args.seed,
    }
    done = {(row["condition"], row["level"]): row for row in found if all(row.get(key) == run[key] for key in run)}
    clean = None
    for (name, level), condition in conditions(recordings).items():
        if (name, level) in done:
            clean = done[name, level]["uar_clean"]
            continue
        figures = pooled([confusion(trained, prepared, condition) for trained, prepared in folds])
        clean = figures["uar"] if clean is None else clean  # the first condition is the clean one
        row = run | {
            "corpus": corpora.titles(folds[0][0].data),
            "condition": name,
            "level": level,
            "uar_clean": clean,
            "uar_lost": clean - figures["uar"],
            **{key: figures[key] for key in ("uar", "uar_ci95", "wa", "n_clips", "worst_speaker")},
        }
        add_row(args.out, row, (*run, "condition", "level"))
        print(f"{name:12} {level:18} UAR {figures['uar']:.3f}  lost {clean - figures['uar']:+.3f}", flush=True)
    return 0


@torch.inference_mode()
def confusion(trained: Trained, prepared: preparation.Prepared, condition: Condition) -> dict[str, list]:
    """Confusion matrix of every test speaker under the condition."""
    split = prepared.split
    clips = EvalClips(Spoiled(prepared.cache, condition), split.test, split.labels, trained.config)
    probs = probabilities(predict(trained.model, trained.config, eval_loader(clips, trained.config)), 1.0)
    return summarize(probs, clips.labels, clips.utterances, split.labels)["confusion_by_speaker"]


if __name__ == "__main__":
    sys.exit(main())
