"""Gain from a personal profile: UAR of new speakers, without and with their own sentences.

    SER_DATA=FOLDER python -m benchmarks.adaptation.enrolment --set dev         on which the method was chosen
    SER_DATA=FOLDER python -m benchmarks.adaptation.enrolment --set test        read once

Two settings: within a corpus (ravdess-luna5, all folds) and across corpora (cross-leave-one-out: new speakers at other
microphones; its development speakers are dev_unseen). For every speaker, sentences are drawn at random many
times: neutral ones alone, or a number of every emotion. The profile made from them is tested on all other clips of the
speaker. Both figures exclude speakers with too few clips. Intervals are over speakers. Needs finished runs; rows
go to benchmarks/results/enrolment.json.
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.harness import corpora, recipes
from benchmarks.harness.jobs import Job
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.data import prepare as preparation
from crnn.data.loaders import EvalClips
from crnn.metrics import speaker_interval, uar
from edge.enroll.fit import Strength, make_profile
from edge.export.speaker_stats import clip_means, describe, some_of_each
from edge.export.trained import load_trained
from edge.stream.profile import NEUTRAL, Speakers

RESULTS = Path("benchmarks/results/enrolment.json")
WITHIN = "ravdess-luna5"
KINDS = {"neutral": (1, 2, 3), "emotions": (1, 2, 3)}
"""Emotions, and the number of sentences of each"""
KEY = ("protocol", "corpus", "set", "recipe", "seed", "kind", "clips_per_class")


@dataclass(frozen=True)
class Material:
    """Clips of one fold's development or test speakers, under the trained model."""

    corpus: str
    split_hash: str
    labels: tuple[str, ...]
    spread: Speakers
    logits: np.ndarray
    pooled: np.ndarray
    truth: np.ndarray
    voices: np.ndarray
    """Speaker of each clip"""


def material(job: Job, part: str) -> Material:
    """`part`: dev or test; across corpora dev is `dev_unseen`, the held-out corpus's own development speakers."""
    trained = load_trained(job.folder)
    _, data, _ = job.folder.read_config()
    prepared = preparation.prepare(trained.config, data)
    split = prepared.split
    job.folder.check_split(split)

    def process(utterances: list) -> tuple[EvalClips, np.ndarray, np.ndarray]:
        clips = EvalClips(prepared.cache, utterances, split.labels, trained.config)
        return clips, *clip_means(trained.model, trained.config, clips)

    clips, logits, pooled = process(some_of_each(split.train))
    spread = describe(logits, pooled, clips.labels, np.array([u.speaker for u in clips.utterances]), split.labels)
    across = job.protocol in recipes.HELD_OUT
    clips, logits, pooled = process(list(split.test if part == "test" else split.dev_unseen if across else split.dev))
    tested = clips.utterances[0].corpus
    return Material(
        corpora.title(data[tested]),
        split.hash,
        split.labels,
        spread,
        logits,
        pooled,
        clips.labels,
        np.array([u.speaker for u in clips.utterances]),
    )


@dataclass
class Tally:
    """Speaker -> confusion matrices `(2, n_classes, n_classes)`, without and with a profile, one per draw."""

    by_speaker: dict[str, list[np.ndarray]] = field(default_factory=dict)
    too_few: set[str] = field(default_factory=set)
    """Speakers with too few clips"""

    def row(self) -> dict:
        voices = sorted(self.by_speaker)
        matrices = np.stack([np.mean(self.by_speaker[voice], axis=0) for voice in voices])
        gains = [uar(after) - uar(before) for before, after in matrices]
        return {
            "uar": uar(matrices[:, 1].sum(axis=0)),
            "uar_ci95": speaker_interval(matrices[:, 1], uar),
            "uar_without": uar(matrices[:, 0].sum(axis=0)),
            "uar_without_ci95": speaker_interval(matrices[:, 0], uar),
            "gain_ci95": speaker_interval(matrices, lambda both: uar(both[1]) - uar(both[0])),
            "worst_speaker": voices[int(np.argmin(gains))],
            "worst_speaker_delta": min(gains),
            "speakers_better": float(np.mean(np.array(gains) > 0)),
            "n_speakers": len(voices),
            "n_speakers_too_few_clips": len(self.too_few),
        }


def draws_of(m: Material, voice: str, kind: str, n: int, n_draws: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The clips of one speaker for the profile and those for the test; none if there are too few."""
    mine = np.flatnonzero(m.voices == voice)
    classes = [m.labels.index(NEUTRAL)] if kind == "neutral" else range(len(m.labels))
    of_class = [mine[m.truth[mine] == c] for c in classes]
    if min(len(clips) for clips in of_class) <= n:  # at least one remains for the test
        return
    rng = np.random.default_rng([*voice.encode(), n])
    for _ in range(n_draws):
        enrolled = np.concatenate([rng.choice(clips, n, replace=False) for clips in of_class])
        yield enrolled, np.setdiff1d(mine, enrolled)


def judge(m: Material, kind: str, n: int, n_draws: int, strength: Strength, tally: Tally) -> None:
    for voice in sorted(set(m.voices)):
        enough = False
        for enrolled, judged in draws_of(m, voice, kind, n, n_draws):
            enough = True
            emotions = [m.labels[c] for c in m.truth[enrolled]]
            profile = make_profile("", m.labels, m.spread, m.logits[enrolled], m.pooled[enrolled], emotions, strength)
            before, after = m.logits[judged], profile.adapt(m.logits[judged], m.pooled[judged])
            both = np.zeros((2, len(m.labels), len(m.labels)))
            for matrix, logits in zip(both, (before, after), strict=True):
                np.add.at(matrix, (m.truth[judged], logits.argmax(axis=1)), 1)
            tally.by_speaker.setdefault(voice, []).append(both)
        if not enough:
            tally.too_few.add(voice)


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--set", choices=("dev", "test"), default="dev", dest="part")
    parser.add_argument(
        "--within", default=recipes.TUNED, choices=recipes.RECIPES, help="recipe of the runs within a corpus"
    )
    parser.add_argument("--across", default=recipes.SHIPS, choices=recipes.RECIPES, help="of those across corpora")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=50)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    strength = Strength()
    across = [[job] for job in recipes.jobs(args.across, [recipes.CROSS], [args.seed])]
    for jobs in [recipes.jobs(args.within, [WITHIN], [args.seed]), *across]:
        materials = [material(job, args.part) for job in jobs]
        for kind, counts in KINDS.items():
            for n in counts:
                tally = Tally()
                for m in materials:
                    judge(m, kind, n, args.draws, strength, tally)
                if not tally.by_speaker:
                    continue
                row = {
                    "protocol": jobs[0].protocol,
                    "corpus": materials[0].corpus,
                    "set": args.part,
                    "recipe": jobs[0].recipe,
                    "seed": args.seed,
                    "split_hash": ", ".join(m.split_hash for m in materials),
                    "kind": kind,
                    "clips_per_class": n,
                    **tally.row(),
                    "n_draws": args.draws,
                    "strength": vars(strength),
                }
                add_row(RESULTS, row, KEY)
                figures = ("uar_without", "uar", "worst_speaker_delta")
                print(row["protocol"], row["corpus"], kind, n, *(f"{100 * row[f]:+.1f}" for f in figures), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
