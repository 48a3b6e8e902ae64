"""Whole-clip answers of a model, for every figure of development and test speakers."""

import numpy as np
import torch

from crnn.models.clip_model import Model
from crnn.outputs import Outputs, split_outputs
from crnn.run_config import RunConfig


def predict(model: Model, config: RunConfig, loader) -> np.ndarray:
    """Whole-clip logits `(n, n_classes)` float32 of the clips of `crnn.data.loaders.eval_loader`, on the CPU."""
    return predict_outputs(model, config, loader).logits


@torch.inference_mode()
def predict_outputs(model: Model, config: RunConfig, loader) -> Outputs:
    """All outputs for the same clips, means over the decisions on each, float32: logits `(n, n_classes)`, arousal
    `(n,)` and continuous labels `(n, n_continuous)` if the model estimates them, pooled vector `(n, width)`."""
    was_training = model.training
    model = model.cpu().eval()
    made = torch.cat([model.clip_outputs(log_mel, n, config.geometry) for log_mel, n, _ in loader])
    model.train(was_training)
    head = model.head
    return split_outputs(made.numpy(), head.classifier.out_features, head.arousal is not None, head.n_continuous)
