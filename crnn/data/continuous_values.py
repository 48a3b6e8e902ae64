"""The continuous labels of recordings, as arrays: what a model is trained on and judged by. No torch."""

from collections.abc import Sequence

import numpy as np

from crnn.config import ModelConfig
from crnn.continuous_labels import ContinuousLabel, continuous_labels
from crnn.data.arousal import arousal_targets
from crnn.data.utterances import Utterance
from crnn.errors import require


def values_of(utterances: Sequence[Utterance], labels: Sequence[ContinuousLabel]) -> np.ndarray:
    """`(n, n_labels)` float64 in the units of the owner's list; NaN where it says nothing.

    Raises InputError, naming the recording, for a value that is no number or out of the range of its label.
    """
    values = [[u.value(*label) for label in labels] for u in utterances]
    return np.array(values, dtype=np.float64).reshape(len(utterances), len(labels))


def estimate_targets(utterances: Sequence[Utterance], model: ModelConfig, without: Sequence[str] = ()) -> np.ndarray:
    """What the heads of a model are to estimate, `(n, n_estimates)` float32, 0 to 1: the arousal if `model.arousal`,
    then each label of `model.continuous` as its place in its range. NaN where it is not known, and for the corpora
    `without` labels.

    Raises InputError as `values_of` does, and if a label is known of no recording.
    """
    labels = continuous_labels(model.continuous)
    values = values_of(utterances, labels)
    values[[u.corpus in without for u in utterances]] = np.nan
    for label, known in zip(labels, np.isfinite(values).any(axis=0), strict=True):
        require(
            bool(known),
            f"model.continuous: no training clip has a value in a column {label.name}; add it to the list of your "
            "recordings, or leave it out",
        )
    low, high = (np.array([label[place] for label in labels]) for place in (1, 2))
    parts = [arousal_targets(utterances, without)[:, None]] if model.arousal else []
    return np.concatenate([*parts, (values - low) / (high - low)], axis=1).astype(np.float32)
