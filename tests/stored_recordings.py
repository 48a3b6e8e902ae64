"""Recordings as the loop hands them to its recorder, made by hand."""

from datetime import UTC, datetime

import numpy as np

from edge.loop.events import Recording
from edge.stream.results import Segment, Verdict

RATE = 16000
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
BUNDLE = "0123456789abcdef" * 4


def recording(sure: float, when: datetime = START, seconds: float = 0.5) -> Recording:
    """Noise that the loop was `sure` of; each value gives other noise."""
    probs = {"angry": sure, "sad": 1 - sure}
    segment = Segment(1.0, 1.0 + seconds, None, Verdict.UNCERTAIN, sure, probs)
    samples = np.random.default_rng(round(1e6 * sure)).integers(-3000, 3000, round(seconds * RATE)).astype("<i2")
    return Recording(segment, samples, RATE, when)
