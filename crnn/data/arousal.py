"""How aroused each recording sounds, 0 to 1, as far as its corpus says: what a model is trained on and judged by.

The level of an emotion follows from its arousal A, -1 to 1, in Russell & Mehrabian (1977, table 4): (1 + A) / 2. Their
origin is the neutral state. How strongly an emotion is expressed, 0 to 1, scales its distance from that origin; 0.5 is
the typical expression, with the level of the table. Of emotions below the origin the strength says nothing: strong
sadness is louder than normal sadness in RAVDESS (by 8 dB) and quieter in CREMA-D (by 4 dB).

What a recording's arousal is computed from, the first that is known:

1. the column `arousal` of its owner's list, 0 to 1
2. the votes of CREMA-D's listeners and their ratings of the strength of each emotion that they chose
3. the emotion and the strength that the actor was asked for (RAVDESS, CREMA-D)
4. the emotion alone

No torch.
"""

import math
from collections.abc import Sequence

import numpy as np

from crnn.data.utterances import Utterance
from crnn.errors import require
from crnn.labels import canonical

AROUSAL = {
    "neutral": 0.0,
    "calm": -0.46,
    "happy": 0.51,
    "sad": -0.27,
    "angry": 0.59,
    "fearful": 0.60,
    "disgust": 0.35,
    "surprised": 0.67,
    "bored": -0.62,
    "excited": 0.75,
    "frustrated": 0.52,
}
"""Emotion -> A; of calm that of "relaxed", because calm is not in the table"""
STRENGTHS = {"normal": 0.25, "low": 0.25, "medium": 0.5, "strong": 0.75, "high": 0.75}
"""The intensity that an actor was asked for -> strength of the expression"""
TYPICAL = 0.5


def level(emotion: str, strength: float = TYPICAL) -> float:
    """Arousal, 0 to 1, of an emotion expressed with this strength; NaN for an emotion whose arousal is not known.

    >>> level("sad"), level("neutral"), round(level("angry"), 3), round(level("angry", 0.75), 3), level("angry", 1.0)
    (0.365, 0.5, 0.795, 0.943, 1.0)
    """
    name = canonical(emotion)
    if name not in AROUSAL:
        return math.nan
    scale = strength / TYPICAL if AROUSAL[name] > 0 else 1.0
    return min(1.0, (1 + AROUSAL[name] * scale) / 2)


def is_rated(utterance: Utterance) -> bool:
    """Whether somebody rated it: its owner the arousal, or listeners the strength of the emotions that they chose."""
    return bool(utterance.votes and utterance.ratings) or _is_given(utterance)


def arousal_of(utterance: Utterance) -> float:
    """Arousal of a recording, 0 to 1; NaN where it is not known. Raises InputError for a column `arousal` of other
    values."""
    if _is_given(utterance):
        return utterance.value("arousal", 0, 1)
    if is_rated(utterance):
        strengths = dict(utterance.ratings or ())
        return sum(share * level(emotion, strengths.get(emotion, TYPICAL)) for emotion, share in utterance.votes or ())
    return level(utterance.emotion, STRENGTHS.get(utterance.intensity or "", TYPICAL))


def _is_given(utterance: Utterance) -> bool:
    return "arousal" in dict(utterance.columns)


def arousal_targets(utterances: Sequence[Utterance], without: Sequence[str] = ()) -> np.ndarray:
    """Arousal of each recording, `(n,)` float32; NaN where it is not known, and for the corpora `without` labels.

    Raises InputError if it is known of none.
    """
    values = [math.nan if u.corpus in without else arousal_of(u) for u in utterances]
    require(
        any(map(math.isfinite, values)),
        f"model.arousal: no training clip has an emotion whose arousal is known ({', '.join(AROUSAL)}); leave it out",
    )
    return np.array(values, dtype=np.float32)
