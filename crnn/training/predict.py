"""Whole-clip answers of a model, for every figure of development and test speakers."""

import numpy as np
import torch

from crnn.models.crnn import CRNN
from crnn.run_config import RunConfig


@torch.inference_mode()
def predict(model: CRNN, config: RunConfig, loader) -> np.ndarray:
    """Whole-clip logits `(n, n_classes)` float32 of the clips of `crnn.data.loaders.eval_loader`, on the CPU."""
    was_training = model.training
    model = model.cpu().eval()
    logits = [model.clip_logits(log_mel, n, config.geometry) for log_mel, n, _ in loader]
    model.train(was_training)
    return torch.cat(logits).numpy()
