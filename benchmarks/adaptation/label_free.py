"""Gain from adaptation without labels: UAR on a speaker's other clips after 10, 20 and 50 utterances.

    SER_DATA=FOLDER python -m benchmarks.adaptation.label_free --set dev        chooses the settings of each method
    SER_DATA=FOLDER python -m benchmarks.adaptation.label_free --set test       with these, read once

Speakers of corpora that were left out of training (leave-one-corpus-out; their development speakers are dev_unseen).
The clips of a speaker are halved at random within each emotion. From one half come 50 utterances, drawn with
replacement: all emotions equally often, or 60 % of them neutral or angry. The other half is recognized before and
after; then the halves change places: one repetition. Figures "by chance" are those of the same changes with a random
sign for each clip: nobody gains or loses, and still some speaker is the worst. Needs finished runs; the model's outputs
are stored in their folders; rows go to benchmarks/results/adaptation.json.
"""

import argparse
import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.adaptation import adapters
from benchmarks.harness import corpora, recipes
from benchmarks.harness.jobs import Job
from benchmarks.harness.results import add_row, rows_of
from crnn.cli.command import command
from crnn.data import prepare as preparation
from crnn.data.loaders import EvalClips
from crnn.errors import require
from crnn.files.atomic import replacing
from crnn.files.npz import read_arrays
from crnn.files.strict import file_hash
from crnn.metrics import speaker_interval
from edge.export.speaker_stats import clip_means
from edge.export.trained import load_trained

RESULTS = Path("benchmarks/results/adaptation.json")
DEV_KEY = ("protocol", "set", "recipe", "seed", "method", "settings")
TEST_KEY = ("protocol", "corpus", "set", "recipe", "seed", "method", "stream")
STREAMS = {"equal": None, "60 % neutral": "neutral", "60 % angry": "angry"}
"""Name -> the most frequent emotion"""
SHARE = 0.6
"""Of the most frequent emotion"""
AFTER = (10, 20, 50)
"""Utterances"""
LOSS = -0.02
"""A speaker with a smaller gain loses. Settings are chosen among those by which at most ALLOWED of the development
speakers do"""
ALLOWED = 0.05
SIGNS = 1000
"""Random draws of the signs"""


def grid(**values: Iterable[float]) -> list[dict[str, float]]:
    return [dict(zip(values, each, strict=True)) for each in product(*values.values())]


METHODS: dict[str, tuple[adapters.Adapter, list[dict[str, float]]]] = {
    "prior": (adapters.prior, grid(strength=(0.5, 0.75, 1), cap=(0.3, 0.5, 1), prior_utterances=(10, 30))),
    "prior by EM": (adapters.prior_by_em, grid(strength=(0.25, 0.5, 1), cap=(0.5, 1), prior_utterances=(10, 30))),
    "centring": (adapters.centring, grid(strength=(0.25, 0.5, 1), prior_utterances=(10, 30))),
    "T3A": (adapters.t3a, grid(most=(1, 5, 20, 100))),
    "class means": (adapters.class_means, grid(strength=(0.1, 0.25, 0.5, 1), prior_utterances=(10,))),
}


@dataclass(frozen=True)
class Clips:
    """Clips of development or test speakers of a corpus that was left out, under the trained model."""

    corpus: str
    split_hash: str
    labels: tuple[str, ...]
    classifier: np.ndarray
    """Its weights `(n_classes, width)`"""
    outputs: adapters.Outputs
    truth: np.ndarray
    voices: np.ndarray
    """Speaker of each clip"""


def clips_of(job: Job, part: str) -> Clips:
    """`part`: dev_unseen or test. The outputs of the model are stored in the run folder, and read from there."""
    trained = load_trained(job.folder)
    prepared = preparation.prepare(trained.config, trained.data)
    split = prepared.split
    job.folder.check_split(split)
    clips = EvalClips(prepared.cache, getattr(split, part), split.labels, trained.config)
    # Named after the weights, so that a run that was trained again is read anew.
    stored = job.folder.path / f"{part}_outputs-{file_hash(job.folder.best_checkpoint)[:12]}.npz"
    if not stored.is_file():
        logits, pooled = clip_means(trained.model, trained.config, clips)
        with replacing(stored) as file:
            np.savez(file, logits=logits, pooled=pooled, truth=clips.labels)
    found = read_arrays(stored)
    require(
        np.array_equal(found["truth"], clips.labels), f"{stored}: of other recordings; remove it and run this again"
    )
    return Clips(
        corpora.title(trained.data[clips.utterances[0].corpus]),
        split.hash,
        split.labels,
        trained.model.head.classifier.weight.detach().numpy(),
        adapters.Outputs(found["logits"], found["pooled"]),
        clips.labels,
        np.array([u.speaker for u in clips.utterances]),
    )


