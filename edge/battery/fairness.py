"""Fairness: how far a group of speakers is from everybody, against the largest gap of 1,000 random models.

A random model is unfair to nobody; what it shows on these very clips and groups is chance. Those that set the threshold
answer each class as often as the model that is judged: the precision of a class that is seldom answered varies more.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from crnn.metrics import recalls
from edge.battery.answers import drawn
from edge.battery.rows import Row, confusions, judged, skipped

N_MODELS = 1000
AT_ONCE = 100
"""Random models per step: memory"""
TESTS = ("UAR", "recall of a class", "precision of a class")
"""In the order of `gaps`; of a class: the largest gap of any"""


def fairness_rows(
    corpus: str,
    kind: str,
    truth: np.ndarray,
    answers: np.ndarray,
    groups: Sequence[str | None],
    shares: np.ndarray,
    seed: int,
) -> list[Row]:
    """Three rows for each group of `kind` (sex, pitch); one that is skipped if there are no two groups.

    `truth (n,)`, `answers (models, n)` class indices, the bundle's first; `groups` of the clips' speakers, None where
    unknown (these clips do not count); `shares (n_classes,)`: with which `answers[1:]`, of random models, are drawn.
    """
    known = np.array([group is not None for group in groups])
    names = sorted({group for group in groups if group is not None})
    if len(names) < 2:
        reason = f"all speakers are {names[0]}" if names else "not known of any speaker"
        return [skipped(corpus, "fairness", kind, reason)]
    truth, answers = truth[known], answers[:, known]
    members = {name: np.array([group == name for group in groups])[known] for name in names}
    own = np.bincount(answers[0], minlength=len(shares)) / len(truth)
    mine, random = (_largest_gaps(truth, drawn_with, members, seed) for drawn_with in (own, shares))
    rows = []
    for name, member in members.items():
        found = gaps(truth, answers, member, len(shares))
        limits = np.stack([mine[name], *[random[name]] * (len(answers) - 1)])
        rows += [
            judged(corpus, "fairness", f"{kind} {name}: {test}", found[:, column], limits[:, column], at_most=True)
            for column, test in enumerate(TESTS)
        ]
    return rows


def gaps(truth: np.ndarray, answers: np.ndarray, member: np.ndarray, n_classes: int) -> np.ndarray:
    """How far the clips of a group, `member (n,)` bool, are from all: `(models, 3)`, in the order of TESTS.

    Over the classes that occur in the group; the precision, over those that are answered there.
    """
    whole, part = (
        confusions(truth[chosen], answers[:, chosen], n_classes) for chosen in (np.full(len(truth), True), member)
    )
    recall = recalls(part) - recalls(whole)
    precision = recalls(part.swapaxes(1, 2)) - recalls(whole.swapaxes(1, 2))
    return np.stack(
        [
            np.abs(np.nanmean(recall, axis=1)),
            np.nanmax(np.abs(recall), axis=1),
            np.nanmax(np.abs(precision), axis=1),
        ],
        axis=1,
    )


def _largest_gaps(
    truth: np.ndarray, shares: np.ndarray, members: Mapping[str, np.ndarray], seed: int
) -> dict[str, np.ndarray]:
    """Group -> the largest gaps `(3,)` of 1,000 models that draw their answers."""
    rng = np.random.default_rng(seed)
    largest = {name: np.zeros(len(TESTS)) for name in members}
    for _ in range(0, N_MODELS, AT_ONCE):
        answers = drawn(rng, shares, (AT_ONCE, len(truth)))
        for name, member in members.items():
            largest[name] = np.maximum(largest[name], gaps(truth, answers, member, len(shares)).max(axis=0))
    return largest
