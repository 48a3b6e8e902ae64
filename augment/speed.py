"""Speed perturbation (Ko et al. 2015): resampling, so that length and pitch change together."""

from collections.abc import Sequence

import numpy as np
import soxr


class SpeedPerturbation:
    """Play the waveform `factor` times as fast, factor drawn from `factors`.

    Args:
        factors: each between 0.5 and 2.

    >>> slow = SpeedPerturbation((0.5,))
    >>> slow(np.zeros(1000, dtype=np.float32), np.random.default_rng(0)).shape
    (2000,)
    """

    def __init__(self, factors: Sequence[float] = (0.9, 1.0, 1.1)) -> None:
        if not factors or not all(0.5 <= factor <= 2 for factor in factors):
            raise ValueError(f"factors is {tuple(factors)}; give one or more numbers between 0.5 and 2")
        self.factors = tuple(factors)

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`waveform (time,)` float32 -> `(time / factor,)` float32."""
        factor = self.factors[int(rng.integers(len(self.factors)))]
        return waveform if factor == 1.0 else soxr.resample(waveform, factor, 1.0, quality="HQ")
