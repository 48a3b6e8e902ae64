"""The two parts of a larger bundle, as they are exported: Whisper's first layers over one window, and what follows."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from crnn.config import FeatureConfig, StreamGeometry
from crnn.models.hidden_states import WhisperStates
from crnn.training.teacher import Regression
from edge.export.exporters import Part


class WindowEncoder(nn.Module):
    """Log-mel `(1, n_mels, frames)` -> `(1, width)`, the means over time of the outputs of `layers`: the embedding of
    `crnn.models.pretrained`, from features."""

    def __init__(self, encoder: WhisperStates, layers: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.numbers = encoder, tuple(layers)

    def forward(self, log_mel: Tensor) -> Tensor:
        states = self.encoder.of_log_mel(log_mel)
        return torch.cat([states[number].mean(dim=1) for number in self.numbers], dim=1)


def linear_head(regression: Regression, axes: np.ndarray, n_classes: int) -> nn.Linear:
    """`(1, width)` -> `(1, n_classes + components)`, the columns of `crnn.outputs`: logits of the regression, and the
    standardised embedding along `axes (width, components)`. One matrix: to standardise is linear too.

    Raises ValueError unless the regression knows every class.
    """
    model = regression.model
    if list(model.classes_) != list(range(n_classes)):
        raise ValueError(f"the regression knows the classes {model.classes_} of {n_classes}")
    coefficients, intercepts = model.coef_, model.intercept_
    if n_classes == 2:  # scikit-learn stores the difference alone
        coefficients, intercepts = np.vstack([0 * coefficients, coefficients]), np.append(0, intercepts)
    weights = np.hstack([coefficients.T, axes]) / regression.scale[:, None]
    bias = np.append(intercepts, np.zeros(axes.shape[1])) - regression.mean @ weights
    head = nn.Linear(*weights.shape)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights.T))
        head.bias.copy_(torch.from_numpy(bias))
    return head


def encoder_part(encoder: WindowEncoder, features: FeatureConfig, g: StreamGeometry) -> Part:
    """In the shapes of a stream (`edge.stream.window_recognizer`)."""
    log_mel = torch.zeros(1, features.n_mels, g.window_samples // g.hop_length)
    return Part("encoder", encoder, log_mel, "log_mel", "means")


def head_part(head: nn.Linear) -> Part:
    return Part("head", head, torch.zeros(1, head.in_features), "means", "logits_and_pooled")


def window_macs(parts: Sequence[Part]) -> int:
    """Multiply-accumulates of one window: convolutions, linear layers, and the products of the attention."""
    total = 0
    values: set[nn.Module] = set()

    def count(module: nn.Conv1d | nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()
        if module in values:
            steps, width = output.shape[-2:]
            total += 2 * steps * steps * width  # queries with keys, and their weights with the values

    for part in parts:
        values |= {module for name, module in part.module.named_modules() if name.endswith("v_proj")}
        layers = [m for m in part.module.modules() if isinstance(m, (nn.Conv1d, nn.Linear))]
        hooks = [layer.register_forward_hook(count) for layer in layers]
        with torch.inference_mode():
            part.module(part.example)
        for hook in hooks:
            hook.remove()
    return total
