"""What a kind of model takes: from stored rows, or a clip, to batches.

`LogMelInputs` is the CRNN's. A model over whole clips takes `Padded` batches.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from crnn.data.padded import Padded, WithText
from crnn.features import LogMel
from crnn.offset import pad_clip
from crnn.run_config import RunConfig

LOG_MEL, WAVEFORM, STEPS, TOKENS = "log-mel", "waveform", "steps of a frozen encoder", "tokens of a text"
"""Names of inputs: what the registry says of each encoder"""


Batch = Tensor | Padded | WithText
"""What models take"""


class Inputs(Protocol):
    """The input of one kind of model."""

    held: bool
    """Whether a clip's input is worth being computed once and held in memory"""

    def train(self, name: str, rows: np.ndarray, rng: np.random.Generator) -> Any:
        """The input of one training item, from the stored rows of a copy; chance comes from `rng`."""

    def train_batch(self, items: Sequence[Any]) -> Batch:
        """Several of the same as one batch."""

    def clip(self, name: str, waveform: np.ndarray) -> Any:
        """The input of a whole recording `(time,)` float32."""

    def batch(self, clips: Sequence[Any]) -> Batch:
        """Several of the same, of any length, as one batch."""


class LogMelInputs:
    """Training: a window of log-mel features `(n_mels, frames)`, cut at random. Evaluation: those of the clip between
    the stream's silence, padded with digital silence."""

    held = True

    def __init__(self, config: RunConfig) -> None:
        self._log_mel, self._geometry = LogMel(config.features), config.geometry
        self._length = config.geometry.frames_for(config.geometry.window_steps)
        self._silence = float(np.log(config.features.log_offset))

    def train(self, name: str, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(np.array(_cut(rows, self._length, rng).T, dtype=np.float32, order="C"))

    def train_batch(self, items: Sequence[Tensor]) -> Tensor:
        return torch.stack([*items])

    def clip(self, name: str, waveform: np.ndarray) -> Tensor:
        return torch.from_numpy(self._log_mel(pad_clip(waveform, self._geometry)))

    def batch(self, clips: Sequence[Tensor]) -> Tensor:
        padded = torch.full((len(clips), clips[0].shape[0], max(x.shape[1] for x in clips)), self._silence)
        for row, log_mel in zip(padded, clips, strict=True):
            row[:, : log_mel.shape[1]] = log_mel
        return padded


class WaveformInputs:
    """Training: a window of samples `(time,)`, cut at random, as long as the CRNN's. Evaluation: the clip."""

    held = False

    def __init__(self, config: RunConfig) -> None:
        self._length = config.geometry.window_samples

    def train(self, name: str, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(_cut(rows, self._length, rng).astype(np.float32))

    def train_batch(self, items: Sequence[Tensor]) -> Tensor:
        return torch.stack([*items])

    def clip(self, name: str, waveform: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(waveform))

    def batch(self, clips: Sequence[Tensor]) -> Padded:
        return Padded.of(clips)


class StepInputs:
    """Whole clips `(steps, layers, width)` as a frozen encoder gives them; `steps` takes the name and the waveform of a
    clip, and finds or computes them."""

    held = False

    def __init__(self, steps: Callable[[str, np.ndarray], np.ndarray]) -> None:
        self._steps = steps

    def train(self, name: str, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(rows.astype(np.float32))

    def train_batch(self, items: Sequence[Tensor]) -> Padded:
        return Padded.of(items)

    def clip(self, name: str, waveform: np.ndarray) -> Tensor:
        return torch.from_numpy(self._steps(name, waveform).astype(np.float32))

    def batch(self, clips: Sequence[Tensor]) -> Padded:
        return Padded.of(clips)


class TextInputs:
    """What is said, `tokens (tokens, width)` of a name, beside the input of the sound; an item is a pair of both."""

    held = False

    def __init__(self, sound: LogMelInputs | WaveformInputs | StepInputs, tokens: Callable[[str], np.ndarray]) -> None:
        self._sound, self._tokens = sound, tokens

    def train(self, name: str, rows: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return self._sound.train(name, rows, rng), self._of(name)

    def train_batch(self, items: Sequence[tuple[Tensor, Tensor]]) -> WithText:
        sound, text = zip(*items, strict=True)
        return WithText(self._sound.train_batch(sound), Padded.of(text))

    def clip(self, name: str, waveform: np.ndarray) -> tuple[Tensor, Tensor]:
        return self._sound.clip(name, waveform), self._of(name)

    def batch(self, clips: Sequence[tuple[Tensor, Tensor]]) -> WithText:
        sound, text = zip(*clips, strict=True)
        return WithText(self._sound.batch(sound), Padded.of(text))

    def _of(self, name: str) -> Tensor:
        return torch.from_numpy(self._tokens(name).astype(np.float32))


def _cut(rows: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """`length` rows from a place that is drawn."""
    at = int(rng.integers(0, len(rows) - length + 1))
    return rows[at : at + length]
