"""Gain from corrections: UAR of a speaker not in training against the number of corrected clips.

    SER_DATA=FOLDER python -m benchmarks.adaptation.corrections --set dev      on which strategy and recipe were chosen
    SER_DATA=FOLDER python -m benchmarks.adaptation.corrections --set test     read once

Of each speaker's two sentences (`benchmarks.adaptation.homes`) the loop processes one: a number of its clips get their
true emotion, either the least certain ones, as the loop stores them, or random ones. Then the model learns as a
user's would, and is tested on the other sentence:

- `train`: train.py --config configs/corrections.yaml --init RUN --data ravdess:FOLDER corrections:FOLDER, by the same
  functions in this process; a test compares the two bit by bit;
- `profile`: python -m edge.enroll --folder, if the corrections hold every emotion; otherwise no profile.

Not simulated: the VAD (whole clips are processed) and mistakes (every correction is right). Needs finished runs of
benchmarks.accuracy.within_corpus and trains in their precision. Every result is stored in $SER_RUNS/corrections; an
interrupted run continues. Rows go to benchmarks/results/active_learning.json; docs/images/corrections.svg is drawn
from those of the test speakers.
"""

import argparse
import contextlib
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from benchmarks.adaptation.homes import (
    ALL,
    NONE,
    RANDOM,
    UNCERTAINTY,
    Fold,
    Person,
    augmentation,
    judge,
    open_fold,
    order,
)
from benchmarks.adaptation.learners import Profiles, Training
from benchmarks.harness import recipes
from benchmarks.harness.jobs import RUNS
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.data.corpora import Utterance
from crnn.errors import require
from crnn.files.atomic import write_text
from crnn.metrics import speaker_interval, uar

RESULTS = Path("benchmarks/results/active_learning.json")
PLOT = Path("docs/images/corrections.svg")
SETTINGS = Path("configs/corrections.yaml")
KEY = ("protocol", "set", "recipe", "seed", "method", "strategy", "n_corrections", "settings")
COUNTS = (0, 4, 8, 16, 30)
"""Numbers of corrections; 30 clips are the whole pool, so nothing is chosen"""


@dataclass(frozen=True)
class Case:
    """One simulation."""

    person: Person
    strategy: str
    draw: int
    n: int

    @property
    def name(self) -> str:
        return f"{self.person.voice.replace(':', '-')}-{self.strategy}{self.draw}-{self.n}"


def cases(fold: Fold, strategies: Sequence[str], counts: Sequence[int], draws: int) -> Iterator[Case]:
    for person in fold.people:
        for n in counts:
            chosen = strategies if 0 < n < len(person.pool) else [ALL if n else NONE]
            for strategy in chosen:
                for draw in range(draws if strategy == RANDOM else 1):
                    yield Case(person, strategy, draw, n)


def simulate(fold: Fold, method: str, described: str, case: Case, learn: Callable[[list[Utterance]], dict]) -> dict:
    """Result of a case, computed or read from an earlier run."""
    key = hashlib.sha256(f"{fold.split.hash} {described}".encode()).hexdigest()[:12]
    path = RUNS / "corrections" / f"{fold.run.path.name}-{method}-{key}" / f"{case.name}.json"
    if not path.is_file():
        corrected = order(fold, case.person, case.strategy, case.draw)[: case.n]
        write_text(path, json.dumps(learn(corrected)))
    return json.loads(path.read_text(encoding="utf-8"))


def row_of(by_voice: dict[str, list[dict]]) -> dict:
    """Speaker -> result of each draw."""
    voices = sorted(by_voice)
    uars = np.array(
        [
            [np.mean([uar(np.array(made[key])) for made in by_voice[voice]]) for key in ("before", "confusion")]
            for voice in voices
        ]
    )
    gain = uars[:, 1] - uars[:, 0]
    every = [made for draws in by_voice.values() for made in draws]

    def mean(key: str) -> float | None:
        return float(np.mean([made[key] for made in every])) if all(key in made for made in every) else None

    return {
        "uar": float(uars[:, 1].mean()),
        "uar_ci95": over_speakers(uars[:, 1]),
        "uar_without": float(uars[:, 0].mean()),
        "gain_ci95": over_speakers(gain),
        "worst_speaker_delta": float(gain.min()),
        "speakers_better": float((gain > 0).mean()),
        "dev_uar": mean("dev_uar"),
        "dev_uar_without": mean("dev_uar_without"),
        "profiles_made": mean("made"),
        "n_speakers": len(voices),
        "n_draws": max(map(len, by_voice.values())),
        "per_speaker_uar": dict(zip(voices, uars[:, 1].tolist(), strict=True)),
    }


def over_speakers(values: np.ndarray) -> list[float] | None:
    """95 % interval of a mean over speakers."""
    return speaker_interval(values, lambda total: total / len(values))


