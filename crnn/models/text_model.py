"""Models that take sound and text: the encoder of the sound, and a head that joins its steps with the tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crnn.config import ModelConfig
from crnn.data.padded import Padded, WithText
from crnn.models.answers import Answers
from crnn.models.clip_model import ClipModel
from crnn.models.fusion import MakeFusion
from crnn.models.part import MakePart
from crnn.models.pretrained_encoder import Standardized
from crnn.models.system_head import in_sequence
from crnn.models.text_encoder import EXAMPLE_TOKENS, TextEncoder
from crnn.system_config import SystemConfig


class FusionHead(Answers):
    """Steps of the sound and tokens of the text -> `logits (batch, n_classes)`. The parts over time are the sound's."""

    def __init__(
        self,
        widths: tuple[int, int],
        parts: Sequence[MakePart],
        pooling: MakePart,
        fusion: MakeFusion,
        model: ModelConfig,
        system: SystemConfig,
        n_classes: int,
    ) -> None:
        super().__init__()
        sound, text = widths
        self.sequence, sound = in_sequence(sound, parts, system)
        self.standardized = Standardized(text)
        self.fusion = fusion(sound, text, pooling, system)
        self.add_answers(self.fusion.width, model, n_classes)

    def pool(self, steps: Padded, tokens: Padded) -> Tensor:
        """One vector per clip, `(batch, width)`: the input of the classifier."""
        values, mask = steps.values, steps.mask
        for part in self.sequence:
            values = part(values, mask)
        return self.fusion(values, mask, self.standardized(tokens.values), tokens.mask)


class TextModel(ClipModel):
    """Clips and what is said in them -> `logits (batch, n_classes)`, whatever the length of either."""

    head: FusionHead  # type: ignore[assignment] # it has what is used of every head, and pools two inputs

    def __init__(self, encoder: nn.Module, head: FusionHead, text: TextEncoder) -> None:
        nn.Module.__init__(self)
        self.encoder, self.head = encoder, head
        self._text = text
        self._frozen: tuple[nn.Module, ...] = ()

    @property
    def text(self) -> TextEncoder:
        return self._text

    def take_sound(self, model: ClipModel) -> None:
        """Take the weights of a model of the sound alone, with the same settings, and train them no longer."""
        pairs = [(self.encoder, model.encoder), (self.head.sequence, model.head.sequence)]
        if self.head.fusion.sound_pooling is not None:
            pairs.append((self.head.fusion.sound_pooling, model.head.pooling))
        for ours, theirs in pairs:
            ours.load_state_dict(theirs.state_dict())
            ours.requires_grad_(False)
        self._frozen = tuple(ours for ours, _ in pairs)
        self.train(self.training)

    def train(self, mode: bool = True) -> "TextModel":
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def training_pooled(self, clips: WithText) -> Tensor:  # type: ignore[override] # it takes both, not the sound alone
        """The pooled vector `(batch, width)` that the logits are computed from."""
        sound = clips.sound if isinstance(clips.sound, Padded) else Padded.full(clips.sound)
        return self.head.pool(self.encoder(sound), clips.text)

    def example(self, n_samples: int) -> WithText:
        tokens = Padded.full(torch.zeros(1, EXAMPLE_TOKENS, self._text.width))
        return WithText(self.encoder.example(n_samples), tokens)
