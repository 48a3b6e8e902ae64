"""The head of the CRNN: BiLSTM, attention over time and classifier, over the steps of one window."""

import torch
from torch import Tensor, nn

from crnn.config import ModelConfig
from crnn.models.answers import Answers
from crnn.models.system_head import SystemHead


class Head(Answers):
    """`steps (batch, window_steps, d)` -> `logits (batch, n_classes)`.

    BiLSTM, additive attention over time (Bahdanau et al. 2015, one query), classifier.
    """

    def __init__(self, encoder_features: int, config: ModelConfig, n_classes: int) -> None:
        super().__init__()
        width = 2 * config.lstm_units
        self.lstm = nn.LSTM(encoder_features, config.lstm_units, batch_first=True, bidirectional=True)
        self.attention = nn.Sequential(
            nn.Linear(width, config.attention_units),
            nn.Tanh(),
            nn.Linear(config.attention_units, 1, bias=False),
        )
        self.add_answers(width, config, n_classes)

    def attend(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """The BiLSTM's states `(batch, window_steps, width)` and their weights `(batch, window_steps, 1)`."""
        states, _ = self.lstm(steps)
        return states, torch.softmax(self.attention(states), dim=1)

    def pool(self, steps: Tensor) -> Tensor:
        """The weighted mean of the states, `(batch, width)`: the input of the classifier."""
        states, weights = self.attend(steps)
        return (states * weights).sum(dim=1)

    def forward(self, steps: Tensor) -> Tensor:
        return self.classify(self.pool(steps))


class OpenHead(nn.Module):
    """The exported head: `steps` -> one row per window, the columns of `crnn.outputs`: the logits, the arousal if the
    head has it, then the pooled vector from which they are computed. Personal enrolment uses that vector
    (`edge.stream.profile`)."""

    def __init__(self, head: Head | SystemHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, steps: Tensor) -> Tensor:
        return self.head.outputs(self.head.pool(steps))
