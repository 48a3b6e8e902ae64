"""The head of every model but the CRNN: parts over time, pooling, classifier."""

from collections.abc import Sequence

from torch import Tensor, nn

from crnn.config import ModelConfig
from crnn.models.answers import Answers
from crnn.models.part import MakePart
from crnn.system_config import SystemConfig


def in_sequence(width: int, parts: Sequence[MakePart], system: SystemConfig) -> tuple[nn.ModuleList, int]:
    """Parts over time, one after another, over steps of this width; and the width of the last one's steps."""
    made = nn.ModuleList()
    for part in parts:
        made.append(part(width, system))
        width = int(made[-1].width)  # type: ignore[arg-type] # a Part's
    return made, width


class SystemHead(Answers):
    """`steps (batch, n_steps, width)` -> `logits (batch, n_classes)`.

    `mask (batch, n_steps)` is True for a clip's steps and None where all are.
    """

    def __init__(
        self,
        width: int,
        parts: Sequence[MakePart],
        pooling: MakePart,
        model: ModelConfig,
        system: SystemConfig,
        n_classes: int,
    ) -> None:
        super().__init__()
        self.sequence, width = in_sequence(width, parts, system)
        pooled = pooling(width, system)
        self.pooling, width = pooled, pooled.width
        self.add_answers(width, model, n_classes)

    def pool(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        """One vector per clip, `(batch, width)`: the input of the classifier."""
        for part in self.sequence:
            steps = part(steps, mask)
        return self.pooling(steps, mask)

    def forward(self, steps: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.classify(self.pool(steps, mask))
