"""A finished run, read back: what every bundle is made from."""

from dataclasses import dataclass

import torch

from crnn.checkpoint import model_weights
from crnn.config import InputError, require
from crnn.model import CRNN
from crnn.run import RunFolder
from crnn.run_config import RunConfig


@dataclass(frozen=True)
class Trained:
    """A finished run, read back."""

    config: RunConfig
    data: dict[str, str]
    augment: dict
    metrics: dict
    corpora_heard: frozenset[str]
    """Those of the runs that this one started from included"""
    model: CRNN


def load_trained(folder: RunFolder) -> Trained:
    """Raises InputError, naming the file, if the run is unfinished, does not fit its configuration, or holds NaN."""
    config, data, augment = folder.read_config()
    metrics = folder.read("metrics")
    require(
        bool(metrics.get("dev", {}).get("labels")),
        f"{folder.path / 'metrics.json'}: has no figures of development speakers, who judge an export; train again",
    )
    checkpoint = folder.best_checkpoint
    require(checkpoint.is_file(), f"{checkpoint}: no such file; train again")
    model = CRNN(config.features, config.model, len(metrics["dev"]["labels"]))
    try:
        model.load_state_dict(model_weights(checkpoint))
    except RuntimeError as error:  # what load_state_dict raises for other names or shapes
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"{checkpoint}: does not fit {folder.path / 'config.json'} ({problem})") from error
    for name, value in model.state_dict().items():
        require(bool(torch.isfinite(value).all()), f"{checkpoint}: {name} holds NaN or infinite weights; train again")
    corpora = frozenset(speaker.split(":")[0] for speaker in folder.heard())
    return Trained(config, data, augment, metrics, corpora, model.eval())
