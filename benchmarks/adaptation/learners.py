"""Training and profiles from the corrections of simulated people (benchmarks.adaptation.homes)."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.adaptation.homes import Fold, Person, confusion, correction, judge
from crnn.config import from_dict
from crnn.data.corpora import Utterance
from crnn.data.loaders import EvalClips
from crnn.data.protocols import Split
from crnn.models.crnn import CRNN
from crnn.run_config import LossConfig, OptimConfig, RunConfig
from crnn.training.checkpoint import model_weights
from crnn.training.fit import fit
from crnn.training.initial_weights import start_of_run
from crnn.training.setup import build_training
from edge.enroll.fit import make_profile
from edge.export.speaker_stats import clip_means, describe, some_of_each


def fine_tuned(config: RunConfig, settings: dict) -> RunConfig:
    """A run's settings, with the losses and the optimizer of a settings file."""
    return replace(
        config, loss=from_dict(LossConfig, settings["loss"]), optim=from_dict(OptimConfig, settings["optim"])
    )


class Training:
    """Trains as train.py does."""

    def __init__(self, fold: Fold, settings: dict) -> None:
        self._fold, self._settings = fold, settings
        self._without: dict[str, tuple[CRNN, float]] = {}
        """Split hash -> result without corrections, the same for every person of the split"""

    def learn(self, person: Person, corrected: list[Utterance]) -> dict:
        model, dev_uar = self.model_of(person, corrected)
        return {
            "confusion": judge(self._fold, model, person.judged).tolist(),
            "dev_uar": dev_uar,
            "dev_uar_without": self._fold.others_uar(person.voice),
        }

    def model_of(self, person: Person, corrected: list[Utterance]) -> tuple[CRNN, float]:
        """The model, and the UAR of the development speakers other than this person."""
        fold = self._fold
        theirs = {u.name for u in (*person.pool, *person.judged)}
        split = replace(
            fold.split,
            train=(*fold.split.train, *sorted(map(correction, corrected), key=lambda u: u.name)),
            dev=tuple(u for u in fold.split.dev if u.name not in theirs),
            test=(),
        )
        if corrected:
            return self._fit(split)
        if split.hash not in self._without:
            self._without[split.hash] = self._fit(split)
        return self._without[split.hash]

    def _fit(self, split: Split) -> tuple[CRNN, float]:
        fold = self._fold
        config = fine_tuned(fold.trained.config, self._settings)
        # The leak guard lets a run continue under its own split only to train on corrections. The control has none,
        # and the simulated person is missing from the development set, so the guard is switched off here.
        start = replace(start_of_run(fold.run.path), trained_on=())
        parts = build_training(config, split, fold.cache, fold.copies, fold.chain.batch, start)
        with tempfile.TemporaryDirectory() as folder:
            result = fit(parts.task, parts.train, parts.dev, Path(folder))
            parts.task.model.load_state_dict(model_weights(result.best_checkpoint))
        return parts.task.model, result.history[-1]["dev_uar"]


class Profiles:
    """Profiles of one fold's people. The model runs once on each clip."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        clips, logits, pooled = self._clip_means(some_of_each(fold.split.train))
        voices = np.array([u.speaker for u in clips.utterances])
        self._speakers = describe(logits, pooled, clips.labels, voices, fold.labels)
        self._of: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for person in fold.people:
            clips, logits, pooled = self._clip_means([*person.pool, *person.judged])
            names = [u.name for u in clips.utterances]
            self._of |= dict(zip(names, zip(logits, pooled, strict=True), strict=True))

    def _clip_means(self, utterances: list[Utterance]) -> tuple[EvalClips, np.ndarray, np.ndarray]:
        config = self._fold.trained.config
        clips = EvalClips(self._fold.cache, utterances, self._fold.labels, config)
        return clips, *clip_means(self._fold.trained.model, config, clips)

    def _made_of(self, utterances: Sequence[Utterance]) -> tuple[np.ndarray, np.ndarray]:
        logits, pooled = zip(*(self._of[u.name] for u in utterances), strict=True)
        return np.stack(logits), np.stack(pooled)

    def learn(self, person: Person, corrected: list[Utterance]) -> dict:
        """As edge.enroll does. If an emotion is missing it makes no profile, and the answers stay the same."""
        labels = self._fold.labels
        logits, pooled = self._made_of(person.judged)
        truth = np.array([labels.index(u.emotion) for u in person.judged])
        possible = {u.emotion for u in corrected} == set(labels)
        if possible:
            emotions = [u.emotion for u in corrected]
            profile = make_profile("", labels, self._speakers, *self._made_of(corrected), emotions)
            logits = profile.adapt(logits, pooled)
        return {"confusion": confusion(truth, logits, len(labels)).tolist(), "made": possible}
