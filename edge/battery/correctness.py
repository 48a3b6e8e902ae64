"""Correctness: recall and precision, and whether the answers have the classes' shares, also speaker by speaker."""

from collections.abc import Sequence

import numpy as np

from crnn.metrics import recalls, uar
from edge.battery.rows import Row, confusions, judged, skipped

MIN_RATE = 0.5
"""Smallest recall and precision, of each class and on average"""
MAX_SHARE_ERROR = 0.15
"""Largest difference between the share of a class among the answers and among the clips"""
MAX_SPEAKER_SHARE_ERROR = 0.1
"""The same for each speaker's clips, the mean over speakers"""
MIN_SPEAKER_CLIPS = 10
"""Fewer clips of a speaker say nothing about him"""


def correctness_rows(
    corpus: str, truth: np.ndarray, answers: np.ndarray, speakers: Sequence[str], labels: Sequence[str]
) -> list[Row]:
    """The rows of one corpus, for the classes that occur in it; an answer outside of them is wrong.

    `truth (n,)`, `answers (models, n)` class indices, the bundle's first; `speakers` of the clips.
    """
    n = len(labels)
    counts = confusions(truth, answers, n)
    recall, precision = recalls(counts), np.nan_to_num(recalls(counts.swapaxes(1, 2)))  # never answered: none right
    present = [index for index in range(n) if (truth == index).any()]
    off = np.abs(counts.sum(axis=1) - counts.sum(axis=2)) / len(truth)
    rows = [
        judged(corpus, "correctness", "UAR", np.array([uar(matrix) for matrix in counts]), MIN_RATE),
        judged(corpus, "correctness", "mean precision", precision[:, present].mean(axis=1), MIN_RATE),
    ]
    rows += [judged(corpus, "correctness", f"recall, {labels[c]}", recall[:, c], MIN_RATE) for c in present]
    rows += [judged(corpus, "correctness", f"precision, {labels[c]}", precision[:, c], MIN_RATE) for c in present]
    rows += [
        judged(corpus, "correctness", f"share of answers, {labels[c]}", off[:, c], MAX_SHARE_ERROR, at_most=True)
        for c in present
    ]
    return rows + _speaker_rows(corpus, truth, answers, np.array(speakers), labels, present)


def _speaker_rows(
    corpus: str, truth: np.ndarray, answers: np.ndarray, speakers: np.ndarray, labels: Sequence[str], present: list[int]
) -> list[Row]:
    names, n_clips = np.unique(speakers, return_counts=True)
    enough = names[n_clips >= MIN_SPEAKER_CLIPS]
    if not len(enough):
        return [skipped(corpus, "correctness", "per speaker", f"no speaker has {MIN_SPEAKER_CLIPS} clips")]
    own = [confusions(truth[speakers == who], answers[:, speakers == who], len(labels)) for who in enough]
    off = np.mean([np.abs(c.sum(axis=1) - c.sum(axis=2)) / c[0].sum() for c in own], axis=0)
    lowest = np.min([[uar(matrix) for matrix in counts] for counts in own], axis=0)
    rows = [
        judged(
            corpus, "correctness", f"share per speaker, {labels[c]}", off[:, c], MAX_SPEAKER_SHARE_ERROR, at_most=True
        )
        for c in present
    ]
    return [*rows, judged(corpus, "correctness", "lowest UAR of a speaker, above chance", lowest, 1 / len(present))]
