"""Is anyone speaking? A gate on the level, with hysteresis."""

import math

import numpy as np

from crnn.config import require


class EnergyGate:
    """Opens at `open_dbfs`, closes after `hold_hops` hops in a row below `close_dbfs`.

    Args:
        open_dbfs, close_dbfs: root mean square of a hop, dB relative to full scale; close_dbfs <= open_dbfs.
        hold_hops: so many quiet hops are still speech (a pause between words).
    """

    def __init__(self, open_dbfs: float = -50.0, close_dbfs: float = -56.0, hold_hops: int = 2) -> None:
        require(close_dbfs <= open_dbfs, f"close_dbfs {close_dbfs} is above open_dbfs {open_dbfs}")
        require(hold_hops >= 0, f"hold_hops is {hold_hops}; give 0 or more")
        self._open_dbfs, self._close_dbfs, self._hold_hops = open_dbfs, close_dbfs, hold_hops
        self.reset()

    def reset(self) -> None:
        self._speech, self._quiet_hops = False, 0

    def update(self, samples: np.ndarray) -> bool:
        """Hear one hop, `(time,)` float32; returns whether it belongs to speech."""
        level = level_dbfs(samples)
        if level >= self._open_dbfs:
            self._speech, self._quiet_hops = True, 0
        elif level >= self._close_dbfs:
            self._quiet_hops = 0
        else:
            self._quiet_hops += 1
            if self._quiet_hops > self._hold_hops:
                self._speech = False
        return self._speech


def level_dbfs(samples: np.ndarray) -> float:
    """Root mean square in dB relative to full scale; -200 for digital silence.

    >>> round(level_dbfs(np.ones(4, dtype=np.float32)))
    0
    """
    return 10 * math.log10(max(float(np.dot(samples, samples)) / len(samples), 1e-20))
