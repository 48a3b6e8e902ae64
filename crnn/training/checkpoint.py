"""A checkpoint of `crnn.training.fit`, read back without unpickling, and without Lightning, which is slow to import."""

import pickle
from pathlib import Path

import torch

from crnn.errors import InputError, require


def read_checkpoint(path: Path) -> dict:
    """A checkpoint of `fit`; nothing in it is unpickled. Raises InputError if the file is not one."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    # Types that torch raises for damaged archives, depending on the place of the damage.
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as wrong:
        raise InputError(f"{path}: not a readable checkpoint ({type(wrong).__name__}); train again") from wrong
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    require(
        isinstance(state, dict)
        and all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()),
        f"{path}: not a checkpoint of train.py",
    )
    return checkpoint


def model_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The model's weights in a checkpoint of `fit`; the averaged ones if EMA is on."""
    state = read_checkpoint(checkpoint)["state_dict"]
    return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
