"""The layers of a bundle, as torch modules with random weights: what they cost does not depend on the weights."""

from pathlib import Path

import torch
import yaml

from crnn.config import ModelConfig, from_dict, require
from crnn.model import CRNN, count_macs, count_parameters
from edge.bundle import Manifest

RECIPE = Path(__file__).resolve().parents[1] / "configs" / "recipe.yaml"


def same_layers(manifest: Manifest) -> CRNN:
    """The recipe's model with the bundle's channels.

    Raises InputError if its parameters or its multiply-accumulates are not those that the bundle states of itself.
    """
    stated = manifest.provenance
    values = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["model"]
    config = from_dict(ModelConfig, values | {"channels": stated["channels"]})
    torch.manual_seed(0)
    model = CRNN(manifest.features, config, len(manifest.labels)).eval()
    g = manifest.geometry
    found = count_parameters(model), count_macs(model, manifest.features.n_mels, g.frames_for(g.window_steps))
    require(
        found == (stated["n_params"], stated["macs_per_window"]),
        f"{RECIPE} gives {found} parameters and multiply-accumulates, the bundle has "
        f"{stated['n_params'], stated['macs_per_window']}; give a bundle made with it",
    )
    return model
