"""What a run without labels is worth: a head of 256 on its frozen model, and fine-tuning, against random weights.

    SER_DATA=FOLDER python -m benchmarks.accuracy.self_supervised --runs RUN --protocol emodb-loso --fold 0

The frozen model gives the CNN steps and LSTM states of every clip; a linear layer of 256, ReLU, the mean over the clip
and a linear layer learn the classes from them (as emotion2vec is judged). Fine-tuning is train.py, from each RUN and
from random weights, with the same steps. Development speakers alone; no test speaker is read. Resumable; a row per
start and seed to benchmarks/results/self_supervision.json.
"""

import argparse
import logging
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.harness import corpora
from benchmarks.harness.jobs import Job, run_all
from benchmarks.harness.results import add_row, rows_of
from crnn.cli.command import command
from crnn.data.cache import AudioCache
from crnn.data.loaders import EvalClips, eval_loader
from crnn.data.prepare import Prepared, prepare, without_test
from crnn.data.protocols import Split
from crnn.errors import require
from crnn.metrics import dev_uar
from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig
from crnn.training.initial_weights import Start, refuse_trained_on, start_of_run
from crnn.training.run_folder import RunFolder

RESULTS = Path("benchmarks/results")
FIGURES = ("head_uar", "tuned_uar", "tuned_epochs")
FILE = "self_supervision.json"
KEY = ("protocol", "fold", "seed", "start")
RANDOM = "random weights"
UNITS = 256
"""Of the head on the frozen model"""
STEPS, RATE, BATCH = 600, 1e-3, 32
"""Of that head's training: Adam"""


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", nargs="+", type=Path, default=[], help="runs without labels, all of one shape")
    parser.add_argument("--protocol", default="emodb-loso")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--epochs", type=int, default=15, help="of fine-tuning, 320 clips each; 0 = the frozen head alone"
    )
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    data = corpora.folders(args.protocol, args.fold)
    require(args.epochs >= 0, f"--epochs is {args.epochs}; give 0 or more")
    starts: dict[str, Start | None] = {RANDOM: None} | {run.name: start_of_run(run) for run in args.runs}
    shapes = {(start.features, start.model, start.window) for start in starts.values() if start}
    require(len(shapes) <= 1, f"--runs {' '.join(map(str, args.runs))}: their models differ in shape; give one shape")
    features, model, window = next(iter(shapes), (RunConfig().features, RunConfig().model, RunConfig().window))
    config = RunConfig(protocol=args.protocol, fold=args.fold, features=features, model=model, window=window)
    prepared = without_test(prepare(config, data))
    for start in starts.values():
        if start:
            refuse_trained_on(start, prepared.split)
    rows = {}
    for seed in args.seeds:
        for name, start in starts.items():
            row = about(args, prepared.split, name) | {"seed": seed, "head_steps": STEPS}
            known = next(iter(rows_of(RESULTS / FILE, **row)), {})
            row |= {figure: known[figure] for figure in FIGURES if figure in known}
            if not known:
                row["head_uar"] = head_uar(frozen(config, start, prepared, seed), config, prepared, seed)
            print(f"{name:24} seed {seed} frozen, head of {UNITS}: UAR {row['head_uar']:.3f}", flush=True)
            rows[name, seed] = row
            add_row(RESULTS / FILE, row, KEY)
    jobs = {tuning(args, name, seed): (name, seed) for name in starts for seed in args.seeds if args.epochs}
    for job in run_all(jobs, args.processes):
        row = rows[jobs[job]]
        row |= {"tuned_uar": job.folder.read("metrics")["dev"]["uar"], "tuned_epochs": args.epochs}
        print(f"{row['start']:24} seed {row['seed']} fine-tuned: UAR {row['tuned_uar']:.3f}", flush=True)
        add_row(RESULTS / FILE, row, KEY)
    return 0


