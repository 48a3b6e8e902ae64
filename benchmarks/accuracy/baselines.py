"""openSMILE functionals + SVM on folds of a protocol: the classical baseline, on the same splits as the models.

    SER_DATA=FOLDER python -m benchmarks.accuracy.baselines --protocol ravdess-luna5 --folds 0 1 2 3 4

Functionals are scaled by the training speakers; RBF-SVM with balanced classes, C chosen on the development speakers.
Across corpora every clip is first scaled to one level. Writes one row per fold and set of functionals to
benchmarks/results/baselines.json.
"""

import argparse
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.accuracy.functionals import SETS, functionals
from benchmarks.harness import corpora
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.data import prepare as preparation
from crnn.data.protocols import Split, n_folds, protocol_facts
from crnn.errors import require
from crnn.metrics import summarize
from crnn.pooled import pooled
from crnn.run_config import RunConfig

log = logging.getLogger("baselines")

C_VALUES = (0.3, 1, 3, 10, 30, 100)


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--protocol", default="ravdess-luna5")
    parser.add_argument("--folds", type=int, nargs="+")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/baselines.json"))
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    facts = protocol_facts(args.protocol)
    require(
        "corpus" in facts,
        f"{args.protocol} goes across corpora; python -m benchmarks.accuracy.across_corpora --baseline",
    )
    all_folds = range(n_folds(args.protocol))
    for name in args.sets:
        made = [run_fold(args.protocol, fold, name, args.out) for fold in args.folds or all_folds]
        if len(made) == len(all_folds):
            row = {"protocol": args.protocol, "model": f"{name} + RBF-SVM", "scheme": "float32", "mode": "whole"}
            figures = pooled(made, corpora.sexes([facts["corpus"]]))
            figures |= {"seeds": [], "uar_mean": figures["uar"]}
            add_row(args.out.with_name("accuracy_pooled.json"), row | figures, ("protocol", "model", "scheme", "mode"))
    return 0


@dataclass(frozen=True)
class Decided:
    """Results of the classical baseline on the test speakers of one fold."""

    split: Split
    data: dict[str, str]
    model: str
    probs: np.ndarray
    """One-hot decisions `(n_test, n_classes)`: an SVM gives no probabilities"""
    c: float
    dev_uar: float


def decide(protocol: str, fold: int, name: str, same_level: bool) -> Decided:
    """Train on the training speakers, choose C on the development speakers, decide on the test speakers."""
    config = replace(RunConfig(), protocol=protocol, fold=fold)
    data = corpora.folders(protocol, fold)
    prepared = preparation.prepare(config, data)
    split = prepared.split
    values = {}
    for corpus in data:
        values |= functionals(prepared.cache, corpus, name, config.features.sample_rate, same_level)

    def table(part: str) -> tuple[np.ndarray, np.ndarray]:
        members = getattr(split, part)
        return np.stack([values[u.name] for u in members]), np.array([split.labels.index(u.emotion) for u in members])

    train, dev = table("train"), table("dev")
    models = {c: make_pipeline(StandardScaler(), SVC(C=c, class_weight="balanced")).fit(*train) for c in C_VALUES}
    scores = {c: balanced_accuracy_score(dev[1], model.predict(dev[0])) for c, model in models.items()}
    best = max(scores, key=scores.get)
    probs = np.eye(len(split.labels))[models[best].predict(table("test")[0])]
    title = f"{name}{', same level' if same_level else ''} + RBF-SVM"
    return Decided(split, data, title, probs, best, scores[best])


def run_fold(protocol: str, fold: int, name: str, out: Path) -> dict[str, list]:
    """Returns the confusion matrix of every test speaker."""
    made = decide(protocol, fold, name, same_level=False)
    split = made.split
    truth = np.array([split.labels.index(u.emotion) for u in split.test])
    figures = summarize(made.probs, truth, split.test, split.labels)
    row = {
        "protocol": protocol,
        "split_hash": split.hash,
        "corpus": corpora.titles(made.data),
        "model": made.model,
        "scheme": "float32",
        "mode": "whole",
        "fold": fold,
        "seed": None,
        **{key: figures[key] for key in ("uar", "uar_ci95", "wa", "macro_f1", "n_clips")},
        "n_params": None,
        "macs_per_window": None,
        "C": made.c,
        "dev_uar": made.dev_uar,
    }
    add_row(out, row, ("protocol", "model", "fold"))
    log.info("%s fold %d %s: test UAR %.1f %%", protocol, fold, row["model"], 100 * figures["uar"])
    return figures["confusion_by_speaker"]


if __name__ == "__main__":
    sys.exit(main())
