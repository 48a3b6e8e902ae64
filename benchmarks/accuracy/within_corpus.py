"""Accuracy within a corpus: a recipe under speaker-independent protocols, whole clips and streamed, float32 and int8.

    SER_DATA=FOLDER python -m benchmarks.accuracy.within_corpus --protocols ravdess-luna5 emodb-loso --seeds 0 1 2

Each fold continues from the run across corpora, of the same seed, that left the protocol's corpus out
(`benchmarks.harness.recipes`). Then the test speakers are read, once: every clip is played through the exported ONNX
files and decided by the mean of all decisions, `flush` included (`whole`), and by the recognition loop with its energy
VAD (`stream`: the mean over the decisions of its utterances, or over all decisions if it finds no utterance).
Resumable; writes a row per fold, seed, scheme and mode to benchmarks/results/accuracy.json, and the figures over all
folds to accuracy_pooled.json.
"""

import argparse
import json
import logging
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.harness import corpora, recipes
from benchmarks.harness.jobs import RUNS, Job, metrics, run_all
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.data import prepare as preparation
from crnn.data.cache import AudioCache
from crnn.data.corpora import Utterance
from crnn.data.loaders import EvalClips
from crnn.data.protocols import n_folds, protocol_facts
from crnn.files.atomic import write_text
from crnn.metrics import summarize
from crnn.pooled import over_seeds
from edge import bundle
from edge.audio.vad import make_vad
from edge.export.calibration import choose_decision, judge_decision
from edge.export.exporters import calibration_blocks, export_all
from edge.export.source import draft_of
from edge.export.trained import load_trained
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.decision import probabilities
from edge.stream.recognizer import StreamingRecognizer, clip_decisions
from edge.stream.results import StreamResult

RESULTS = Path("benchmarks/results")
MODES = ("whole", "stream")
SCHEMES = ("float32", "dynamic_int8", "static_int8")
"""Of the ONNX files; the last one ships"""
COVERAGE = 0.9
CONFIDENCE = ("temperature", "ece_before", "ece", "coverage", "accuracy", "accuracy_covered")
KEYS = ("uar", "uar_ci95", "wa", "macro_f1", "ece", "n_clips")


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--protocols", nargs="+", default=["ravdess-luna5", "ravdess-emobox6", "emodb-loso"])
    parser.add_argument("--recipe", choices=recipes.RECIPES, default=recipes.TUNED)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--folds", nargs="+", type=int)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    wanted = recipes.jobs(args.recipe, args.protocols, args.seeds, args.folds)
    for job in run_all(wanted, args.processes):
        for row in rows(job):
            add_row(RESULTS / "accuracy.json", row, ("protocol", "fold", "seed", "model", "scheme", "mode"))
            if (row["scheme"], row["mode"]) == ("float32", "whole"):
                print(f"{job.name:50} dev {row['dev_uar']:.3f}  test {row['uar']:.3f}", flush=True)
    for protocol in args.protocols:
        pool(args.recipe, protocol)
    return 0


def rows(job: Job) -> list[dict]:
    """The test figures of one finished run; read from its folder if it has all schemes."""
    done = job.folder.path / "evaluation.json"
    if not done.is_file() or set(read_json(done)["figures"]) != set(SCHEMES):
        write_text(done, json.dumps(evaluate(job)))
    made, trained = read_json(done), metrics(job)
    _, data, _ = job.folder.read_config()
    return [
        {
            **{key: trained[key] for key in ("protocol", "split_hash", "fold", "seed", "n_params", "macs_per_window")},
            "corpus": corpora.titles(data),
            "model": f"crnn {job.recipe}",
            "scheme": scheme,
            "mode": mode,
            **{key: figures[key] for key in KEYS},
            "dev_uar": trained["dev"]["uar"],
            "epochs": trained["history"][-1]["epoch"] + 1,
            "seconds_per_epoch": trained["training"]["seconds_per_epoch"],
            "data_wait_share": trained["training"]["data_wait_share"],
        }
        for scheme, modes in made["figures"].items()
        for mode, figures in modes.items()
    ]


