"""What every head computes from its pooled vector: the logits, and estimates of continuous labels."""

import torch
from torch import Tensor, nn

from crnn.config import ModelConfig


class Answers(nn.Module):
    """The part of a head behind its pooled vector `(batch, width)`. A head makes it last (`add_answers`).

    `arousal` gives `(batch, 1)`, `continuous` `(batch, n_continuous)`, both 0 to 1; None where the settings name none.
    """

    dropout: nn.Dropout
    classifier: nn.Linear
    n_continuous: int
    arousal: nn.Sequential | None
    continuous: nn.Sequential | None

    def add_answers(self, width: int, model: ModelConfig, n_classes: int) -> None:
        self.dropout = nn.Dropout(model.dropout)
        self.classifier = nn.Linear(width, n_classes)
        self.arousal = nn.Sequential(nn.Linear(width, 1), nn.Sigmoid()) if model.arousal else None
        self.n_continuous = n = len(model.continuous)
        self.continuous = nn.Sequential(nn.Linear(width, n), nn.Sigmoid()) if n else None

    @property
    def n_estimates(self) -> int:
        """Columns of `estimate`."""
        return self.n_continuous + (self.arousal is not None)

    def classify(self, pooled: Tensor) -> Tensor:
        """`pooled (batch, width)` -> `logits (batch, n_classes)`."""
        return self.classifier(self.dropout(pooled))

    def estimate(self, pooled: Tensor) -> Tensor:
        """`pooled (batch, width)` -> every estimate, `(batch, n_estimates)`: arousal, then continuous labels."""
        return torch.cat([pooled[:, :0], *self._estimates(self.dropout(pooled))], dim=-1)

    def outputs(self, pooled: Tensor) -> Tensor:
        """The columns of `crnn.outputs`, without dropout."""
        return torch.cat([self.classifier(pooled), *self._estimates(pooled), pooled], dim=-1)

    def _estimates(self, pooled: Tensor) -> list[Tensor]:
        return [part(pooled) for part in (self.arousal, self.continuous) if part is not None]
