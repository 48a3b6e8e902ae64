"""The whole way once, measured: train a fold, compress it, and stream test recordings without torch.

    SER_DATA=FOLDER python -m benchmarks.spine --fold 0

Runs the three scripts as a user would. Resumable: a finished run or bundle is used as it is. Writes rows to
benchmarks/results/accuracy.json and compression.json, and the streamed clips to streamed.json.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.results import add_row
from crnn import prepare as preparation
from crnn.run import RunFolder

RESULTS = Path("benchmarks/results")


def call(*command: object, python: str = sys.executable) -> str:
    """Run a script of this project to its end and return what it printed."""
    return subprocess.run([python, *map(str, command)], stdout=subprocess.PIPE, text=True, check=True).stdout


def accuracy_row(metrics: dict) -> dict:
    test = metrics["test"]
    keys = ("protocol", "split_hash", "corpus", "fold", "seed", "n_params", "macs_per_window")
    figures = ("uar", "uar_ci95", "wa", "wa_ci95", "macro_f1", "ece", "n_clips")
    return (
        {key: metrics[key] for key in keys}
        | {"model": "crnn default", "scheme": "float32", "mode": "whole"}
        | {key: test[key] for key in figures}
        | {"dev_uar": metrics["dev"]["uar"], "epochs": len(metrics["history"])}
        | {key: metrics["training"][key] for key in ("seconds_per_epoch", "utterances_per_second", "data_wait_share")}
    )


def stream_rows(bundle: Path, run: RunFolder, python: str, count: int) -> list[dict]:
    """Stream recordings of different test speakers and emotions, decided by the mean of their decisions."""
    config, data, _ = run.read_config()
    split = preparation.prepare(config, data).split
    rows = []
    for number, speaker in enumerate(split.speakers("test")[:count]):
        clips = [u for u in split.test if u.speaker_id == speaker]
        clip = clips[(7 + 13 * number) % len(clips)]
        lines = [
            json.loads(line)
            for line in call("stream_infer.py", bundle, clip.path, "--json", python=python).splitlines()
        ]
        decided = [line for line in lines if "probs" in line]
        mean = {label: sum(line["probs"][label] for line in decided) / len(decided) for label in split.labels}
        top = max(mean, key=mean.get)
        rows.append(
            {
                "clip": clip.name,
                "speaker": speaker,
                "intended": clip.emotion,
                "hops": len(lines),
                "decisions": len(decided),
                "decided": top,
                "probability": mean[top],
                "last": decided[-1]["emotion"],
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--protocol", default="ravdess-luna5")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device-python", default=sys.executable, help="Python of an environment without torch")
    parser.add_argument(
        "--quantize-python", default=sys.executable, help="Python of an environment with the tflite extra"
    )
    args = parser.parse_args()
    name = f"{args.protocol}-fold{args.fold}-seed{args.seed}"
    run, bundle = RunFolder(Path("runs") / name), Path("bundles") / name
    call(
        "train.py", "--protocol", args.protocol, "--fold", args.fold, "--seed", args.seed, "--out", run.path, "--resume"
    )
    add_row(
        RESULTS / "accuracy.json", accuracy_row(run.read("metrics")), ("protocol", "fold", "seed", "model", "scheme")
    )
    if not bundle.exists():
        made = json.loads(call("quantize.py", run.path, "--out", bundle, "--json", python=args.quantize_python))
        manifest = json.loads((bundle / "bundle.json").read_text())
        for row in made["rows"]:
            compression = {
                "bundle": name,
                "pruning": manifest["provenance"]["pruning"],
                "macs_per_window": manifest["provenance"]["macs_per_window"],
            }
            add_row(RESULTS / "compression.json", compression | row, ("bundle", "runtime", "scheme"))
    for row in stream_rows(bundle, run, args.device_python, 5):
        add_row(RESULTS / "streamed.json", {"bundle": name} | row, ("bundle", "clip"))


if __name__ == "__main__":
    main()
