"""What corrections are worth: UAR of a speaker whom training has not heard, against how many of their clips are corrected.

    SER_DATA=FOLDER python -m benchmarks.corrections --set dev      what strategy and recipe were chosen on
    SER_DATA=FOLDER python -m benchmarks.corrections --set test     read once

For every speaker one sentence of RAVDESS is the pool, which the loop hears, and the other is judged (which of the two
changes from speaker to speaker). So many clips of the pool get their true emotion: the least certain, as the loop keeps
them, or random ones. Then the model learns as a user's would:

- `train`: train.py --config configs/corrections.yaml --init RUN --data ravdess:FOLDER corrections:FOLDER, by the same
  functions in this process; a test holds the two equal, bit by bit;
- `profile`: python -m edge.enroll --folder, where the corrections hold every emotion, which it asks for; else none.

What is left out: the gate (clips are heard whole) and a person's mistakes (every correction is right). Needs finished
runs of benchmarks.accuracy. Every result is kept in $SER_RUNS/corrections, so that an interrupted run goes on. Rows go to
benchmarks/results/active_learning.json, test figures are drawn to docs/images/corrections.svg.
"""

import argparse
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from augment.pipeline import AugmentConfig, Chains, chains
from benchmarks import recipes
from benchmarks.jobs import RUNS, Job
from benchmarks.results import add_row
from crnn import prepare as preparation
from crnn.cache import AudioCache
from crnn.config import from_dict
from crnn.corpora import Utterance
from crnn.corrections import CORRECTIONS, as_correction
from crnn.data import EvalClips, eval_loader
from crnn.fit import fit, model_weights
from crnn.metrics import speaker_interval, uar
from crnn.model import CRNN
from crnn.protocols import Split
from crnn.ready import make_ready
from crnn.run import write_text
from crnn.run_config import LossConfig, OptimConfig, RunConfig
from crnn.task import predict
from crnn.transfer import start_of_run
from crnn.views import Views, open_views
from edge.calibrate import choose_decision
from edge.compress import Trained, load_trained
from edge.decision import probabilities
from edge.kept import sureness
from edge.profile import make_profile
from edge.speakers import describe, hear_openly, some_of_each

RESULTS = Path("benchmarks/results/active_learning.json")
PLOT = Path("docs/images/corrections.svg")
SETTINGS = Path("configs/corrections.yaml")
KEY = ("protocol", "set", "recipe", "seed", "method", "strategy", "n_corrections", "settings")
COUNTS = (4, 8, 16, 30)
"""Corrections; 30 clips are the whole pool, where no choice is left"""
UNSURE = {
    "uncertainty": sureness,
    "margin": lambda probs: float(np.diff(np.sort(list(probs.values()))[-2:])[0]),
    "entropy": lambda probs: sum(p * np.log(max(p, 1e-12)) for p in probs.values()),
}
"""Strategy -> what is smallest for the clip it asks about first; the first is the loop's"""
RANDOM, ALL = "random", "all"


@dataclass(frozen=True)
class Person:
    """One simulated user: a pool the loop has heard, and what is judged."""

    voice: str
    pool: tuple[Utterance, ...]
    judged: tuple[Utterance, ...]


@dataclass(frozen=True)
class Fold:
    """A trained run, and all there is to learn and judge with."""

    job: Job
    trained: Trained
    split: Split
    cache: AudioCache
    """With every clip of `people` a second time, as a correction"""
    views: Views
    chain: Chains
    people: tuple[Person, ...]
    temperature: float

    @property
    def labels(self) -> tuple[str, ...]:
        return self.split.labels


def people_of(utterances: tuple[Utterance, ...]) -> Iterator[Person]:
    for number, voice in enumerate(sorted({u.speaker for u in utterances})):
        clips = sorted((u for u in utterances if u.speaker == voice), key=lambda u: u.name)
        sentences = sorted({u.sentence for u in clips})
        heard = sentences[number % len(sentences)]
        yield Person(
            voice,
            tuple(u for u in clips if u.sentence == heard),
            tuple(u for u in clips if u.sentence != heard),
        )


def correction(u: Utterance) -> Utterance:
    """As a person at home would leave it."""
    return replace(as_correction(u), speaker_id="home", key=f"{u.emotion}/home_{u.path.stem}.wav")


def with_corrections(cache: AudioCache, utterances: list[Utterance]) -> AudioCache:
    clips = {correction(u).name: cache.clips[u.name] for u in utterances}
    samples = {CORRECTIONS: cache.samples[u.corpus] for u in utterances[:1]}
    return AudioCache(cache.samples | samples, cache.clips | clips, cache.skipped)


