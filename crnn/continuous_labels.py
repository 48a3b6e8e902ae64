"""Continuous labels of own recordings, as settings name them: `NAME`, or `NAME:LOW:HIGH`. No torch."""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from crnn.errors import InputError, require

MOST = 16
"""Labels of one model"""


class ContinuousLabel(NamedTuple):
    """A column of the owner's list, and the least and the greatest value in it."""

    name: str
    low: float
    high: float


def continuous_labels(given: Iterable[str]) -> tuple[ContinuousLabel, ...]:
    """The labels that `model.continuous` names. Raises InputError for what is none.

    >>> continuous_labels(["valence:1:5", "intensity"])
    (ContinuousLabel(name='valence', low=1.0, high=5.0), ContinuousLabel(name='intensity', low=0.0, high=1.0))
    """
    labels = tuple(map(_label, given))
    names = [label.name for label in labels]
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"model.continuous names {', '.join(twice)} twice")
    require(len(labels) <= MOST, f"model.continuous names {len(labels)} labels; give at most {MOST}")
    return labels


def _label(text: str) -> ContinuousLabel:
    name, *ends = text.strip().lower().split(":")
    said = f"model.continuous: {text!r} is no label; give NAME (0 to 1) or NAME:LOW:HIGH, such as valence:1:5"
    require(re.fullmatch(r"[^\W\d]\w*", name) is not None and len(ends) in (0, 2), said)
    try:
        low, high = map(float, ends) if ends else (0.0, 1.0)
    except ValueError as error:
        raise InputError(said) from error
    require(math.isfinite(low) and math.isfinite(high) and low < high, said)
    return ContinuousLabel(name, low, high)
