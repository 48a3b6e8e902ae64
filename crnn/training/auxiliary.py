"""The losses beside that of the classes, all from the pooled vector: continuous labels, speakers, contrast."""

from collections.abc import Sequence

from torch import Tensor, nn

from crnn.models.answers import Answers
from crnn.run_config import LossConfig
from crnn.training.adversary import SpeakerAdversary, adversary_weight
from crnn.training.contrast import SupervisedContrast
from crnn.training.losses import labelled
from crnn.training.regression import LOSSES


class AuxiliaryLosses(nn.Module):
    """Each weighted as `LossConfig` says, those of weight 0 not computed. The layers here are trained with the model
    and are no part of it."""

    def __init__(self, loss: LossConfig, width: int, n_speakers: int) -> None:
        super().__init__()
        self.settings = loss
        self.adversary = SpeakerAdversary(width, n_speakers) if loss.adversary_weight else None
        contrast = loss.contrast_components, loss.contrast_temperature
        self.contrast = SupervisedContrast(width, *contrast) if loss.contrast_weight else None

    def begin_batch(self, epochs: int, place: float) -> None:
        """Called before each batch: `place` of `epochs` epochs are over."""
        if self.adversary is not None:
            self.adversary.weight = adversary_weight(self.settings, epochs, place)

    def monitored(self) -> dict[str, float]:
        """What changes during training, for the history."""
        return {} if self.adversary is None else {"adversary_weight": self.adversary.weight}

    def forward(self, head: Answers, pooled: Tensor, targets: Tensor, others: Sequence[Tensor]) -> Tensor:
        """The weighted sum, a scalar. `pooled (batch, width)`, `targets (batch, n_classes)`; `others` begins with the
        continuous labels `(batch, n_estimates)`, NaN where they are not known, and the shares of the training speakers
        `(batch, n_speakers)`, each if it is used (`crnn.data.loaders.TrainClips`)."""
        total, left = pooled.new_zeros(()).float(), iter(others)
        if head.n_estimates:
            errors = LOSSES[self.settings.continuous](head.estimate(pooled).float(), next(left))
            total = total + self.settings.continuous_weight * errors.sum()
        if self.adversary is not None:
            total = total + self.adversary(pooled, next(left))
        if self.contrast is not None:
            known = labelled(targets)
            total = total + self.settings.contrast_weight * self.contrast(pooled[known], targets[known])
        return total
