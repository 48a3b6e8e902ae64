"""A person's profile: what a few of their sentences change between the pooled vector and the logits. NumPy only.

The network is not trained again. With x the pooled vector of a window, its logits become

    logits + x @ weights + bias

From one or more sentences per emotion, weights and bias are the maximum a posteriori of a multinomial regression that
starts from the trained classifier: Gaussian priors around no change at all, so that little evidence moves little. The
prior of the weights is measured in the space in which sentences of one training speaker in one emotion scatter alike
in every direction. From neutral sentences alone there are no weights: an emotion whose logit is higher on them than on
the training speakers' neutral sentences is lowered by what is beyond chance; nothing is raised. That is the
complaint "it says angry whatever I say", and no more.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn.errors import InputError, require
from crnn.files.atomic import replacing
from crnn.files.npz import read_arrays
from crnn.files.strict import parse_json, read_bounded

SCHEMA, WITH_VOICE = 1, 2
"""Without and with a voice template: earlier versions refuse what they cannot read"""
NEUTRAL = "neutral"
LARGEST = 4 * 2**20
"""Bytes of a profile"""
GREATEST = 1e6
"""Absolute value of a weight; far beyond what sentences give, and small enough that logits stay finite"""


@dataclass(frozen=True)
class Speakers:
    """How the training speakers differ: measured when the bundle is made (edge.export.speaker_stats), float32."""

    center: np.ndarray
    """Mean pooled vector `(width,)`"""
    whiten: np.ndarray
    """`(width, width)`: (x - center) @ whiten scatters alike in every direction within a speaker and emotion"""
    neutral_mean: np.ndarray
    """Mean logits of neutral sentences `(n_classes,)`, speakers weighted alike; all zero without a neutral class"""
    neutral_between: np.ndarray
    """Variance `(n_classes,)` between the speakers' means"""
    neutral_within: np.ndarray
    """Variance `(n_classes,)` between the neutral sentences of a speaker"""

    def check(self, where: str, width: int, n_classes: int) -> None:
        """Raises InputError for other shapes, for values that are no numbers, and for variances below 0."""
        shapes = {"center": (width,), "whiten": (width, width)}
        for name, value in vars(self).items():
            expected = shapes.get(name, (n_classes,))
            require(
                value.shape == expected and value.dtype == np.float32 and bool(np.isfinite(value).all()),
                f"{where}: {name} must be finite float32 of shape {expected}; make the bundle again",
            )
        require(
            bool((self.neutral_between >= 0).all() and (self.neutral_within >= 0).all()),
            f"{where}: holds a variance below 0; make the bundle again",
        )


def save_speakers(speakers: Speakers, path: Path) -> None:
    """Write a bundle's `speakers.npz`: of the symmetric `whiten` the upper half, as float16, whose rounding (5e-4 of a
    value) is far below what the estimate itself is worth."""
    values = vars(speakers) | {"whiten": np.triu(speakers.whiten).astype(np.float16)}
    np.savez_compressed(path, **values)


def load_speakers(path: Path, width: int, n_classes: int) -> Speakers:
    """Read a bundle's `speakers.npz`. Raises InputError, naming the file."""
    values = read_arrays(path, follow=False)
    require(
        values.keys() == Speakers.__dataclass_fields__.keys()
        and all(value.dtype.kind == "f" for value in values.values()),
        f"{path}: does not describe the training speakers; make the bundle again",
    )
    require(
        values["whiten"].shape == (width, width),
        f"{path}: whiten has shape {values['whiten'].shape}, this model needs {(width, width)}; make the bundle again",
    )
    upper = np.triu(values["whiten"].astype(np.float32))
    speakers = Speakers(**values | {"whiten": upper + np.triu(upper, 1).T})
    speakers.check(str(path), width, n_classes)
    return speakers


