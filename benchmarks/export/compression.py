"""Every scheme under every runtime: bytes, speed, memory and loss of accuracy, of trained runs.

    SER_DATA=FOLDER PYTHON -m benchmarks.export.compression RUN [--pruned BUNDLE ...]

PYTHON: of an environment with the tflite extra, for both runtimes. Nothing is trained or pruned: a pruned model comes
from a float32 bundle that `quantize.py RUN --prune SHARE --scheme float32 --formats onnx` made of the run before. Each
row is a bundle for one runtime; `bytes` counts all its files. Flips and differences are relative to the same model in
torch, losses to the unpruned one. `dev_*`, flips and differences are of the development speakers, on whom schemes and
shares are chosen; `uar` and `uar_drop` are of the fold's test speakers, read once, for the reported rows. Speeds are
medians of interleaved rounds on this machine, also given as ratios to the float32 ONNX files of the unpruned model.
Writes benchmarks/results/compression.json and docs/images/compression.svg.
"""

import argparse
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from benchmarks.harness.results import add_row
from benchmarks.harness.results import rows as measured
from crnn.cli.command import command
from crnn.data import prepare as preparation
from crnn.data.loaders import EvalClips
from crnn.errors import require
from crnn.metrics import speaker_interval, uar
from crnn.models.cost import count_macs, count_parameters
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from crnn.training.run_folder import RunFolder
from edge import bundle
from edge.export import verify
from edge.export.exporters import calibration_blocks, export_all, exporter
from edge.export.limits import ExportLimits
from edge.export.source import draft_of
from edge.export.speaker_stats import some_of_each, speakers_of
from edge.export.tensor_types import bytes_by_type, inventory
from edge.export.trained import Trained, load_trained
from edge.export.weights import start_of_bundle
from edge.runtimes import REGISTRY
from edge.stream.profile import save_speakers
from edge.stream.recognizer import StreamingRecognizer

