"""Accuracy across corpora: every combination of training corpora and test corpus, with the classical baseline.

    SER_DATA=FOLDER python -m benchmarks.accuracy.across_corpora --seeds 0 1 2

Six shared emotions. Protocols cross-leave-one-out and cross-single: RAVDESS, EmoDB and CREMA-D; leave-one-corpus-out:
those, EMOVO, emotiontts and EmoSpeech India. The recipe that ships is taught by the speech encoder in $SER_ENCODER.
Baselines, trained and chosen on the same speakers: openSMILE functionals + SVM on clips scaled to one level, and that
encoder, frozen. Resumable; a row per direction, model and seed to benchmarks/results/cross_corpus.json, what the
confidence of whole clips is worth there to confidence.json, and the figures over all seeds to cross_corpus_pooled.json.
"""

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.accuracy.baselines import decide
from benchmarks.accuracy.frozen_encoder import NAME as ENCODER
from benchmarks.accuracy.frozen_encoder import decide_frozen
from benchmarks.accuracy.functionals import SETS
from benchmarks.accuracy.within_corpus import CONFIDENCE, COVERAGE, KEYS
from benchmarks.export.ship import TEMPERATURE
from benchmarks.harness import corpora, recipes
from benchmarks.harness.jobs import RUNS, Job, metrics, run_all
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.data import prepare as preparation
from crnn.data.loaders import EvalClips, eval_loader
from crnn.data.protocols import n_folds
from crnn.files.atomic import write_text
from crnn.metrics import calibration_error, summarize_by_corpus
from crnn.pooled import over_seeds
from crnn.training.predict import predict
from edge.export.calibration import choose_decision, judge_decision
from edge.export.trained import load_trained
from edge.stream.decision import probabilities

