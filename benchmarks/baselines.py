"""eGeMAPS + SVM on a fold of a protocol: the classical baseline, measured on the same split as the models.

    SER_DATA=FOLDER python -m benchmarks.baselines --protocol ravdess-luna5 --folds 0

openSMILE's eGeMAPSv02 functionals (Eyben et al. 2016), scaled by the training speakers, RBF-SVM with balanced classes;
C chosen on the development speakers. Writes one row per fold to benchmarks/results/baselines.json.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import opensmile
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.results import add_row
from crnn import prepare as preparation
from crnn.metrics import summarize
from crnn.run_config import RunConfig

log = logging.getLogger("baselines")

C_VALUES = (0.3, 1, 3, 10, 30, 100)


def functionals(prepared: preparation.Prepared, sample_rate: int) -> dict[str, np.ndarray]:
    """Utterance name -> 88 eGeMAPSv02 functionals."""
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    values = {}
    for number, name in enumerate(prepared.cache.clips):
        values[name] = smile.process_signal(np.array(prepared.cache.waveform(name)), sample_rate).to_numpy()[0]
        if number % 200 == 0:
            log.info("eGeMAPS: %d of %d clips", number, len(prepared.cache.clips))
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--protocol", default="ravdess-luna5")
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/baselines.json"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    features = None
    for fold in args.folds:
        config = replace(RunConfig(), protocol=args.protocol, fold=fold)
        data = preparation.locate_data(args.protocol, {})
        prepared = preparation.prepare(config, data)
        features = features or functionals(prepared, config.features.sample_rate)
        split = prepared.split
        sets = {
            part: (
                np.stack([features[u.name] for u in members]),
                np.array([split.labels.index(u.emotion) for u in members]),
            )
            for part, members in split.sets()
        }
        scores = {}
        for c in C_VALUES:
            model = make_pipeline(StandardScaler(), SVC(C=c, class_weight="balanced")).fit(*sets["train"])
            scores[c] = balanced_accuracy_score(sets["dev"][1], model.predict(sets["dev"][0]))
        best = max(scores, key=scores.get)
        model = make_pipeline(StandardScaler(), SVC(C=best, class_weight="balanced")).fit(*sets["train"])
        decided = model.predict(sets["test"][0])
        figures = summarize(np.eye(len(split.labels))[decided], sets["test"][1], split.test, split.labels)
        add_row(
            args.out,
            {
                "protocol": args.protocol,
                "split_hash": split.hash,
                "corpus": next(iter(data)),
                "model": "eGeMAPSv02 + RBF-SVM",
                "scheme": "float32",
                "mode": "whole",
                "fold": fold,
                "seed": None,
                "uar": figures["uar"],
                "uar_ci95": figures["uar_ci95"],
                "wa": figures["wa"],
                "macro_f1": figures["macro_f1"],
                "n_clips": figures["n_clips"],
                "n_params": None,
                "macs_per_window": None,
                "C": best,
                "dev_uar": scores[best],
            },
            ("protocol", "model", "fold"),
        )
        log.info("fold %d: test UAR %.1f %% (C = %g by development UAR)", fold, 100 * figures["uar"], best)


if __name__ == "__main__":
    main()