@dataclass(frozen=True)
class Profile:
    """What one person's sentences change, under one bundle."""

    bundle: str
    """Identity of the bundle (`Manifest.identity`): its pooled vector means something under no other"""
    labels: tuple[str, ...]
    sentences: dict[str, int]
    """Emotion -> how many of them it was made from"""
    weights: np.ndarray
    """`(width, n_classes)` float32"""
    bias: np.ndarray
    """`(n_classes,)` float32"""
    voice: np.ndarray | None = None
    """Voice template: of each sentence its `edge.stream.voice`, `(n_sentences, n_mels)` float32. Biometric. None: the
    profile cannot be chosen among several"""

    def adapt(self, logits: np.ndarray, pooled: np.ndarray) -> np.ndarray:
        """`logits (..., n_classes)`, `pooled (..., width)` -> the person's logits, float32."""
        return logits + pooled @ self.weights + self.bias

    def save(self, path: Path) -> None:
        """Write it as JSON that its owner alone can read, whole or not at all."""
        values = {
            "schema": SCHEMA if self.voice is None else WITH_VOICE,
            "bundle": self.bundle,
            "labels": list(self.labels),
            "sentences": self.sentences,
            "weights": self.weights.tolist(),
            "bias": self.bias.tolist(),
        }
        if self.voice is not None:
            values["voice"] = self.voice.tolist()
        with replacing(Path(path), mode=0o600) as file:
            file.write(json.dumps(values, allow_nan=False).encode("ascii") + b"\n")


def load_profile(path: Path, bundle: str, labels: tuple[str, ...], width: int) -> Profile:
    """Read a profile for the bundle of that identity, those labels and that width of the pooled vector.

    Raises InputError, naming the file, if it is missing, damaged, or was made for another bundle.
    """
    path = Path(path)
    require(path.exists(), f"{path}: no such file; make a profile with python -m edge.enroll")
    require(path.is_file(), f"{path}: not a file; name a profile of python -m edge.enroll")
    damaged = f"{path}: not a profile, or damaged; make it again with python -m edge.enroll"
    values = parse_json(read_bounded(path, LARGEST), damaged)
    require(isinstance(values, dict) and type(values.get("schema")) is int, damaged)
    require(
        values["schema"] in (SCHEMA, WITH_VOICE),
        f"{path}: schema {values['schema']}, this version reads {SCHEMA} and {WITH_VOICE}; make it again",
    )
    require(
        values.get("bundle") == bundle,
        f"{path}: made for bundle {str(values.get('bundle'))[:12]}, this one is {bundle[:12]}; enrol again with it",
    )
    absent = {"voice"} if values["schema"] == SCHEMA else set()
    require(values.keys() == {"schema", *Profile.__dataclass_fields__} - absent, damaged)
    weights = _numbers(values["weights"], (width, len(labels)))
    bias = _numbers(values["bias"], (len(labels),))
    sentences = values["sentences"]
    sound = (
        values["labels"] == list(labels)
        and isinstance(sentences, dict)
        and all(name in labels and type(count) is int and 0 < count < 10**6 for name, count in sentences.items())
    )
    if not sound or weights is None or bias is None:
        raise InputError(damaged)
    return Profile(bundle, tuple(labels), sentences, weights, bias, _voice(values, damaged))


def _voice(values: dict, damaged: str) -> np.ndarray | None:
    """A row for each sentence, all of one width; None for a profile without a voice."""
    if values["schema"] == SCHEMA:
        return None
    rows = values["voice"]
    if not (isinstance(rows, list) and rows and isinstance(rows[0], list) and rows[0]):
        raise InputError(damaged)
    voice = _numbers(rows, (sum(values["sentences"].values()), len(rows[0])))
    if voice is None or not voice.any(axis=1).all():  # a row of zeros is no voice, and fits nobody or all
        raise InputError(damaged)
    return voice


def _numbers(values: object, shape: tuple[int, ...]) -> np.ndarray | None:
    """Lists of numbers as float32 of that shape; None if they are anything else. True and "1" are no numbers."""
    rows = values if len(shape) == 2 else [values]
    sound = (
        isinstance(rows, list)
        and len(rows) == math.prod(shape[:-1])
        and all(
            isinstance(row, list)
            and len(row) == shape[-1]
            and all(type(value) in (int, float) and abs(value) <= GREATEST for value in row)
            for row in rows
        )
    )
    return np.array(rows, dtype=np.float32).reshape(shape) if sound else None
