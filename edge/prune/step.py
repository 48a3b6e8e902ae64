"""What a pruning step left of a model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What was there after a step."""

    share: float
    """Of every block's channels and of the LSTM's units that have left"""
    channels: tuple[int, ...]
    lstm_units: int
    n_params: int
    macs_per_window: int
    uar: float
    """Of the development speakers, float32 in torch"""
    bytes: int = 0
    """Whole bundle, of the files that ship"""
    rtf: float = 0.0
    """Processor time / audio time of its stream, 1 thread; of the slowest runtime"""
