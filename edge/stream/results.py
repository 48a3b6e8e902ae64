"""Results: logits per interval from the stream; a label per interval and a segment per utterance from the loop."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class State(StrEnum):
    """Of an interval."""

    WARMING_UP = "warming up"
    """Less than one window has been processed: no decision yet"""
    DECIDING = "deciding"
    """A decision over the last window"""


@dataclass(frozen=True)
class WindowResult:
    """What the exact stream computes once per interval (`edge.stream.recognizer`)."""

    seconds: float
    """Audio time at the end of the interval, s since the first sample of the stream"""
    state: State
    level_dbfs: float
    """Level of the interval's new samples without their mean, dB relative to full scale"""
    logits: np.ndarray | None = None
    """`(n_classes,)` float32; None while warming up"""
    pooled: np.ndarray | None = None
    """The head's pooled vector of the window, `(width,)` float32; None while warming up"""
    arousal: float | None = None
    """Of the window, 0 to 1; None while warming up, and where the model does not estimate it"""


@dataclass(frozen=True)
class StreamResult:
    """A `WindowResult` as the listening loop reports it: at its place in the audio, with the label to show."""

    seconds: float
    """Audio time at the end of the interval, s since the first sample"""
    state: State
    level_dbfs: float
    """Level of the interval's new samples without their mean, dB relative to full scale"""
    logits: np.ndarray | None
    """`(n_classes,)` float32, of the window alone, adapted if the loop adapts; None while warming up"""
    probs: np.ndarray | None
    """`(n_classes,)` float32, smoothed (`edge.stream.live_label`); None while warming up"""
    emotion: str | None
    """The emotion to show, "uncertain", or "noise" where the VAD is not sure of a voice; None while warming up"""
    confidence: float | None
    """Probability of the emotion to show; None while warming up"""
    pooled: np.ndarray | None = None
    """The head's pooled vector of the window, `(width,)` float32; None while warming up"""
    arousal: float | None = None
    """0 to 1, smoothed as the logits are; None while warming up, where the VAD is not sure of a voice, and where the
    model does not estimate it"""
    adapted: int | None = None
    """Number of earlier utterances to which logits and probabilities are adapted (`edge.stream.prior`), 0: not yet;
    None while warming up, and where the loop does not adapt"""


class Verdict(StrEnum):
    """Why a segment has no emotion."""

    UNCERTAIN = "uncertain"
    TOO_SHORT = "too short"
    NO_SPEECH = "no speech"
    CLIPPED = "clipped"
    TOO_QUIET = "too quiet"
    NOISE = "noise"


ANSWERED = (None, Verdict.UNCERTAIN)
"""Verdicts of segments whose sound is good enough for an answer"""


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
    """Emotion -> probability over the utterance; empty where nothing was decided"""
    arousal: float | None = None
    """Mean over the decisions of the utterance, 0 to 1; None where the verdict is none of `ANSWERED`, and where the
    model does not estimate it"""
    adapted: int | None = None
    """Number of earlier utterances to which the probabilities are adapted (`edge.stream.prior`), 0: not yet; None where
    the loop does not adapt, and where nothing was decided"""
    person: str | None = None
    """Name of the profile that it is adapted to, or "unknown"; None where the loop does not choose among several"""
