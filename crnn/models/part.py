"""What every part of a model beside the CRNN is."""

from collections.abc import Callable

from torch import nn

from crnn.system_config import SystemConfig


class Part(nn.Module):
    """A part over time, or a pooling: `forward(steps (batch, n_steps, width before), mask)`.

    `mask (batch, n_steps)` is True for a clip's steps and None where all are; what lies behind a clip's end changes
    nothing of it.
    """

    width: int
    """Values of each step or vector that it gives"""


MakePart = Callable[[int, SystemConfig], Part]
"""Width of its input, settings -> a part"""
