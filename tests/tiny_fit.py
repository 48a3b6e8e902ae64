"""A fit that takes a fraction of a second: generated steps in place of recordings, a model without batch norm."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from crnn.config import ModelConfig
from crnn.data.inputs import StepInputs
from crnn.data.loaders import EvalClips, TrainClips
from crnn.data.splits import Split
from crnn.data.utterances import Utterance
from crnn.models.clip_model import ClipModel
from crnn.models.pooling import Mean
from crnn.models.system_head import SystemHead
from crnn.run_config import LossConfig, OptimConfig, RunConfig
from crnn.training.fit import fit
from crnn.training.task import EmotionTask

LABELS = ("happy", "neutral", "sad")
WIDTH = 6
PLAIN = RunConfig(
    model=ModelConfig(kind="cnn", dropout=0.0),
    loss=LossConfig(gamma=0.0, class_weights=False),
    optim=OptimConfig(epochs=1, batch_size=8, ema_decay=0.0, gradient_clip=0.0, corpus_balance=0.0),
)
"""Every clip weighs the same, whatever its batch"""


def clips(n: int, first: int = 0, **more: Callable[[int], Any]) -> tuple[Utterance, ...]:
    """Clips of four speakers, each with an emotion of `LABELS`; `more` gives further fields of clip i."""
    return tuple(
        Utterance(
            Path(f"{i}.wav"), "own", f"s{i % 4}", None, LABELS[i % 3], **{name: of(i) for name, of in more.items()}
        )
        for i in range(first, first + n)
    )


class Steps(nn.Module):
    """An encoder that gives its input."""

    width = WIDTH

    def forward(self, padded):
        return padded


def model_of(config: RunConfig, seed: int = 0) -> ClipModel:
    torch.manual_seed(seed)
    return ClipModel(Steps(), SystemHead(WIDTH, [], Mean, config.model, config.system, len(LABELS)))


class Rows:
    """Steps `(5, WIDTH)` of a clip, by its name: noise, and in the first value its emotion."""

    def count(self, name: str) -> int:
        return 1

    def rows(self, name: str, copy: int = 0) -> np.ndarray:
        number = int(name.split("/")[1])
        rows = np.random.default_rng(number).normal(size=(5, WIDTH)).astype(np.float32)
        rows[:, 0] += number % 3
        return rows


class Lengths:
    """In place of decoded recordings, which a model over steps does not read."""

    def __init__(self, utterances: tuple[Utterance, ...]) -> None:
        self.clips = {u.name: (0, 100) for u in utterances}

    def waveform(self, name: str) -> np.ndarray:
        return np.zeros(100, np.float32)


def tiny_fit(
    config: RunConfig, folder: Path, train: tuple[Utterance, ...] = clips(32), task_type=EmotionTask, resume=False
) -> EmotionTask:
    """Train on `train` and return the task, as it is after its last step."""
    split = Split.of("own-data", 0, LABELS, {"train": train, "dev": clips(6, first=1000)})
    inputs = StepInputs(lambda name, _: Rows().rows(name))
    chosen = TrainClips(Rows(), split, config, None, inputs)
    task = task_type(config, model_of(config), n_speakers=chosen.n_speakers)
    fit(task, chosen, EvalClips(Lengths(split.dev), split.dev, LABELS, config, inputs), folder, resume)
    return task


def resumed_fit(config: RunConfig, folder: Path, task_type=EmotionTask) -> EmotionTask:
    """The same for a fit that ends by an error when its third epoch begins, and is resumed."""

    class Ended(task_type):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 2:
                raise RuntimeError("ended")
            super().on_train_epoch_start()

    with pytest.raises(RuntimeError, match="ended"):
        tiny_fit(config, folder, task_type=Ended)
    return tiny_fit(config, folder, task_type=task_type, resume=True)


def with_optim(config: RunConfig = PLAIN, **settings) -> RunConfig:
    return replace(config, optim=replace(config.optim, **settings))
