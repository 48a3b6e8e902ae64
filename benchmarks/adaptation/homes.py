"""Simulated users at home: speakers not in a run's training, the clips for the loop, and the clips for the test.

For every speaker one sentence of RAVDESS is the pool, which the loop processes, and the other is the test. The roles
alternate from speaker to speaker.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from augment.config import AugmentConfig
from augment.pipeline import Chains, chains
from benchmarks.harness.corpora import folder
from benchmarks.harness.jobs import RUNS
from crnn.data import prepare as preparation
from crnn.data.augmented import AugmentedCopies, open_augmented
from crnn.data.cache import AudioCache
from crnn.data.corpora import Utterance
from crnn.data.corrections import CORRECTIONS, as_correction
from crnn.data.loaders import EvalClips, eval_loader
from crnn.data.protocols import Split
from crnn.metrics import uar
from crnn.models.crnn import CRNN
from crnn.training.predict import predict
from crnn.training.run_folder import RunFolder
from edge.export.calibration import choose_decision
from edge.export.trained import Trained, load_trained
from edge.feedback.sidecar import sureness
from edge.stream.decision import probabilities

UNCERTAINTY, RANDOM, ALL, NONE = "uncertainty", "random", "all", "none"
"""Which clips are corrected; `none`: the model trains equally long without corrections"""


@dataclass(frozen=True)
class Person:
    """One simulated user: a pool that the loop has processed, and the clips of the test."""

    voice: str
    pool: tuple[Utterance, ...]
    judged: tuple[Utterance, ...]


@dataclass(frozen=True)
class Fold:
    """A trained run with its recordings, copies and simulated people."""

    run: RunFolder
    trained: Trained
    split: Split
    cache: AudioCache
    """With every clip of `people` a second time, as a correction"""
    copies: AugmentedCopies
    chain: Chains
    people: tuple[Person, ...]
    temperature: float
    others: dict[str, np.ndarray]
    """Development speaker -> confusion matrix of the run as it is"""

    def others_uar(self, without: str) -> float:
        """Of all development speakers but one."""
        return uar(sum(matrix for voice, matrix in self.others.items() if voice != without))

    @property
    def labels(self) -> tuple[str, ...]:
        return self.split.labels


def people_of(utterances: Iterable[Utterance]) -> Iterator[Person]:
    utterances = list(utterances)
    for number, voice in enumerate(sorted({u.speaker for u in utterances})):
        clips = sorted((u for u in utterances if u.speaker == voice), key=lambda u: u.name)
        sentences = sorted({u.sentence for u in clips})
        pooled = sentences[number % len(sentences)]
        yield Person(
            voice,
            tuple(u for u in clips if u.sentence == pooled),
            tuple(u for u in clips if u.sentence != pooled),
        )


def correction(u: Utterance) -> Utterance:
    """The same clip as a correction, named like the files of a user."""
    return replace(as_correction(u), speaker_id="home", key=f"{u.emotion}/home_{u.path.stem}.wav")


def with_corrections(cache: AudioCache, utterances: list[Utterance]) -> AudioCache:
    clips = {correction(u).name: cache.clips[u.name] for u in utterances}
    samples = {CORRECTIONS: cache.samples[utterances[0].corpus]}
    return AudioCache(cache.samples | samples, cache.clips | clips, cache.skipped)


def augmentation() -> AugmentConfig:
    """The default of train.py."""
    return AugmentConfig(noise_dir=str(folder("noise")), room_dir=str(folder("rir")))


def open_fold(run: RunFolder, part: str, augment: AugmentConfig) -> Fold:
    """`part`: dev or test, whose speakers are the people."""
    trained = load_trained(run)
    prepared = preparation.prepare(trained.config, trained.data)
    run.check_split(prepared.split)
    config = trained.config
    window = config.geometry.window_samples
    chain = chains(augment, config.features.sample_rate, window, config.features.log_offset, config.features.hop_length)
    people = tuple(people_of(getattr(prepared.split, part)))
    pools = [u for person in people for u in person.pool]
    cache = with_corrections(prepared.cache, pools)
    settings = (config.features, chain.copy_settings, chain.make_copy_augment)
    copies = open_augmented(cache, prepared.split.corpora, *settings)
    of_pools = replace(cache, clips={correction(u).name: cache.clips[correction(u).name] for u in pools})
    more = open_augmented(of_pools, [CORRECTIONS], *settings, RUNS / "corrections" / "copies")
    copies = AugmentedCopies(copies.stored | more.stored, copies.places | more.places)
    dev = EvalClips(cache, prepared.split.dev, prepared.split.labels, config)
    logits = predict(trained.model, config, eval_loader(dev, config))
    temperature = choose_decision(logits, dev.labels, 1.0)[0].temperature
    voices = np.array([u.speaker for u in dev.utterances])
    n = len(prepared.split.labels)
    others = {v: confusion(dev.labels[voices == v], logits[voices == v], n) for v in sorted(set(voices))}
    return Fold(run, trained, prepared.split, cache, copies, chain, people, temperature, others)


def order(fold: Fold, person: Person, strategy: str, draw: int) -> list[Utterance]:
    """The pool, in the order of correction."""
    if strategy != UNCERTAINTY:
        rng = np.random.default_rng([draw, *person.voice.encode()])
        return [person.pool[i] for i in rng.permutation(len(person.pool))]
    clips = EvalClips(fold.cache, person.pool, fold.labels, fold.trained.config)
    logits = predict(fold.trained.model, fold.trained.config, eval_loader(clips, fold.trained.config))
    sure = [
        sureness(dict(zip(fold.labels, map(float, probs), strict=True)))
        for probs in probabilities(logits, fold.temperature)
    ]
    return [clips.utterances[i] for i in np.argsort(sure, kind="stable")]


def confusion(truth: np.ndarray, logits: np.ndarray, n: int) -> np.ndarray:
    """`(n, n)`, rows are the true classes."""
    matrix = np.zeros((n, n), int)
    np.add.at(matrix, (truth, logits.argmax(axis=1)), 1)
    return matrix


def judge(fold: Fold, model: CRNN, utterances: Sequence[Utterance]) -> np.ndarray:
    """Confusion matrix of whole clips."""
    config = fold.trained.config
    clips = EvalClips(fold.cache, utterances, fold.labels, config)
    return confusion(clips.labels, predict(model, config, eval_loader(clips, config)), len(fold.labels))