TITLES = {"train": "trained on (train.py)", "profile": "a profile (edge.enroll)"}
LINES = {UNCERTAINTY: ("the least certain", "tab:red", "o-"), RANDOM: ("random ones", "tab:blue", "s--")}


def plot(path: Path) -> None:
    """UAR of the test speakers against the number of corrections, least certain and random clips, by method."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    rows = [row for row in json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if row["set"] == "test"]
    methods = [method for method in TITLES if any(row["method"] == method for row in rows)]
    if not methods:
        return
    figure = Figure(figsize=(4.5 * len(methods), 3.6), layout="constrained")
    for axes, method in zip(np.atleast_1d(figure.subplots(1, len(methods), sharey=True)), methods, strict=True):
        mine = [row for row in rows if row["method"] == method]
        whole = [row for row in mine if row["strategy"] == ALL]
        for shift, (strategy, (name, shade, look)) in enumerate(LINES.items()):
            found = sorted((r for r in mine if r["strategy"] == strategy), key=lambda r: r["n_corrections"])
            points = [(0, mine[0]["uar_without"], None)]
            points += [(r["n_corrections"], r["uar"], r["uar_ci95"]) for r in [*found, *whole]]
            axes.plot([n for n, *_ in points], [100 * u for _, u, _ in points], look, color=shade, label=name)
            for n, _, ends in points[1:]:
                axes.vlines(n + 0.3 * shift, 100 * ends[0], 100 * ends[1], color=shade, alpha=0.35)
        axes.set(xlabel="corrections", title=f"{TITLES[method]}, {mine[0]['n_speakers']} speakers")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("UAR on what was not corrected, %")
    figure.axes[0].legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "corrections"}):  # the same figures give the same file
        figure.savefig(path, format="svg", metadata={"Date": None})


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--set", choices=("dev", "test"), default="dev", dest="part")
    parser.add_argument("--method", choices=("train", "profile"), default="train")
    parser.add_argument("--recipe", default=recipes.TUNED, choices=recipes.RECIPES)
    parser.add_argument("--protocol", default="ravdess-luna5")
    parser.add_argument("--folds", nargs="+", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="of train.py, for --method train")
    parser.add_argument("--strategies", nargs="+", choices=(UNCERTAINTY, RANDOM), default=[UNCERTAINTY, RANDOM])
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    parser.add_argument("--draws", type=int, default=2, help="of random corrections")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    with contextlib.redirect_stdout(sys.stderr):  # Lightning's progress
        for line in run(args):
            sys.__stdout__.write(line + "\n")
            sys.__stdout__.flush()
    plot(PLOT)
    return 0


def run(args: argparse.Namespace) -> Iterator[str]:
    """The simulations, and their rows; a line for each row."""
    settings = yaml.safe_load(args.settings.read_text(encoding="utf-8"))
    require(isinstance(settings, dict) and "optim" in settings, f"{args.settings}: not settings of train.py with optim")
    described = " ".join(f"{k}={v}" for k, v in settings["optim"].items()) if args.method == "train" else ""
    augment = augmentation()
    results: dict[tuple[str, int], dict[str, list[dict]]] = {}
    hashes = []
    for job in recipes.jobs(args.recipe, [args.protocol], [args.seed], args.folds):
        fold = open_fold(job.folder, args.part, augment)
        hashes.append(fold.split.hash)
        learner = Profiles(fold) if args.method == "profile" else Training(fold, settings)
        before = {person: judge(fold, fold.trained.model, person.judged).tolist() for person in fold.people}
        for case in cases(fold, args.strategies, args.counts, args.draws):
            learn = partial(learner.learn, case.person)
            made = simulate(fold, args.method, described, case, learn) | {"before": before[case.person]}
            results.setdefault((case.strategy, case.n), {}).setdefault(case.person.voice, []).append(made)
        for (strategy, n), by_voice in results.items():
            row = {
                "protocol": args.protocol,
                "corpus": "ravdess",
                "set": args.part,
                "split_hash": ", ".join(hashes),
                "recipe": args.recipe,
                "seed": args.seed,
                "method": args.method,
                "strategy": strategy,
                "n_corrections": n,
                **row_of(by_voice),
                "settings": described,
            }
            add_row(RESULTS, row, KEY)
            low, high = row["gain_ci95"] or (0.0, 0.0)
            yield (
                f"{len(hashes)} folds, {args.method} {strategy:11} {n:2}: UAR {row['uar_without']:.1%} to "
                f"{row['uar']:.1%}, gain {low:+.1%} to {high:+.1%}, worst {row['worst_speaker_delta']:+.1%}, "
                f"others {row['dev_uar'] or 0:.1%}"
            )


if __name__ == "__main__":
    sys.exit(main())
