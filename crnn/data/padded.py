"""Batches of clips of different length."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


class Padded(NamedTuple):
    """A batch, each row filled with zeros behind its end. A part of a model computes nothing from those zeros."""

    values: Tensor
    """`(batch, time, ...)`"""
    lengths: Tensor
    """`(batch,)` int64 on the CPU or beside the values: how much of each row is filled, 1 or more"""

    @classmethod
    def of(cls, clips: Sequence[Tensor]) -> "Padded":
        """Clips `(time, ...)` as a batch."""
        return cls(pad_sequence([*clips], batch_first=True), torch.tensor([len(clip) for clip in clips]))

    @classmethod
    def full(cls, values: Tensor) -> "Padded":
        """`(batch, time, ...)`, all of it filled."""
        return cls(values, torch.full((len(values),), values.shape[1], device=values.device))

    @property
    def mask(self) -> Tensor | None:
        """`(batch, time)` bool, True where a row is filled; None if all of it is."""
        places = torch.arange(self.values.shape[1], device=self.values.device)
        mask = places < self.lengths.to(self.values.device)[:, None]
        return None if bool(mask.all()) else mask


class WithText(NamedTuple):
    """A batch of clips, and of what is said in them."""

    sound: Tensor | Padded
    text: Padded
    """Tokens `(batch, tokens, width)`"""
