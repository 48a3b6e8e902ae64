"""The training task with a frozen speech encoder as teacher."""

import torch
from torch import Tensor, nn

from crnn.models.crnn import WindowModel
from crnn.run_config import RunConfig
from crnn.training.task import EmotionTask

HIDDEN = 256
"""Units of the projection's hidden layer"""


class TaughtTask(EmotionTask):
    """loss.label_share * label loss + teacher.answers * cross-entropy with the encoder's answers + teacher.embedding *
    mean squared error between a projection of the pooled vector and the components of the encoder's embedding, and what
    is learned beside the classes (`crnn.training.auxiliary`), which the encoder does not teach.

    The projection is trained with the model and is no part of it: `checkpoint.model_weights` leaves it out.
    """

    def __init__(self, config: RunConfig, model: WindowModel, *others) -> None:
        super().__init__(config, model, *others)
        width = model.head.classifier.in_features
        self.projection = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, config.teacher.components)
        )

    def batch_loss(self, log_mel: Tensor, targets: Tensor, mask: Tensor, *others: Tensor) -> Tensor:
        """The last of `others` is `(batch, n_classes + components)`: rows of `crnn.training.teacher.Taught`."""
        answers, components = others[-1].split([targets.shape[1], self.config.teacher.components], dim=1)
        steps, head = self.model.encoder.training_steps(log_mel), self.model.head
        # Under mixed precision the encoder alone, which takes most of the time, computes in 16 bits.
        with torch.autocast(log_mel.device.type, enabled=False):
            pooled = head.pool(steps.float())
            logits = head.classify(pooled)
            labels = self.label_loss(logits, targets, mask)
            auxiliary = self.auxiliary_loss(pooled, targets, others)
            entropy = -(answers * torch.log_softmax(logits, dim=-1)).sum(dim=-1).mean()
            error = (self.projection(pooled) - components).square().mean()
        teacher = self.config.teacher
        taught = teacher.answers * entropy + teacher.embedding * error
        return self.config.loss.label_share * labels + taught + auxiliary
