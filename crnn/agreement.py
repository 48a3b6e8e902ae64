"""How far estimated continuous labels agree with what is known of them: correlations, CCC, RMSE.

TorchMetrics, which takes seconds to import, is imported where it computes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crnn.continuous_labels import ContinuousLabel
from crnn.data.arousal import arousal_of, is_rated
from crnn.data.continuous_values import values_of
from crnn.data.utterances import Utterance
from crnn.metrics import speaker_interval


def summarize_arousal(estimates: np.ndarray, utterances: Sequence[Utterance]) -> dict[str, dict]:
    """Corpus -> agreement of the estimates `(n,)` with what is known of `utterances`, in that order
    (`crnn.data.arousal`), as plain values; without the corpora of which nothing is known.

    `spearman` is the rank correlation over the `n_clips` whose arousal is known; `ccc` the concordance correlation over
    the `n_rated` among them that listeners rated, absent without any. Each has an interval over speakers (`_ci95`).
    None stands for a correlation that has no value: one side is constant.
    """
    truth = np.array([arousal_of(u) for u in utterances])
    rated = np.array([is_rated(u) for u in utterances])
    speakers = np.array([u.speaker_id for u in utterances])
    made = {}
    for corpus in sorted({u.corpus for u in utterances}):
        known = np.array([u.corpus == corpus for u in utterances]) & np.isfinite(truth)
        if not known.any():
            continue
        ranks = _figure("spearman", estimates[known], truth[known], speakers[known])
        made[corpus] = {"n_clips": int(known.sum()), **ranks}
        if (judged := known & rated).any():
            ccc = _figure("ccc", estimates[judged], truth[judged], speakers[judged])
            made[corpus] |= {"n_rated": int(judged.sum()), **ccc}
    return made


def summarize_continuous(
    estimates: np.ndarray, utterances: Sequence[Utterance], labels: Sequence[ContinuousLabel]
) -> dict[str, dict]:
    """Label -> agreement of its estimates, a column of `estimates (n, n_labels)`, 0 to 1, with the owner's list, as
    plain values; without the labels of which nothing is known.

    `n_clips` whose value is known; `low` and `high`, the range of the label; `rmse` in its units, `pearson` and `ccc`,
    each with an interval over speakers (`_ci95`). None stands for a figure that has no value: one side is constant.
    """
    truth = values_of(utterances, labels)
    speakers = np.array([u.speaker for u in utterances])
    made: dict[str, dict] = {}
    for column, label in enumerate(labels):
        known = np.isfinite(truth[:, column])
        if not known.any():
            continue
        of_label = label.low + (label.high - label.low) * estimates[known, column].astype(np.float64)
        made[label.name] = {"n_clips": int(known.sum()), "low": label.low, "high": label.high}
        for name in ("rmse", "pearson", "ccc"):
            made[label.name] |= _figure(name, of_label, truth[known, column], speakers[known])
    return made


def _figure(name: str, estimates: np.ndarray, truth: np.ndarray, speakers: np.ndarray) -> dict:
    import torch
    from scipy.stats import rankdata
    from torchmetrics.functional.regression import (
        concordance_corrcoef,
        mean_squared_error,
        pearson_corrcoef,
        spearman_corrcoef,
    )

    if name != "rmse" and (np.ptp(estimates) == 0 or np.ptp(truth) == 0):
        return {name: None, f"{name}_ci95": None}
    x, y = estimates.astype(np.float64), truth.astype(np.float64)
    compute, statistic = {
        "rmse": (lambda a, b: mean_squared_error(a, b, squared=False), root_mean_square_error),
        "pearson": (pearson_corrcoef, pearson),
        "ccc": (concordance_corrcoef, concordance),
        "spearman": (spearman_corrcoef, pearson),
    }[name]
    value = float(compute(torch.from_numpy(x), torch.from_numpy(y)))
    if name == "spearman":
        x, y = rankdata(x), rankdata(y)
    moments = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    by_speaker = np.stack([moments[speakers == speaker].sum(axis=0) for speaker in np.unique(speakers)])
    return {name: value, f"{name}_ci95": speaker_interval(by_speaker, statistic)}


def root_mean_square_error(sums: np.ndarray) -> float:
    """From the sums of 1, x, y, x^2, y^2 and xy `(6,)`."""
    count, _, _, square_x, square_y, product = sums
    return float(np.sqrt(max(square_x + square_y - 2 * product, 0.0) / count))


def pearson(sums: np.ndarray) -> float:
    """Correlation from the sums of 1, x, y, x^2, y^2 and xy `(6,)`; 0 where one side is constant."""
    _, _, var_x, var_y, cov = _moments(sums)
    return float(cov / np.sqrt(max(var_x * var_y, 1e-24)))


def concordance(sums: np.ndarray) -> float:
    """Concordance correlation (Lin 1989) from the same sums; 0 where both sides are constant and equal."""
    mean_x, mean_y, var_x, var_y, cov = _moments(sums)
    return float(2 * cov / max(var_x + var_y + (mean_x - mean_y) ** 2, 1e-12))


def _moments(sums: np.ndarray) -> tuple[float, float, float, float, float]:
    """Means, variances and covariance."""
    mean_x, mean_y, square_x, square_y, product = sums[1:] / sums[0]
    return mean_x, mean_y, square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y