RESULT = Path("benchmarks/results/compression.json")
PLOT = Path("docs/images/compression.svg")
ROUNDS = 15
TICKS = (60, 100, 150, 200, 300, 500, 1000)
PUBLISHED = {"Light-SERNet, float16": 880_000, "kws_streaming CRNN, int8": 472_000, "Wav2Small, int8": 120_000}
"""Bytes of model files as their authors state them; their accuracies are of other tasks and protocols"""
MEMORY = """
import sys
from pathlib import Path
import numpy as np
from edge.bundle import Bundle
recognizer = Bundle.open(Path(sys.argv[1])).recognizer()
recognizer.push(np.zeros(10 * recognizer.features.sample_rate, dtype=np.float32))
status = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", nargs="?", type=Path, help="run folder of train.py; none: draw the figure again")
    parser.add_argument("--pruned", nargs="+", type=Path, default=[], help="float32 bundles that were made of the run")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if args.run is not None:
        with tempfile.TemporaryDirectory() as scratch:
            for row in measure(args.run, args.pruned, Path(scratch)):
                add_row(RESULT, row, ("bundle", "runtime", "scheme", "pruning"))
                print(
                    f"{row['pruning']:4.0%} {row['runtime']:7} {row['scheme']:13} {row['bytes']:>9,} bytes  "
                    f"UAR {row['uar']:.1%} ({-row['uar_drop']:+.1%}), dev {-row['dev_uar_drop']:+.1%}, "
                    f"flips {row['flip_rate']:.2%}, {row['ms_ratio']:.2f} x the time",
                    flush=True,
                )
    draw(measured("compression"))
    return 0


def measure(run: Path, pruned: list[Path], scratch: Path) -> list[dict]:
    """The rows of one run; the unpruned model comes first, with float32 ONNX as its first row."""
    trained = load_trained(RunFolder(run))
    config = trained.config
    prepared = preparation.prepare(config, trained.data)
    trained.check_split(prepared.split)
    labels = prepared.split.labels
    dev, test, voices = (
        EvalClips(prepared.cache, clips, labels, config)
        for clips in (prepared.split.dev, prepared.split.test, some_of_each(prepared.split.train))
    )
    draft = draft_of(config, labels)
    formats = tuple(name for name in REGISTRY if exporter(name).installed())
    blocks = calibration_blocks(dev, config.geometry)
    models = [(0.0, trained.model, config), *(restored(path, trained) for path in pruned)]
    made, recognizers, figures = [], [], []
    for number, (share, model, smaller) in enumerate(models):
        float32 = verify.torch_recognizer(model, draft)
        reference = verify.stream_clips(float32, dev)
        figures.append(
            (
                verify.figures_of(reference, dev, labels),
                verify.figures_of(verify.stream_torch(model, draft, test), test, labels),
            )
        )
        (dev_whole, whole), (dev_own, own) = figures[0], figures[-1]
        frames = config.geometry.frames_for(config.geometry.window_steps)
        facts = {
            "bundle": run.name,
            **{key: trained.metrics[key] for key in ("protocol", "split_hash", "fold", "seed")},
            "pruning": share,
            "channels": smaller.model.channels,
            "lstm_units": smaller.model.lstm_units,
            "n_params": count_parameters(model),
            "macs_per_window": count_macs(model, config.features.n_mels, frames),
            "dev_uar_torch": dev_own["uar"],
            "uar_torch": own["uar"],
        }
        folder = scratch / f"{number}"
        folder.mkdir()
        save_speakers(speakers_of(model, smaller, voices, labels), folder / bundle.SPEAKERS)
        for runtime, scheme, encoder, head in export_all(model, smaller, formats, blocks, folder):
            sealed = folder / f"{runtime}.{scheme}"
            sizes = seal(sealed, draft, runtime, scheme, (encoder, head, folder / bundle.SPEAKERS), float32)
            recognizer = bundle.Bundle.open(sealed).recognizer(runtime)
            recognizers.append(recognizer)
            proof = verify.compare(recognizer, dev, labels, reference, dev_whole["uar"], ExportLimits(), scheme)
            test_figures = verify.figures_of(verify.stream_clips(recognizer, test), test, labels)
            made.append(
                facts
                | {"runtime": runtime, "scheme": scheme, **sizes}
                | {"dev_uar": proof.uar, "dev_uar_drop": proof.uar_drop, "past_limits": list(proof.failures)}
                | {key: getattr(proof, key) for key in ("flip_rate", "max_abs_diff", "ece")}
                | {key: test_figures[key] for key in ("uar", "uar_ci95", "n_clips")}
                | {"uar_drop": whole["uar"] - test_figures["uar"], "uar_drop_ci95": drop_interval(whole, test_figures)}
                | {"rss_mb": memory(sealed), "tensors": bytes_by_type([*inventory(encoder), *inventory(head)])}
            )
    return [row | speed for row, speed in zip(made, speeds(recognizers), strict=True)]


def restored(path: Path, trained: Trained) -> tuple[float, CRNN, RunConfig]:
    """Share, model and configuration of a pruned float32 bundle of the run. Raises InputError for another run."""
    start, origin = start_of_bundle(path, str(path)), bundle.Bundle.open(path).manifest.provenance
    for key in ("protocol", "fold", "split_hash", "seed"):
        require(
            origin.get(key) == trained.metrics[key], f"{path}: its {key} is {origin.get(key)}, the run's is another"
        )
    require("pruning" in origin, f"{path}: does not say its pruning; make it by quantize.py --prune")
    config = replace(trained.config, model=start.model)
    model = CRNN(config.features, config.model, len(start.labels))
    model.load_state_dict(start.weights)
    return origin["pruning"], model.eval(), config


def seal(
    folder: Path,
    draft: bundle.Manifest,
    runtime: str,
    scheme: str,
    files: tuple[Path, Path, Path],
    float32: StreamingRecognizer,
) -> dict[str, int]:
    """Make a bundle of encoder, head and speaker statistics; returns its sizes."""
    encoder, head, _ = files
    folder.mkdir()
    for path in files:
        shutil.copy(path, folder)
    names = asdict(bundle.ModelFiles(scheme, encoder.name, head.name))
    bundle.seal(folder, replace(draft, models={runtime: names}), float32)
    return {
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "model_bytes": encoder.stat().st_size + head.stat().st_size,
    }


def drop_interval(ours: dict, theirs: dict) -> list[float] | None:
    """95 % interval of the lost UAR over speakers; both models get the same drawn speakers."""
    both = [[ours["confusion_by_speaker"][s], theirs["confusion_by_speaker"][s]] for s in ours["confusion_by_speaker"]]
    return speaker_interval(np.array(both), lambda pair: uar(pair[0]) - uar(pair[1]))


def speeds(recognizers: list) -> list[dict]:
    """Median cost of each. Every round measures all, so that other load affects all of them equally."""
    rounds = [[verify.cost(recognizer, repeats=1) for recognizer in recognizers] for _ in range(ROUNDS)]
    rate, interval = recognizers[0].features.sample_rate, recognizers[0].geometry.interval_samples
    made = []
    for number in range(len(recognizers)):
        windows, intervals = zip(*(timed[number] for timed in rounds), strict=True)
        made.append(
            {
                "ms_per_window": 1000 * statistics.median(windows),
                "ms_per_interval": 1000 * statistics.median(intervals),
                "rtf": statistics.median(intervals) * rate / interval,
                "ms_ratio": statistics.median(timed[number][0] / timed[0][0] for timed in rounds),
                "interval_ratio": statistics.median(timed[number][1] / timed[0][1] for timed in rounds),
            }
        )
    return made


def memory(folder: Path) -> float:
    """Peak resident memory of a process that opens the bundle and processes 10 s, MB."""
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", MEMORY, str(folder)]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return int(printed) / 1024


def draw(rows: list[dict]) -> None:
    """Bytes against UAR, and against time; pruned models have hollow markers."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "compression"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    quality, speed = figure.subplots(1, 2)
    markers = dict(zip(REGISTRY, "osD^", strict=False))
    colours = {scheme: f"C{number}" for number, scheme in enumerate(dict.fromkeys(r["scheme"] for r in rows))}
    seen = set()
    for row in rows:
        label = f"{row['scheme']}, {row['runtime']}"
        style = {
            "marker": markers[row["runtime"]],
            "color": colours[row["scheme"]],
            "fillstyle": "none" if row["pruning"] else "full",
            "linestyle": "none",
            "label": None if label in seen else label,
        }
        seen.add(label)
        low, high = row["uar_ci95"]
        at = 100 * row["uar"]
        quality.errorbar(row["bytes"] / 1000, at, [[at - 100 * low], [100 * high - at]], elinewidth=0.5, **style)
        speed.plot(row["bytes"] / 1000, row["ms_ratio"], **style)
    for axes in (quality, speed):
        axes.set(xscale="log", xlabel="whole bundle for one runtime, kB")
        axes.set_xticks(TICKS, [str(tick) for tick in TICKS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        for name, size in PUBLISHED.items():
            axes.axvline(size / 1000, color="grey", linestyle=":", linewidth=1)
            axes.text(size / 1000, 0.02, name, rotation=90, fontsize=6, transform=axes.get_xaxis_transform())
    quality.set(ylabel="UAR on test speakers, % (95 % interval)")
    speed.set(ylabel="time per window, float32 ONNX = 1", ylim=(0, None))
    speed.legend(fontsize=7)
    figure.savefig(PLOT, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
