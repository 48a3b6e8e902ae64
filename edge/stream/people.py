"""Which of a few enrolled people speaks, from the mean spectrum of an utterance (`edge.stream.voice`). NumPy only.

The sentences of each person's profile say where their voice lies, and those of all people together how much a voice
scatters from one sentence and emotion to the next. With d1 and d2 the squared distances to the nearest and the second
nearest person in the space in which that scatter is alike in every direction, the nearest is chosen if

    (d2 - d1) / (d2 + d1) >= threshold

and nobody otherwise: a guest lies far from everybody, so both distances are alike.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crnn.errors import require
from edge.stream.profile import Profile, load_profile

UNKNOWN = "unknown"
"""In place of a name: nobody's voice fits"""
THRESHOLD = 0.2
"""Chosen on speakers of EmoDB and EMOVO (benchmarks.adaptation.people); higher prefers "unknown" to a wrong person"""
SHRINK = 0.5
"""Weight of the diagonal in the scatter, which a few sentences determine badly"""
RIDGE = 0.05
"""Share of the mean variance added to every direction"""


class People:
    """Two or more profiles by name; `choose` one for an utterance.

    Raises InputError for fewer than two, for a profile without a voice, for voices of different width, for
    sentences that are all alike, and for two profiles of the same sentences.
    """

    def __init__(self, profiles: Mapping[str, Profile], threshold: float = THRESHOLD) -> None:
        require(len(profiles) > 1, "choosing needs the profiles of two people or more")
        voices = []
        for name, profile in profiles.items():
            require(
                profile.voice is not None,
                f"profile {name}: holds no voice, so it cannot be chosen among several; "
                "enrol again with sentences in every emotion, or give this profile alone",
            )
            voices.append(np.asarray(profile.voice, dtype=np.float64))
        require(len({voice.shape[1] for voice in voices}) == 1, "the profiles' voices differ in width; enrol again")
        self.profiles, self.threshold = dict(profiles), threshold
        self._names = tuple(profiles)
        centers = np.stack([voice.mean(axis=0) for voice in voices])
        around = np.concatenate([voice - voice.mean(axis=0) for voice in voices])
        scatter = around.T @ around / len(around)
        scatter = (1 - SHRINK) * scatter + SHRINK * np.diag(np.diag(scatter))
        variance = np.trace(scatter) / len(scatter)
        require(variance > 0, "every sentence of the profiles is the same recording; enrol again")
        for second, voice in enumerate(voices):
            for first in range(second):
                require(
                    not np.array_equal(voices[first], voice),
                    f"profiles {self._names[first]} and {self._names[second]} hold the same sentences, so neither is "
                    "ever chosen; give one of them, or enrol the other person",
                )
        values, vectors = np.linalg.eigh(scatter + RIDGE * variance * np.eye(len(scatter)))
        self._whiten = vectors / np.sqrt(values)
        self._centers = centers @ self._whiten

    def nearest(self, voice: np.ndarray) -> tuple[str, float]:
        """The person nearest to `voice (width,)`, and by how much: 0 (two are equally near) to 1."""
        distances = np.square(voice @ self._whiten - self._centers).sum(axis=1)
        first, second = np.argsort(distances, kind="stable")[:2]
        total = distances[first] + distances[second]
        return self._names[first], float((distances[second] - distances[first]) / total) if total > 0 else 0.0

    def choose(self, voice: np.ndarray | None) -> str:
        """A name, or "unknown"; `voice (width,)`, None where there is none."""
        if voice is None:
            return UNKNOWN
        name, margin = self.nearest(voice)
        return name if margin >= self.threshold else UNKNOWN

    def adapt(self, person: str | None, logits: np.ndarray, pooled: np.ndarray) -> np.ndarray:
        """The logits `(..., n_classes)` of that person; unchanged for "unknown"."""
        profile = self.profiles.get(person) if person is not None else None
        return logits if profile is None else profile.adapt(logits, pooled)


def load_people(paths: Sequence[Path], bundle: str, labels: tuple[str, ...], width: int, n_mels: int) -> People:
    """Profiles of one bundle; each person's name is the name of the file without its extension.

    Raises InputError as `load_profile` and `People`, and for two files of one name.
    """
    profiles: dict[str, Profile] = {}
    for path in paths:
        name = path.stem
        require(name not in profiles, f"{path}: two profiles are named {name}; rename one of the files")
        require(name.isprintable(), f"{path}: its name is shown as the person's; rename the file")
        require(name != UNKNOWN, f"{path}: {UNKNOWN} is the answer where no voice fits; rename the file")
        profile = load_profile(path, bundle, labels, width)
        require(
            profile.voice is None or profile.voice.shape[1] == n_mels,
            f"{path}: its voice does not fit this bundle's features; enrol again with it",
        )
        profiles[name] = profile
    return People(profiles)