def evaluate(job: Job) -> dict[str, dict]:
    """Figures on the test speakers by scheme and mode, from the exported files; and the quality of the confidence."""
    trained = load_trained(job.folder)
    prepared = preparation.prepare(trained.config, trained.data)
    split, cache = prepared.split, prepared.cache
    job.folder.check_split(split)
    config = trained.config
    draft = draft_of(config, split.labels)
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        blocks = calibration_blocks(EvalClips(cache, split.dev, split.labels, config), config.geometry)
        for runtime, scheme, encoder, head in export_all(trained.model, config, ("onnx",), blocks, Path(scratch)):
            if scheme not in SCHEMES:
                continue
            files = {runtime: {"scheme": scheme, "encoder": encoder.name, "head": head.name}}
            recognizer = bundle.build_recognizer(Path(scratch), replace(draft, models=files), runtime, threads=1)
            test = play(recognizer, split.test, cache, split.labels)
            figures[scheme] = {
                mode: summarize(probabilities(logits, 1.0), test.truth, split.test, split.labels)
                for mode, logits in (("whole", test.whole), ("stream", test.stream))
            }
            if scheme == "float32":
                dev = play(recognizer, split.dev, cache, split.labels)
                decision, _ = choose_decision(dev.decisions, dev.truth[dev.owner], COVERAGE)
                worth = judge_decision(test.decisions, test.truth[test.owner], decision)
    return {"figures": figures, "confidence": asdict(decision) | asdict(worth)}


@dataclass(frozen=True)
class Played:
    """Results of some clips; logits `(n, n_classes)`."""

    truth: np.ndarray
    whole: np.ndarray
    stream: np.ndarray
    decisions: np.ndarray
    """Logits of every decision"""
    owner: np.ndarray
    """Clip of each decision"""


def play(recognizer: StreamingRecognizer, clips: tuple[Utterance, ...], cache: AudioCache, labels) -> Played:
    """Play clips through the stream, and through the listening loop."""
    whole, stream, decisions, owner = [], [], [], []
    loop = UtteranceRecognizer(recognizer, make_vad("energy", recognizer.features.sample_rate))
    for index, u in enumerate(clips):
        waveform = cache.waveform(u.name)
        decided = clip_decisions(recognizer, waveform)
        loop.reset()
        events = loop.push(waveform) + loop.flush()
        spoken = [e.logits for e in events if isinstance(e, StreamResult) and e.logits is not None]
        whole.append(decided.mean(axis=0))
        stream.append(np.mean(spoken or decided, axis=0))
        decisions.append(decided)
        owner += [index] * len(decided)
    truth = np.array([labels.index(u.emotion) for u in clips])
    return Played(truth, np.stack(whole), np.stack(stream), np.concatenate(decisions), np.array(owner))


def pool(recipe: str, protocol: str) -> None:
    """Figures over all folds, for every seed with all folds, and the mean over these seeds."""
    folds = range(n_folds(protocol))
    seeds = {}
    for path in RUNS.glob(f"{recipe}-{protocol}-fold*-seed*/evaluation.json"):
        made = read_json(path.with_name("metrics.json"))
        seeds.setdefault(made["seed"], {})[made["fold"]] = read_json(path)
    whole = {seed: made for seed, made in seeds.items() if set(made) == set(folds)}
    if not whole:
        return
    evaluations = [fold["figures"] for made in whole.values() for fold in made.values()]
    for seed, made in whole.items():
        values = {key: float(np.mean([fold["confidence"][key] for fold in made.values()])) for key in CONFIDENCE}
        curves = np.mean([fold["confidence"]["curve"] for fold in made.values()], axis=0)
        row = {"protocol": protocol, "model": f"crnn {recipe}", "seed": seed, **values, "curve": curves.tolist()}
        add_row(RESULTS / "confidence.json", row, ("protocol", "model", "seed"))
    corpus = protocol_facts(protocol)["corpus"]
    sexes = corpora.sexes([corpus])
    for scheme in (scheme for scheme in SCHEMES if all(scheme in each for each in evaluations)):
        for mode in MODES:
            figures = {seed: [fold["figures"][scheme][mode] for fold in made.values()] for seed, made in whole.items()}
            confusions = {seed: [fold["confusion_by_speaker"] for fold in made] for seed, made in figures.items()}
            row = {
                "protocol": protocol,
                "corpus": corpus,
                "model": f"crnn {recipe}",
                "scheme": scheme,
                "mode": mode,
                **over_seeds(confusions, sexes),
                "uar_fold_mean": float(np.mean([fold["uar"] for made in figures.values() for fold in made])),
            }
            add_row(RESULTS / "accuracy_pooled.json", row, ("protocol", "model", "scheme", "mode"))


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
