"""One step of a pruning, as measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A model after a pruning step and its training."""

    share: float
    """Pruned so far, of every block's channels and of the LSTM's units"""
    channels: tuple[int, ...]
    lstm_units: int
    n_params: int
    macs_per_window: int
    uar: float
    """Of the development speakers, float32 in torch"""
    bytes: int = 0
    """Whole bundle, in the schemes that ship (`edge.export.cost`)"""
    rtf: float = 0.0
    """Processor time / audio time of its stream, 1 thread; of the slowest runtime"""