@dataclass(frozen=True)
class Stream:
    """Utterances of one speaker, and the clips on which their use is measured. Indices of clips."""

    past: np.ndarray
    """`(50,)`, in order"""
    tested: np.ndarray


def streams(clips: Clips, voice: str, frequent: str | None, repetitions: int) -> list[tuple[Stream, Stream]]:
    """Each repetition's two streams; together they test every clip of the speaker once. The same for every method."""
    mine = np.flatnonzero(clips.voices == voice)
    truth = clips.truth[mine]
    made = []
    for repetition in range(repetitions):
        rng = np.random.default_rng([*voice.encode(), repetition])
        first = np.zeros(len(mine), dtype=bool)
        for emotion in np.unique(truth):
            of_emotion = rng.permutation(np.flatnonzero(truth == emotion))
            first[of_emotion[: (len(of_emotion) + rng.integers(2)) // 2]] = True
        pair = []
        for half in (first, ~first):
            emotions, count = np.unique(truth[half], return_counts=True)
            share = np.full(len(clips.labels), 1.0)
            if frequent is not None:
                share = np.full(len(clips.labels), (1 - SHARE) / (len(clips.labels) - 1))
                share[clips.labels.index(frequent)] = SHARE
            weight = (share[emotions] / count)[np.searchsorted(emotions, truth[half])]
            past = rng.choice(mine[half], AFTER[-1], p=weight / weight.sum())
            pair.append(Stream(past, mine[~half]))
        made.append((pair[0], pair[1]))
    return made


@dataclass(frozen=True)
class Speaker:
    """What adaptation changed for one speaker."""

    voice: str
    before: np.ndarray
    """`(clips,)`: whether the model is right without adaptation"""
    changes: np.ndarray
    """`(repetitions, clips)`: 1 where only the adapted answer is right, -1 where only the other is, 0 elsewhere"""
    weights: np.ndarray
    """`(clips,)`, of which every emotion has the same share: weighted sums are differences of UAR"""

    @property
    def gain(self) -> float:
        return float(self.changes.mean(axis=0) @ self.weights)

    @property
    def standard_error(self) -> float:
        """Of the gain, from repetition to repetition; another sample of clips would vary more (`by_chance`)."""
        return float((self.changes @ self.weights).std(ddof=1) / np.sqrt(len(self.changes)))

    def by_chance(self) -> np.ndarray:
        """Gains `(SIGNS,)` if each clip's change had a random sign."""
        signs = np.random.default_rng([*self.voice.encode()]).choice([-1, 1], (SIGNS, len(self.weights)))
        return signs @ (self.changes.mean(axis=0) * self.weights)


def adapted(
    clips: Clips, method: str, settings: dict, frequent: str | None, after: int, repetitions: int
) -> list[Speaker]:
    """Every speaker of these clips, adapted to so many utterances."""
    adapter, right = METHODS[method][0], clips.outputs.logits.argmax(axis=1) == clips.truth
    speakers = []
    for voice in sorted(set(clips.voices)):
        mine = np.flatnonzero(clips.voices == voice)
        changes = np.zeros((repetitions, len(clips.truth)))
        for row, pair in zip(changes, streams(clips, voice, frequent, repetitions), strict=True):
            for stream in pair:
                past, tested = (
                    adapters.Outputs(*(values[at] for values in clips.outputs))
                    for at in (stream.past[:after], stream.tested)
                )
                answers = adapter(clips.classifier, past, tested, **settings).argmax(axis=1)
                row[stream.tested] = (answers == clips.truth[stream.tested]) * 1.0 - right[stream.tested]
        emotions, of_clip, count = np.unique(clips.truth[mine], return_inverse=True, return_counts=True)
        weights = 1 / (len(emotions) * count[of_clip])
        speakers.append(Speaker(voice, right[mine], changes[:, mine], weights))
    return speakers


def figures(speakers: list[Speaker]) -> dict:
    """Shares of 1. Those by chance: the 5 % quantile of a speaker's and of the worst speaker's gain, the mean share of
    speakers who lose."""
    gains = np.array([speaker.gain for speaker in speakers])
    chance = np.stack([speaker.by_chance() for speaker in speakers])
    worst = speakers[int(gains.argmin())]
    return {
        "uar_without": float(np.mean([speaker.before @ speaker.weights for speaker in speakers])),
        "gain": float(gains.mean()),
        "gain_ci95": speaker_interval(gains[:, None], lambda total: total[0] / len(gains)),
        "worst_speaker": worst.voice,
        "worst_gain": worst.gain,
        "worst_standard_error": worst.standard_error,
        "worst_clips": len(worst.weights),
        "worst_by_chance": float(np.quantile(chance[int(gains.argmin())], 0.05)),
        "worst_of_all_by_chance": float(np.quantile(chance.min(axis=0), 0.05)),
        "losing": float((gains < LOSS).mean()),
        "losing_by_chance": float((chance < LOSS).mean()),
        "n_speakers": len(speakers),
        "n_clips": sum(len(speaker.weights) for speaker in speakers),
    }


def chosen(rows: list[dict]) -> dict:
    """Of rows of development speakers, the one with the largest gain among those that harm few enough; if there is
    none, the one that harms fewest."""
    harmless = [row for row in rows if row["losing"] <= ALLOWED]
    return max(harmless, key=lambda row: row["gain"]) if harmless else min(rows, key=lambda row: row["losing"])


def try_settings(corpora_clips: list[Clips], facts: dict, repetitions: int) -> None:
    """A row for each method and setting: mean over streams and corpora after 50 utterances."""
    for method, (_, tried) in METHODS.items():
        for settings in tried:
            found = [
                [adapted(clips, method, settings, frequent, AFTER[-1], repetitions) for frequent in STREAMS.values()]
                for clips in corpora_clips
            ]
            gains = [[[speaker.gain for speaker in speakers] for speakers in of_corpus] for of_corpus in found]
            all_gains = np.concatenate([np.ravel(of_corpus) for of_corpus in gains])
            row = {
                **facts,
                "split_hash": ", ".join(clips.split_hash for clips in corpora_clips),
                "method": method,
                "settings": settings,
                "gain": float(np.mean([np.mean(of_corpus) for of_corpus in gains])),
                "losing": float((all_gains < LOSS).mean()),
                "worst_gain": float(all_gains.min()),
                "n_speakers": len(all_gains) // len(STREAMS),
                "repetitions": repetitions,
            }
            add_row(RESULTS, row, DEV_KEY)
            print(method, settings, f"{100 * row['gain']:+.1f}", f"{100 * row['losing']:.0f} % lose", flush=True)


def read_test(corpora_clips: list[Clips], facts: dict, repetitions: int) -> None:
    """A row for each corpus, method and stream, with the settings that were chosen."""
    of_dev = {"protocol": facts["protocol"], "recipe": facts["recipe"], "seed": facts["seed"], "set": "dev"}
    for method in METHODS:
        tried = rows_of(RESULTS, **of_dev, method=method)
        require(
            bool(tried), f"{RESULTS}: no settings of {method} were tried with {facts['recipe']}; run --set dev first"
        )
        settings = chosen(tried)["settings"]
        for clips, (stream, frequent) in product(corpora_clips, STREAMS.items()):
            after = {n: adapted(clips, method, settings, frequent, n, repetitions) for n in AFTER}
            row = {
                **facts,
                "corpus": clips.corpus,
                "split_hash": clips.split_hash,
                "method": method,
                "settings": settings,
                "stream": stream,
                **figures(after[AFTER[-1]]),
                "gain_after": {str(n): float(np.mean([s.gain for s in found])) for n, found in after.items()},
                "repetitions": repetitions,
            }
            add_row(RESULTS, row, TEST_KEY)
            print(clips.corpus, method, stream, f"{100 * row['gain']:+.1f}", f"{100 * row['losing']:.0f} %", flush=True)


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--set", choices=("dev", "test"), default="dev", dest="part")
    parser.add_argument("--recipe", default=recipes.SHIPS, choices=recipes.RECIPES)
    parser.add_argument("--folds", nargs="+", type=int, default=[0, 1, 2, 3], help="default: 0 1 2 3")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repetitions", type=int, default=6)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    require(args.repetitions >= 2, f"--repetitions {args.repetitions}: give 2 or more")
    jobs = recipes.jobs(args.recipe, [recipes.LEAVE_ONE_OUT], [args.seed], args.folds)
    facts = {"protocol": recipes.LEAVE_ONE_OUT, "set": args.part, "recipe": args.recipe, "seed": args.seed}
    if args.part == "dev":
        try_settings([clips_of(job, "dev_unseen") for job in jobs], facts, args.repetitions)
    else:
        read_test([clips_of(job, "test") for job in jobs], facts, args.repetitions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