def about(args: argparse.Namespace, split: Split, name: str) -> dict:
    """What identifies a measurement, beside its seed; of a run without labels what it was trained on, and how long."""
    made = {"protocol": args.protocol, "fold": args.fold, "split_hash": split.original_hash, "judged": "dev"}
    made["start"] = name
    for run in args.runs:
        if run.name == name:
            metrics = RunFolder(run).read("metrics")
            made["listened_to"] = metrics["protocol"]
            made["listened_clips"] = metrics["counts"]["train"]["clips"]
            made["listened_epochs"] = metrics["self_supervised"]["epoch"] + 1
    return made


def tuning(args: argparse.Namespace, name: str, seed: int) -> Job:
    """A run of train.py that starts from the run of this name, or from random weights, and reads no test speaker."""
    settings = ("--optim.epochs", str(args.epochs), "--optim.epoch_clips", "320", "--optim.schedule", "cosine")
    settings += ("--test", "false")
    for run in args.runs:
        if run.name == name:
            settings += ("--init", str(run.resolve()))
    return Job(f"tuned-from-{name.replace(' ', '-')}-{args.epochs}", args.protocol, args.fold, seed, settings)


def frozen(config: RunConfig, start: Start | None, prepared: Prepared, seed: int) -> CRNN:
    """The model of a run, or one with random weights that knows mean and scale of the bands of its training clips."""
    torch.manual_seed(seed)
    model = CRNN(config.features, config.model, len(start.labels) if start else 1)
    if start:
        model.load_state_dict(start.weights)
    else:
        inputs = clips_of(prepared.cache, prepared.split, "train", config)
        model.encoder.learn_bands(inputs[index][0] for index in range(len(inputs)))
    return model.eval().requires_grad_(False)


def clips_of(cache: AudioCache, split: Split, part: str, config: RunConfig) -> EvalClips:
    return EvalClips(cache, getattr(split, part), split.labels, config)


@torch.no_grad()
def outputs(model: CRNN, clips: EvalClips, config: RunConfig) -> tuple[list[Tensor], Tensor]:
    """Steps and states of each clip `(n_steps, d + width)`, and the labels `(n,)`."""
    made, labels, geometry = [], [], config.geometry
    for log_mel, n_samples, label in eval_loader(clips, config):
        for steps, n in zip(model.encoder(log_mel), n_samples.tolist(), strict=True):
            later = geometry.n_intervals(n) - geometry.window_intervals  # decisions after the first
            own = steps[: geometry.window_steps + later * geometry.interval_steps]
            states, _ = model.head.lstm(own[None])
            made.append(torch.cat([own, states[0]], dim=1))
        labels.append(label)
    return made, torch.cat(labels)


def head_uar(model: CRNN, config: RunConfig, prepared: Prepared, seed: int) -> float:
    """UAR on the development speakers of a head that is trained on the outputs of a frozen model."""
    split = prepared.split
    (train, truth), (dev, answers) = (
        outputs(model, clips_of(prepared.cache, split, part, config), config) for part in ("train", "dev")
    )
    every = torch.cat(train)
    mean, scale = every.mean(dim=0), every.std(dim=0).clamp_min(1e-6)
    torch.manual_seed(seed)
    layer, last = nn.Linear(every.shape[1], UNITS), nn.Linear(UNITS, len(split.labels))
    weights = len(truth) / (len(split.labels) * torch.bincount(truth, minlength=len(split.labels)).clamp_min(1))
    optimizer = torch.optim.Adam([*layer.parameters(), *last.parameters()], lr=RATE)

    def logits(clips: list[Tensor]) -> Tensor:
        lengths = [len(clip) for clip in clips]
        hidden = layer((torch.cat(clips) - mean) / scale).relu().split(lengths)
        return last(torch.stack([steps.mean(dim=0) for steps in hidden]))

    for _ in range(STEPS):
        chosen = torch.randperm(len(train))[:BATCH].tolist()
        loss = nn.functional.cross_entropy(logits([train[place] for place in chosen]), truth[chosen], weight=weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float(dev_uar(logits(dev).softmax(-1), answers))


if __name__ == "__main__":
    sys.exit(main())