RESULTS = Path("benchmarks/results")
AS_SHIPPED = ("temperature", "min_confidence", "ece", "coverage", "accuracy", "accuracy_covered")
TEMPERATURES = (1, 1.25, 1.5, 1.75, 2, 2.5)
PROTOCOLS = (recipes.CROSS, "cross-single", recipes.LEAVE_ONE_OUT)


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--folds", nargs="+", type=int, help="default: all")
    parser.add_argument("--recipe", choices=recipes.RECIPES, default=recipes.SHIPS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--baseline", action="store_true", help="baselines in place of the recipe")
    parser.add_argument(
        "--sets", nargs="+", choices=(*SETS, ENCODER), default=SETS[:1], help="features of the baselines"
    )
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if args.baseline:
        for protocol in args.protocols:
            for fold in args.folds or range(n_folds(protocol)):
                for name in args.sets:
                    baseline(protocol, fold, name)
        return 0
    for job in run_all(recipes.jobs(args.recipe, args.protocols, args.seeds, args.folds), args.processes):
        made = metrics(job)
        _, data, _ = job.folder.read_config()
        for corpus, figures in evaluated(job)["figures"].items():
            trained_on = made["corpus"].split("+")
            write(data, trained_on, corpus, f"crnn {args.recipe}", job.seed, job.protocol, made["split_hash"], figures)
            pool(data, trained_on, corpus, job)
        write_confidence(data, f"crnn {job.recipe}", job.seed, job.protocol, evaluated(job)["confidence"])
    return 0


def baseline(protocol: str, fold: int, name: str) -> None:
    """Rows of a baseline on one fold."""
    made = decide_frozen(protocol, fold) if name == ENCODER else decide(protocol, fold, name, same_level=True)
    truth = np.array([made.split.labels.index(u.emotion) for u in made.split.test])
    by_corpus = summarize_by_corpus(made.probs, truth, made.split.test, made.split.labels)
    for corpus, figures in by_corpus.items():
        write(made.data, made.split.corpora, corpus, made.model, None, protocol, made.split.hash, figures)


def evaluated(job: Job) -> dict[str, dict]:
    """Of a finished run, by corpus: figures on the test speakers, and what the confidence in them is worth; read from
    its folder if they are there."""
    done = job.folder.path / "evaluation.json"
    if not done.is_file():
        trained = load_trained(job.folder)
        prepared = preparation.prepare(trained.config, trained.data)
        split = prepared.split
        job.folder.check_split(split)
        clips, logits = {}, {}
        for part in (name for name in ("dev", "dev_unseen", "test") if getattr(split, name)):
            clips[part] = EvalClips(prepared.cache, getattr(split, part), split.labels, trained.config)
            logits[part] = predict(trained.model, trained.config, eval_loader(clips[part], trained.config))
        test = clips["test"]
        figures = summarize_by_corpus(probabilities(logits["test"], 1.0), test.labels, test.utterances, split.labels)
        elsewhere = None
        if "dev_unseen" in clips:
            elsewhere = choose_decision(logits["dev_unseen"], clips["dev_unseen"].labels, COVERAGE)[0].temperature
        worth = confidence_of(logits["dev"], clips["dev"], logits["test"], test)
        worth = {corpus: found | {"temperature_unseen": elsewhere} for corpus, found in worth.items()}
        write_text(done, json.dumps({"figures": figures, "confidence": worth}))
    return json.loads(done.read_text(encoding="utf-8"))


def confidence_of(dev_logits: np.ndarray, dev: EvalClips, test_logits: np.ndarray, test: EvalClips) -> dict[str, dict]:
    """By test corpus: calibration and abstention on its whole clips, chosen on development speakers of the others; at
    the temperature that is fitted to these, and `as_shipped` at that of the bundles."""
    speakers = [u.speaker for u in dev.utterances]
    decision, chosen_on = choose_decision(dev_logits, dev.labels, COVERAGE, speakers=speakers)
    shipped, _ = choose_decision(dev_logits, dev.labels, COVERAGE, speakers=speakers, temperature=TEMPERATURE)
    of_corpus = np.array([u.corpus for u in test.utterances])
    worth = {}
    for corpus in sorted(set(of_corpus)):
        its, labels = test_logits[of_corpus == corpus], test.labels[of_corpus == corpus]
        worth[corpus] = asdict(decision) | asdict(judge_decision(its, labels, decision, chosen_on))
        as_shipped = asdict(shipped) | asdict(judge_decision(its, labels, shipped))
        worth[corpus]["as_shipped"] = {key: as_shipped[key] for key in AS_SHIPPED}
        worth[corpus]["ece_at"] = {f"{t:g}": calibration_error(probabilities(its, t), labels) for t in TEMPERATURES}
    return worth


def write_confidence(data, model: str, seed: int | None, protocol: str, found: dict[str, dict]) -> None:
    """Rows of what the confidence in each corpus is worth, and the temperature that development speakers of the corpus
    itself ask for, where it is known."""
    for corpus, worth in found.items():
        row = {"protocol": protocol, "model": model, "seed": seed, "test": corpora.title(data[corpus])}
        row |= {key: worth[key] for key in (*CONFIDENCE, "curve", "ece_at", "as_shipped")}
        row["temperature_unseen"] = worth.get("temperature_unseen")
        add_row(RESULTS / "confidence.json", row, ("protocol", "model", "seed", "test"))


def write(data, trained_on, corpus, model, seed, protocol, split_hash, figures) -> None:
    row = {
        **direction(data, trained_on, corpus, protocol, model),
        "labels": figures["labels"],
        "seed": seed,
        "split_hash": split_hash,
        **{key: figures[key] for key in KEYS},
        "per_sex_uar": figures["per_sex_uar"],
        "recall": figures["recall"],
    }
    add_row(RESULTS / "cross_corpus.json", row, ("train", "test", "model", "seed"))
    print(f"{row['train']:35} -> {row['test']:25} {model:32} UAR {row['uar']:.3f}", flush=True)


def direction(data, trained_on, corpus, protocol, model) -> dict[str, str]:
    train = " + ".join(corpora.title(data[name]) for name in trained_on)
    return {"train": train, "test": corpora.title(data[corpus]), "model": model, "protocol": protocol}


def pool(data, trained_on, corpus, job: Job) -> None:
    """Figures of one combination over all evaluated seeds."""
    runs = RUNS.glob(f"{job.recipe}-{job.protocol}-fold{job.fold}-seed*/evaluation.json")
    seeds = {int(path.parent.name.rpartition("seed")[2]): json.loads(path.read_text(encoding="utf-8")) for path in runs}
    recalls = [made["figures"][corpus]["recall"] for made in seeds.values()]
    confusions = {seed: [made["figures"][corpus]["confusion_by_speaker"]] for seed, made in seeds.items()}
    row = {
        **direction(data, trained_on, corpus, job.protocol, f"crnn {job.recipe}"),
        **over_seeds(confusions, corpora.sexes([corpus])),
        "recall": {name: float(np.mean([each[name] for each in recalls])) for name in recalls[0]},
    }
    add_row(RESULTS / "cross_corpus_pooled.json", row, ("train", "test", "model"))


if __name__ == "__main__":
    sys.exit(main())
