"""The reference table: the recipe under speaker-independent protocols, whole-clip and streamed, float and int8.

    SER_DATA=FOLDER python -m benchmarks.accuracy --protocols ravdess-luna5 ravdess-emobox6 emodb-loso --seeds 0 1 2

Each fold starts from the cross-leave-one-out run of the same seed that has not heard the protocol's corpus, and goes on
with `train.py` on the fold. Then the test speakers are read, once: every clip is played through the exported ONNX files
in hops, and decided by the mean of all decisions, `flush` included (`whole`), or of those the gate calls speech
(`stream`). Resumable; writes a row per fold, seed, scheme and mode to benchmarks/results/accuracy.json, and the figures
over all folds to accuracy_pooled.json.
"""

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import corpora, recipes
from benchmarks.jobs import RUNS, Job, metrics, run_all
from benchmarks.pooled import pooled
from benchmarks.results import add_row
from crnn import prepare as preparation
from crnn.corpora import Utterance
from crnn.metrics import summarize
from crnn.protocols import protocol_facts
from crnn.run import write_text
from edge import bundle
from edge.compress import export_all, load_trained
from edge.decision import DecisionConfig, probabilities
from edge.streaming import State, StreamingRecognizer

RESULTS = Path("benchmarks/results")
MODES = ("whole", "stream")
KEYS = ("uar", "uar_ci95", "wa", "macro_f1", "ece", "n_clips")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--protocols", nargs="+", default=["ravdess-luna5", "ravdess-emobox6", "emodb-loso"])
    parser.add_argument("--recipe", choices=recipes.RECIPES, default="final")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--folds", nargs="+", type=int)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    wanted = [
        recipes.job(args.recipe, protocol, fold, seed)
        for seed in args.seeds
        for protocol in args.protocols
        for fold in range(recipes.n_folds(protocol))
        if args.folds is None or fold in args.folds
    ]
    for job in run_all(wanted, args.processes):
        for row in rows(job):
            add_row(RESULTS / "accuracy.json", row, ("protocol", "fold", "seed", "model", "scheme", "mode"))
            if (row["scheme"], row["mode"]) == ("float32", "whole"):
                print(f"{job.name:50} dev {row['dev_uar']:.3f}  test {row['uar']:.3f}", flush=True)
        pool(job.recipe, job.protocol)


def rows(job: Job) -> list[dict]:
    """The test figures of one finished run; read from its folder where they have been made before."""
    done = job.folder.path / "evaluation.json"
    if not done.is_file():
        write_text(done, json.dumps(evaluate(job)))
    made, trained = json.loads(done.read_text(encoding="utf-8")), metrics(job)
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
            "epochs": len(trained["history"]),
            "seconds_per_epoch": trained["training"]["seconds_per_epoch"],
            "data_wait_share": trained["training"]["data_wait_share"],
        }
        for scheme, modes in made.items()
        for mode, figures in modes.items()
    ]


def evaluate(job: Job) -> dict[str, dict[str, dict]]:
    """Scheme -> mode -> figures on the test speakers, from the exported files."""
    trained = load_trained(job.folder)
    prepared = preparation.prepare(trained.config, trained.data)
    job.folder.check_split(prepared.split)
    labels, test = prepared.split.labels, prepared.split.test
    draft = bundle.Manifest(
        bundle.SCHEMA, labels, trained.config.features, trained.config.geometry, DecisionConfig(), {}, {}
    )
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        for runtime, scheme, encoder, head in export_all(trained.model, trained.config, ("onnx",), Path(scratch)):
            files = {runtime: {"scheme": scheme, "encoder": encoder.name, "head": head.name}}
            manifest = bundle.Manifest(**(vars(draft) | {"models": files}))
            recognizer = bundle.build_recognizer(Path(scratch), manifest, runtime, threads=1)
            figures[scheme] = play(recognizer, test, prepared.cache, labels)
    return figures


def play(recognizer: StreamingRecognizer, clips: tuple[Utterance, ...], cache, labels: tuple[str, ...]) -> dict:
    """Mode -> figures of clips played through the stream hop by hop."""
    logits = {mode: [] for mode in MODES}
    hop = recognizer.geometry.hop_samples
    for u in clips:
        recognizer.reset()
        waveform = cache.waveform(u.name)
        results = [r for start in range(0, len(waveform), hop) for r in recognizer.push(waveform[start : start + hop])]
        decided = [r for r in results + recognizer.flush() if r.logits is not None]
        spoken = [r.logits for r in decided if r.state is State.SPEECH]
        logits["whole"].append(np.mean([r.logits for r in decided], axis=0))
        logits["stream"].append(np.mean(spoken, axis=0) if spoken else logits["whole"][-1])
    truth = np.array([labels.index(u.emotion) for u in clips])
    return {mode: summarize(probabilities(np.stack(made), 1.0), truth, clips, labels) for mode, made in logits.items()}


def pool(recipe: str, protocol: str) -> None:
    """Figures over all folds, for every seed of which all are there, and the mean over these seeds."""
    folds = range(recipes.n_folds(protocol))
    seeds = {}
    for path in RUNS.glob(f"{recipe}-{protocol}-fold*-seed*/evaluation.json"):
        made = metrics_of(path)
        seeds.setdefault(made["seed"], {})[made["fold"]] = json.loads(path.read_text(encoding="utf-8"))
    whole = {seed: made for seed, made in seeds.items() if set(made) == set(folds)}
    if not whole:
        return
    for scheme in ("float32", "dynamic_int8"):
        for mode in MODES:
            per_seed = {
                seed: pooled([fold[scheme][mode]["confusion_by_speaker"] for fold in made.values()])
                for seed, made in sorted(whole.items())
            }
            together = pooled(
                fold[scheme][mode]["confusion_by_speaker"] for made in whole.values() for fold in made.values()
            )
            uars = [figures["uar"] for figures in per_seed.values()]
            row = {
                "protocol": protocol,
                "corpus": protocol_facts(protocol).get("corpus"),
                "model": f"crnn {recipe}",
                "scheme": scheme,
                "mode": mode,
                "seeds": sorted(whole),
                **together,
                "uar_mean": float(np.mean(uars)),
                "uar_sd_over_seeds": float(np.std(uars, ddof=1)) if len(uars) > 1 else None,
                "uar_fold_mean": float(
                    np.mean([fold[scheme][mode]["uar"] for made in whole.values() for fold in made.values()])
                ),
            }
            add_row(RESULTS / "accuracy_pooled.json", row, ("protocol", "model", "scheme", "mode"))


def metrics_of(evaluation: Path) -> dict:
    return json.loads((evaluation.parent / "metrics.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
