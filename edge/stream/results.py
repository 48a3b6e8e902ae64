"""What the recognizer answers: a result per decision, a segment per utterance."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Verdict(StrEnum):
    """Why a segment has no emotion."""

    UNCERTAIN = "uncertain"
    TOO_SHORT = "too short"
    NO_SPEECH = "no speech"
    CLIPPED = "clipped"
    TOO_QUIET = "too quiet"
    NOISE = "noise"


@dataclass(frozen=True)
class Segment:
    """One utterance, from the onset of speech to its end."""

    start_seconds: float
    """Audio time, s since the first sample"""
    end_seconds: float
    """Audio time, s"""
    emotion: str | None
    """None where the loop abstains"""
    verdict: Verdict | None
    """Why it abstains; None where it does not"""
    confidence: float
    """Calibrated probability of the top emotion, 0 to 1; 0 where nothing was decided"""
    probs: dict[str, float]
    """Emotion -> calibrated probability over the utterance; empty where nothing was decided"""


class State(StrEnum):
    """What a hop is."""

    WARMING_UP = "warming up"
    """Less than one window has been heard: no decision yet"""
    DECIDING = "deciding"
    """A decision over the last window"""


@dataclass(frozen=True)
class StreamResult:
    """What one hop gave."""

    seconds: float
    """Audio time at the end of the hop, s since the first sample"""
    state: State
    level_dbfs: float
    """Level of the hop's new samples without their mean, dB relative to full scale"""
    logits: np.ndarray | None
    """`(n_classes,)` float32; None while warming up"""
    probs: np.ndarray | None
    """`(n_classes,)` float32, calibrated; None while warming up"""
    emotion: str | None
    """Top emotion or "uncertain"; None while warming up"""
    confidence: float | None
    """Probability of the top emotion; None while warming up"""
    pooled: np.ndarray | None = None
    """What the head gathered from the window, `(width,)` float32; None while warming up"""
