"""Fusions: from the steps of a recording and the tokens of what is said in it to one vector per clip.

Each is a `Fusion`, built from both widths, the pooling of the sound, and `SystemConfig`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from crnn.models.part import MakePart
from crnn.models.pooling import mean_of
from crnn.system_config import SystemConfig


class Fusion(nn.Module):
    """`forward(steps (batch, n_steps, sound width), mask, tokens (batch, n_tokens, text width), token_mask)` ->
    `(batch, width)`. Masks are True inside a clip and a text, and None where all is."""

    width: int
    """Values of the vector that it gives"""
    sound_pooling: nn.Module | None
    """The pooling that a model of the sound alone has too; None where the fusion needs the steps"""


MakeFusion = Callable[[int, int, MakePart, SystemConfig], Fusion]
"""Width of a step, width of a token, pooling of the sound, settings -> a fusion"""


class Concat(Fusion):
    """The pooled sound and the mean token, side by side."""

    sound_pooling: nn.Module

    def __init__(self, sound: int, text: int, pooling: MakePart, config: SystemConfig) -> None:
        super().__init__()
        pooled = pooling(sound, config)
        self.sound_pooling, self.width = pooled, pooled.width + text

    def forward(self, steps: Tensor, mask: Tensor | None, tokens: Tensor, token_mask: Tensor | None) -> Tensor:
        return torch.cat([self.sound_pooling(steps, mask), mean_of(tokens, token_mask)], dim=1)


class Gated(Fusion):
    """The gated multimodal unit (Arevalo et al. 2017): a tanh layer over each of the pooled sound and the mean token;
    for each of their `units` values a gate over both says how much is taken from either."""

    sound_pooling: nn.Module

    def __init__(self, sound: int, text: int, pooling: MakePart, config: SystemConfig) -> None:
        super().__init__()
        pooled = pooling(sound, config)
        self.sound_pooling, self.width = pooled, config.units
        self.of_sound = nn.Linear(pooled.width, self.width)
        self.of_text = nn.Linear(text, self.width)
        self.gate = nn.Linear(pooled.width + text, self.width)

    def forward(self, steps: Tensor, mask: Tensor | None, tokens: Tensor, token_mask: Tensor | None) -> Tensor:
        sound, text = self.sound_pooling(steps, mask), mean_of(tokens, token_mask)
        gate = self.gate(torch.cat([sound, text], dim=1)).sigmoid()
        return gate * self.of_sound(sound).tanh() + (1 - gate) * self.of_text(text).tanh()


class CrossAttention(Fusion):
    """Attention in both directions (Tsai et al. 2019, one layer): steps and tokens pass a linear layer to `units`; each
    step asks the tokens and each token the steps, with a residual connection and layer norm. Then the pooling of the
    steps, and the mean of the tokens, side by side."""

    def __init__(self, sound: int, text: int, pooling: MakePart, config: SystemConfig) -> None:
        super().__init__()
        self.sound_pooling, units = None, config.units
        self.of_sound, self.of_text = nn.Linear(sound, units), nn.Linear(text, units)
        self.sound_asks = nn.MultiheadAttention(units, config.heads, batch_first=True)
        self.text_asks = nn.MultiheadAttention(units, config.heads, batch_first=True)
        self.sound_norm, self.text_norm = nn.LayerNorm(units), nn.LayerNorm(units)
        pooled = pooling(units, config)
        self.pooling, self.width = pooled, pooled.width + units

    def forward(self, steps: Tensor, mask: Tensor | None, tokens: Tensor, token_mask: Tensor | None) -> Tensor:
        steps, tokens = self.of_sound(steps), self.of_text(tokens)
        of_text, _ = self.sound_asks(steps, tokens, tokens, key_padding_mask=_closed(token_mask), need_weights=False)
        of_sound, _ = self.text_asks(tokens, steps, steps, key_padding_mask=_closed(mask), need_weights=False)
        sound, text = self.sound_norm(steps + of_text), self.text_norm(tokens + of_sound)
        return torch.cat([self.pooling(sound, mask), mean_of(text, token_mask)], dim=1)


def _closed(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else ~mask
