"""Models over whole clips of any length: an encoder, then a head over all its steps at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from crnn.config import StreamGeometry
from crnn.data.padded import Padded, WithText
from crnn.models.crnn import WindowModel
from crnn.models.pretrained import SpeechEncoder
from crnn.models.system_head import SystemHead

if TYPE_CHECKING:
    from crnn.models.text_encoder import TextEncoder


class ClipModel(nn.Module):
    """Clips `(batch, time, ...)`, all of one length or `Padded` -> `logits (batch, n_classes)`.

    The encoder turns `Padded` inputs into `Padded` steps. A clip is answered by one pass over all of it. Other clips in
    its batch do not change its answer.
    """

    encoder: Any
    """An nn.Module, whose types lack what `crnn.models.registry.EncoderKind` asks of an encoder"""

    def __init__(self, encoder: nn.Module, head: SystemHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    @property
    def pretrained(self) -> SpeechEncoder | None:
        """The pretrained encoder that it rests on, if any: the licence of its weights depends on it."""
        return getattr(self.encoder, "pretrained", None)

    @property
    def text(self) -> TextEncoder | None:
        """The text encoder that it rests on, if any."""
        return getattr(self.encoder, "text", None)

    def example(self, n_samples: int) -> Tensor | WithText:
        """An input of so many samples, to count what it costs."""
        return self.encoder.example(n_samples)

    def training_pooled(self, clips: Tensor | Padded) -> Tensor:
        """The pooled vector `(batch, width)` that the logits are computed from."""
        steps = self.encoder(clips if isinstance(clips, Padded) else Padded.full(clips))
        return self.head.pool(steps.values, steps.mask)

    def forward(self, clips: Tensor | Padded) -> Tensor:
        return self.head.classify(self.training_pooled(clips))

    def clip_logits(self, clips: Padded, n_samples: Tensor, geometry: StreamGeometry) -> Tensor:
        """Logits of whole clips, `(batch, n_classes)`. They need neither the numbers of samples nor windows."""
        return self(clips).float()

    def clip_outputs(self, clips: Padded, n_samples: Tensor, geometry: StreamGeometry) -> Tensor:
        """All outputs of the same clips, `(batch, columns of crnn.outputs)`."""
        return self.head.outputs(self.training_pooled(clips)).float()


def rests(model: ClipModel) -> bool:
    """Whether it rests on a pretrained model, of speech or text, or has weights that are not trained."""
    return bool(model.pretrained or model.text)


Model = WindowModel | ClipModel
"""Whatever `crnn.models.registry.build_model` makes"""
