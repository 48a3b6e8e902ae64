"""The columns of the head's output, in one place for training, export and device. No torch."""

from typing import Any, NamedTuple


class Outputs(NamedTuple):
    """The columns, not copied; NumPy arrays or tensors, as given."""

    logits: Any
    """`(..., n_classes)`"""
    arousal: Any
    """`(...)`, 0 to 1; None where the model has none"""
    pooled: Any
    """`(..., width)`, from which the others are computed"""
    continuous: Any = None
    """`(..., n_continuous)`, each its place in its range, 0 to 1; None where the model has none"""


def split_outputs(outputs: Any, n_classes: int, arousal: bool, n_continuous: int = 0) -> Outputs:
    """The parts of `outputs (..., n_classes + 1 + n_continuous + width)`: logits, arousal, continuous labels, pooled
    vector. Without `arousal` its column is not there.

    >>> import numpy as np
    >>> split_outputs(np.arange(6), 2, arousal=True)
    Outputs(logits=array([0, 1]), arousal=array(2), pooled=array([3, 4, 5]), continuous=None)
    """
    first = n_classes + arousal
    last = first + n_continuous
    return Outputs(
        outputs[..., :n_classes],
        outputs[..., n_classes] if arousal else None,
        outputs[..., last:],
        outputs[..., first:last] if n_continuous else None,
    )
