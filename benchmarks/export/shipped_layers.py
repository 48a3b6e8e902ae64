"""The layers of a bundle, as torch modules with random weights, on which the cost does not depend."""

import torch

from crnn.config import ModelConfig, from_dict
from crnn.errors import require
from crnn.models.cost import count_macs, count_parameters
from crnn.models.crnn import CRNN
from crnn.renamed_keys import with_new_keys
from edge.bundle import Manifest


def same_layers(manifest: Manifest) -> CRNN:
    """A model of the bundle's shape.

    Raises InputError if its parameters or its multiply-accumulates differ from those that the bundle states.
    """
    stated = with_new_keys(manifest.provenance)
    torch.manual_seed(0)
    model = CRNN(manifest.features, from_dict(ModelConfig, stated["model"], "provenance.model"), len(manifest.labels))
    model.eval()
    g = manifest.geometry
    found = count_parameters(model), count_macs(model, manifest.features.n_mels, g.frames_for(g.window_steps))
    require(
        found == (stated["n_params"], stated["macs_per_window"]),
        f"provenance.model gives {found} parameters and multiply-accumulates, the bundle has "
        f"{stated['n_params'], stated['macs_per_window']}; make the bundle again",
    )
    return model