def open_fold(job: Job, part: str) -> Fold:
    trained = load_trained(job.folder)
    prepared = preparation.prepare(trained.config, trained.data)
    job.folder.check_split(prepared.split)
    config, base = trained.config, Path(os.environ["SER_DATA"]).resolve()
    augment = AugmentConfig(noise_dir=str(base / "noise"), room_dir=str(base / "rir"))  # train.py's default
    window = config.geometry.window_samples
    chain = chains(augment, config.features.sample_rate, window, config.features.log_offset)
    people = tuple(people_of(getattr(prepared.split, part)))
    pools = [u for person in people for u in person.pool]
    cache = with_corrections(prepared.cache, pools)
    settings = (config.features, chain.view_settings, chain.make_view_augment)
    views = open_views(cache, prepared.split.corpora, *settings)
    of_pools = replace(cache, clips={correction(u).name: cache.clips[correction(u).name] for u in pools})
    more = open_views(of_pools, [CORRECTIONS], *settings, RUNS / "corrections" / "views")
    views = Views(views.frames | more.frames, views.places | more.places)
    dev = EvalClips(cache, prepared.split.dev, prepared.split.labels, config)
    logits = predict(trained.model, config, eval_loader(dev, config))
    temperature = choose_decision(logits, dev.labels, 1.0).temperature
    return Fold(job, trained, prepared.split, cache, views, chain, people, temperature)


def order(fold: Fold, person: Person, strategy: str, draw: int) -> list[Utterance]:
    """The pool, in the order in which it is corrected."""
    if strategy in (RANDOM, ALL):
        rng = np.random.default_rng([draw, *person.voice.encode()])
        return [person.pool[i] for i in rng.permutation(len(person.pool))]
    clips = EvalClips(fold.cache, person.pool, fold.labels, fold.trained.config)
    logits = predict(fold.trained.model, fold.trained.config, eval_loader(clips, fold.trained.config))
    sure = [
        UNSURE[strategy](dict(zip(fold.labels, map(float, probs), strict=True)))
        for probs in probabilities(logits, fold.temperature)
    ]
    return [clips.utterances[i] for i in np.argsort(sure, kind="stable")]


def confusion(truth: np.ndarray, logits: np.ndarray, n: int) -> list[list[int]]:
    matrix = np.zeros((n, n), int)
    np.add.at(matrix, (truth, logits.argmax(axis=1)), 1)
    return matrix.tolist()


def judge(fold: Fold, model: CRNN, utterances: tuple[Utterance, ...]) -> list[list[int]]:
    config = fold.trained.config
    clips = EvalClips(fold.cache, utterances, fold.labels, config)
    return confusion(clips.labels, predict(model, config, eval_loader(clips, config)), len(fold.labels))


def fine_tuned(config: RunConfig, settings: dict) -> RunConfig:
    """A run's settings with those of a file that names losses and optimizer alone."""
    return replace(
        config, loss=from_dict(LossConfig, settings["loss"]), optim=from_dict(OptimConfig, settings["optim"])
    )


def train(fold: Fold, person: Person, corrected: list[Utterance], settings: dict) -> dict:
    """As train.py does; in a development set the simulated person is no judge of epochs."""
    config = fine_tuned(fold.trained.config, settings)
    theirs = {u.name for u in (*person.pool, *person.judged)}
    split = replace(
        fold.split,
        train=(*fold.split.train, *map(correction, corrected)),
        dev=tuple(u for u in fold.split.dev if u.name not in theirs),
        test=(),
    )
    start = replace(start_of_run(fold.job.folder.path), split_hash=split.original_hash)
    ready = make_ready(config, split, fold.cache, fold.views, fold.chain.batch, start)
    with tempfile.TemporaryDirectory() as folder:
        result = fit(ready.task, ready.train, ready.dev, Path(folder))
        ready.task.model.load_state_dict(model_weights(result.best_checkpoint))
    return {"confusion": judge(fold, ready.task.model, person.judged), "dev_uar": result.history[-1]["dev_uar"]}


