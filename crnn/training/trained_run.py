"""Opens the trained model of a run folder, of any kind."""

from dataclasses import dataclass

import torch
from torch import nn

from crnn.errors import InputError, require
from crnn.models.clip_model import Model
from crnn.models.registry import build_model
from crnn.run_config import RunConfig
from crnn.training.checkpoint import model_weights
from crnn.training.run_folder import RunFolder


@dataclass(frozen=True)
class TrainedModel:
    """A trained model and what is needed to use it."""

    config: RunConfig
    labels: tuple[str, ...]
    """The emotions, in the order of the logits"""
    model: Model
    """On the CPU, in evaluation"""


def open_run(folder: RunFolder) -> TrainedModel:
    """Raises InputError, naming the file, if the folder holds no trained model, or one that `load_weights` refuses."""
    config, _, _ = folder.read_config()
    labels = folder.labels()
    model = build_model(config, len(labels))
    load_weights(model, folder)
    return TrainedModel(config, labels, model.eval())


def load_weights(model: nn.Module, folder: RunFolder) -> None:
    """Copy the weights of the run's best checkpoint into `model`. Raises InputError, naming the file, if there is none,
    if it does not fit the configuration, or holds NaN."""
    checkpoint = folder.best_checkpoint
    require(checkpoint.is_file(), f"{checkpoint}: no such file; train again")
    try:
        model.load_state_dict(model_weights(checkpoint))
    except RuntimeError as error:  # what load_state_dict raises for other names or shapes
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"{checkpoint}: does not fit {folder.path / 'config.json'} ({problem})") from error
    for name, value in model.state_dict().items():
        require(bool(torch.isfinite(value).all()), f"{checkpoint}: {name} holds NaN or infinite weights; train again")
