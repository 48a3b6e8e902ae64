"""The learning rate at every step, as a function of the step: a resumed run has nothing of it to restore."""

import math

from crnn.run_config import OptimConfig


def learning_rate(optim: OptimConfig, epoch: int, batch: int, n_batches: int) -> float | None:
    """The learning rate of batch `batch` of `n_batches` in epoch `epoch`, all from 0.

    It rises linearly over `warmup_epochs`. Of `cosine` the rise scales the one cosine over all epochs, as far as the
    two overlap; the cycles of `warm-restarts` (Loshchilov & Hutter 2017, SGDR) begin after it. None where
    ReduceLROnPlateau sets the rate. The batches of one step (`accumulate`) have one rate.

    >>> optim = OptimConfig(learning_rate=1.0, schedule="warm-restarts", warmup_epochs=1, restart_epochs=2)
    >>> [round(learning_rate(optim, epoch, 0, 2), 3) for epoch in range(6)]
    [0.5, 1.0, 0.5, 1.0, 0.5, 1.0]
    """
    first = batch - batch % optim.accumulate
    place = epoch + first / n_batches
    warming = place < optim.warmup_epochs
    rise = min(1.0, (place + optim.accumulate / n_batches) / optim.warmup_epochs) if warming else 1.0
    if optim.schedule == "cosine":
        return rise * _cosine(optim, place / optim.epochs)
    if optim.schedule == "warm-restarts":
        return rise * _cosine(optim, _place_in_cycle(optim, max(0.0, place - optim.warmup_epochs)))
    return rise * optim.learning_rate if warming else None


def _cosine(optim: OptimConfig, share: float) -> float:
    """From `learning_rate` at 0 to `min_learning_rate` at 1."""
    height = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return optim.min_learning_rate + (optim.learning_rate - optim.min_learning_rate) * height


def _place_in_cycle(optim: OptimConfig, place: float) -> float:
    """Share of the current cycle that is over, `place` epochs after the first began."""
    length = optim.restart_epochs
    if optim.restart_factor == 1:  # counting cycles of a tiny fraction of an epoch would not end
        return place % length / length
    while place >= length:
        place -= length
        length *= optim.restart_factor
    return place / length
