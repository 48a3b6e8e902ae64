"""Answers to clips, as they are and changed: of a bundle, and of random models beside it.

A random model knows which share each class has and nothing else: its answer to a clip follows from a hash of the
samples, so it is the same for the same samples, and another as soon as one of them changes.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crnn.data.utterances import Utterance
from edge.battery.robustness import Condition
from edge.evaluate.playback import Clips, whole_clip
from edge.stream.recognizer import StreamingRecognizer

log = logging.getLogger(__name__)

N_RANDOM = 20
"""Random models, over which their share of passed rows is averaged"""


@dataclass(frozen=True)
class Answers:
    """Class indices of all clips: of the bundle first, then of the random models, `(1 + N_RANDOM, n)`."""

    clean: np.ndarray
    changed: dict[str, np.ndarray]
    """By name of the condition; without those that are skipped"""


def answer(
    recognizer: StreamingRecognizer, clips: Clips, shares: np.ndarray, changes: Sequence[Condition], seed: int
) -> Answers:
    """Play every clip as it is, and once under each condition.

    `shares (n_classes,)`: of the classes, from which the random models draw. What is drawn depends on the seed, the
    condition and the clip's name alone.
    """
    played = [change for change in changes if change.apply is not None]
    answers = {}
    for number, condition in enumerate([None, *played]):
        name = condition.name if condition else "unchanged"
        log.info("%s, %d of %d: %s", clips.utterances[0].corpus, number + 1, len(played) + 1, name)
        labels = [_labels(recognizer, waveform, shares, seed) for waveform in _waveforms(clips, condition, seed)]
        answers[name] = np.array(labels).T
    return Answers(answers.pop("unchanged"), answers)


def _waveforms(clips: Clips, condition: Condition | None, seed: int) -> Iterator[np.ndarray]:
    for u in clips.utterances:
        waveform = np.array(clips.cache.waveform(u.name))
        yield waveform if condition is None else changed(condition, waveform, u, seed)


def changed(condition: Condition, waveform: np.ndarray, utterance: Utterance, seed: int) -> np.ndarray:
    """`waveform (time,)` float32 under the condition, limited to full scale as a recorder limits it."""
    if condition.apply is None:
        raise ValueError(f"{condition.name} is skipped: {condition.reason}")
    rng = np.random.default_rng(_number(f"{seed} {condition.name} {utterance.name}".encode()))
    made = condition.apply(waveform, rng, utterance.speaker)
    limit = max(1.0, float(np.abs(waveform).max()))
    return np.clip(made, -limit, limit).astype(np.float32)


def _labels(recognizer: StreamingRecognizer, waveform: np.ndarray, shares: np.ndarray, seed: int) -> list[int]:
    return [int(whole_clip(recognizer, waveform).argmax()), *random_labels(waveform, shares, seed)]


def random_labels(waveform: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """What the random models answer `(N_RANDOM,)`: drawn with the given shares, by the samples and the seed alone."""
    samples = np.ascontiguousarray(waveform, dtype="<f4").tobytes()
    return drawn(np.random.default_rng([seed, _number(samples)]), shares, (N_RANDOM,))


def drawn(rng: np.random.Generator, shares: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Class indices of that shape, each class with its share."""
    ends = np.cumsum(shares)
    return np.searchsorted(ends / ends[-1], rng.random(shape), side="right")


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
