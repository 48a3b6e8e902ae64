"""Models over windows of log-mel features: an exactly streaming encoder, and a head over its steps; one is the CRNN."""

import torch
from torch import Tensor, nn

from crnn.config import FeatureConfig, ModelConfig, StreamGeometry
from crnn.models.encoder import Encoder
from crnn.models.head import Head, OpenHead
from crnn.models.system_head import SystemHead


class WindowModel(nn.Module):
    """Encoder and head: `log_mel (batch, n_mels, frames)` -> `logits (batch, n_classes)` over all its steps.

    The head has `pool`, which makes a vector of steps, and the parts of `crnn.models.answers.Answers`.
    """

    head: Head | SystemHead

    def __init__(self, encoder: Encoder, head: Head | SystemHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.head(self.encoder(log_mel))

    def training_logits(self, log_mel: Tensor) -> Tensor:
        """The same without the spectral floor, which is for evaluation and devices."""
        return self.head.classify(self.training_pooled(log_mel))

    def training_pooled(self, log_mel: Tensor) -> Tensor:
        """The pooled vector `(batch, width)` that these logits are computed from."""
        return self.head.pool(self.encoder.training_steps(log_mel))

    def clip_logits(
        self, log_mel: Tensor, n_samples: Tensor, geometry: StreamGeometry, head: nn.Module | None = None
    ) -> Tensor:
        """Logits of whole clips: the mean over the decisions of the stream on each clip, `flush` included.

        `log_mel (batch, n_mels, frames)` of clips with the zeros that the stream adds before and after them, padded to
        the longest; `n_samples (batch,)` their true lengths. Returns `(batch, n_classes)`, or the mean output of
        another `head` on the same windows.
        """
        steps = self.encoder(log_mel)
        windows = steps.unfold(1, geometry.window_steps, geometry.interval_steps).transpose(2, 3)
        intervals = torch.tensor([geometry.n_intervals(int(n)) for n in n_samples], device=steps.device)
        decisions = intervals - geometry.window_intervals + 1
        valid = torch.arange(windows.shape[1], device=steps.device) < decisions[:, None]
        logits = (head or self.head)(windows[valid]).float()
        owner = valid.nonzero()[:, 0]
        total = torch.zeros(len(decisions), logits.shape[1], device=logits.device).index_add_(0, owner, logits)
        return total / decisions[:, None]

    def clip_outputs(self, log_mel: Tensor, n_samples: Tensor, geometry: StreamGeometry) -> Tensor:
        """The same mean of all outputs, `(batch, columns of crnn.outputs)`."""
        return self.clip_logits(log_mel, n_samples, geometry, OpenHead(self.head))


class CRNN(WindowModel):
    """The model of a bundle: `crnn.models.encoder.Encoder`, then `crnn.models.head.Head`."""

    head: Head

    def __init__(self, features: FeatureConfig, config: ModelConfig, n_classes: int) -> None:
        encoder = Encoder(features.n_mels, config)
        super().__init__(encoder, Head(config.encoder_features(features.n_mels), config, n_classes))
        self.config = config
