"""What tests of augmentation share: the rate, a level, and chance."""

import numpy as np
import torch

RATE = 16000


def rms(x) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def speech(seconds: float = 2.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE))).astype(np.float32)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