class Profiles:
    """Profiles of one fold's people; what the model makes of their clips is computed once."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        clips, logits, pooled = self._hear(some_of_each(fold.split.train))
        voices = np.array([u.speaker for u in clips.utterances])
        self._speakers = describe(logits, pooled, clips.labels, voices, fold.labels)
        self._of: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for person in fold.people:
            clips, logits, pooled = self._hear([*person.pool, *person.judged])
            names = [u.name for u in clips.utterances]
            self._of |= dict(zip(names, zip(logits, pooled, strict=True), strict=True))

    def _hear(self, utterances: list[Utterance]) -> tuple[EvalClips, np.ndarray, np.ndarray]:
        config = self._fold.trained.config
        clips = EvalClips(self._fold.cache, utterances, self._fold.labels, config)
        return clips, *hear_openly(self._fold.trained.model, config, clips)

    def _made_of(self, utterances: Sequence[Utterance]) -> tuple[np.ndarray, np.ndarray]:
        logits, pooled = zip(*(self._of[u.name] for u in utterances), strict=True)
        return np.stack(logits), np.stack(pooled)

    def learn(self, person: Person, corrected: list[Utterance]) -> dict:
        """As edge.enroll does; it makes none where an emotion is missing, and then nothing changes."""
        labels = self._fold.labels
        logits, pooled = self._made_of(person.judged)
        truth = np.array([labels.index(u.emotion) for u in person.judged])
        possible = {u.emotion for u in corrected} == set(labels)
        if possible:
            emotions = [u.emotion for u in corrected]
            profile = make_profile("", labels, self._speakers, *self._made_of(corrected), emotions)
            logits = profile.adapt(logits, pooled)
        return {"confusion": confusion(truth, logits, len(labels)), "made": possible}


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
            whole = n >= len(person.pool)
            for strategy in strategies:
                for draw in range(draws if strategy == RANDOM and not whole else 1):
                    yield Case(person, ALL if whole else strategy, draw, n)


def simulate(fold: Fold, method: str, described: str, case: Case, learn: Callable[[list[Utterance]], dict]) -> dict:
    """What came of a case: computed, or found where an earlier run left it."""
    key = hashlib.sha256(f"{fold.split.hash} {described}".encode()).hexdigest()[:12]
    path = RUNS / "corrections" / f"{fold.job.name}-{method}-{key}" / f"{case.name}.json"
    if not path.is_file():
        corrected = order(fold, case.person, case.strategy, case.draw)[: case.n]
        write_text(path, json.dumps(learn(corrected)))
    return json.loads(path.read_text(encoding="utf-8"))


def row_of(by_voice: dict[str, list[dict]]) -> dict:
    """Speaker -> what came of each draw."""
    voices = sorted(by_voice)
    uars = np.array(
        [
            [np.mean([uar(np.array(made[key])) for made in by_voice[voice]]) for key in ("before", "confusion")]
            for voice in voices
        ]
    )
    gain = uars[:, 1] - uars[:, 0]
    dev = [made["dev_uar"] for draws in by_voice.values() for made in draws if "dev_uar" in made]
    possible = [made["made"] for draws in by_voice.values() for made in draws if "made" in made]
    return {
        "uar": float(uars[:, 1].mean()),
        "uar_ci95": over_speakers(uars[:, 1]),
        "uar_without": float(uars[:, 0].mean()),
        "gain_ci95": over_speakers(gain),
        "worst_speaker_delta": float(gain.min()),
        "speakers_better": float((gain > 0).mean()),
        "dev_uar": float(np.mean(dev)) if dev else None,
        "profiles_made": float(np.mean(possible)) if possible else None,
        "n_speakers": len(voices),
        "n_draws": max(map(len, by_voice.values())),
        "per_speaker_uar": dict(zip(voices, uars[:, 1].tolist(), strict=True)),
    }


def over_speakers(values: np.ndarray) -> list[float] | None:
    """95 % interval of a mean over speakers."""
    return speaker_interval(values, lambda total: total / len(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--set", choices=("dev", "test"), default="dev", dest="part")
    parser.add_argument("--method", choices=("train", "profile"), default="train")
    parser.add_argument("--recipe", default="narrow", choices=recipes.TUNE)
    parser.add_argument("--protocol", default="ravdess-luna5")
    parser.add_argument("--folds", nargs="+", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="of train.py, for --method train")
    parser.add_argument("--strategies", nargs="+", choices=(*UNSURE, RANDOM), default=["uncertainty", RANDOM])
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    parser.add_argument("--draws", type=int, default=2, help="of random corrections")
    args = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    settings = yaml.safe_load(args.settings.read_text(encoding="utf-8"))
    described = " ".join(f"{k}={v}" for k, v in settings["optim"].items()) if args.method == "train" else ""
    results: dict[tuple[str, int], dict[str, list[dict]]] = {}
    hashes = []
    for job in recipes.jobs(args.recipe, [args.protocol], [args.seed], args.folds):
        fold = open_fold(job, args.part)
        hashes.append(fold.split.hash)
        profiles = Profiles(fold) if args.method == "profile" else None
        before = {person: judge(fold, fold.trained.model, person.judged) for person in fold.people}
        for case in cases(fold, args.strategies, args.counts, args.draws):
            learn = (
                partial(profiles.learn, case.person)
                if profiles
                else partial(train, fold, case.person, settings=settings)
            )
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
        print(
            args.method,
            strategy,
            n,
            *(f"{100 * row[f]:.1f}" for f in ("uar_without", "uar")),
            row["gain_ci95"],
            flush=True,
        )


if __name__ == "__main__":
    main()
