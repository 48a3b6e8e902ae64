"""WA, UAR, macro-F1, WF1, confusion matrix, calibration error, per speaker and per sex, with confidence intervals.

PyTorch and TorchMetrics, which take seconds to import, are imported where they compute: many callers need neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from crnn.data.corpora import Utterance

if TYPE_CHECKING:
    import torch

RESAMPLES = 2000
CALIBRATION_BINS = 15


def summarize(probs: np.ndarray, labels: np.ndarray, utterances: Sequence[Utterance], names: Sequence[str]) -> dict:
    """Every figure this project reports for one set of clips, as plain values.

    `probs (n, n_classes)` rows that sum to 1, `labels (n,)` class indices, `utterances` the clips in that order.
    UAR is the mean recall over the classes that occur (macro recall), WA the accuracy, `macro_f1` the mean F1 over the
    classes that occur, `wf1` that mean weighted by their clips. `uar_ci95` and `wa_ci95` come from resampling speakers
    with replacement (2000 times, percentiles): clips of one speaker are not independent.
    """
    import torch
    from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_f1_score

    p, y = torch.from_numpy(probs).float(), torch.from_numpy(labels).long()
    n = len(names)
    confusion = multiclass_confusion_matrix(p, y, num_classes=n).numpy()
    corpora = sorted({u.corpus for u in utterances})
    voices = [u.speaker if len(corpora) > 1 else u.speaker_id for u in utterances]
    speakers = sorted(set(voices))
    by_speaker = np.stack([_confusion(p, y, [voice == s for voice in voices], n) for s in speakers])
    sexes = sorted({u.sex for u in utterances if u.sex})
    present = sorted(set(labels.tolist()))
    return {
        "n_clips": len(labels),
        "uar": uar(confusion),
        "uar_ci95": speaker_interval(by_speaker, uar),
        "wa": wa(confusion),
        "wa_ci95": speaker_interval(by_speaker, wa),
        "macro_f1": float(multiclass_f1_score(p, y, num_classes=n, average=None)[present].mean()),
        "wf1": float(multiclass_f1_score(p, y, num_classes=n, average="weighted")),
        "ece": calibration_error(probs, labels),
        "labels": list(names),
        "recall": {name: float(r) for name, r in zip(names, recalls(confusion), strict=True) if np.isfinite(r)},
        "confusion": confusion.tolist(),
        "per_speaker_uar": {s: uar(matrix) for s, matrix in zip(speakers, by_speaker, strict=True)},
        "per_corpus_uar": {c: uar(_confusion(p, y, [u.corpus == c for u in utterances], n)) for c in corpora},
        "per_sex_uar": {sex: uar(_confusion(p, y, [u.sex == sex for u in utterances], n)) for sex in sexes},
        "confusion_by_speaker": {s: matrix.tolist() for s, matrix in zip(speakers, by_speaker, strict=True)},
        "calibration": calibration_curve(probs, labels),
    }


def summarize_by_corpus(
    probs: np.ndarray, labels: np.ndarray, utterances: Sequence[Utterance], names: Sequence[str]
) -> dict[str, dict]:
    """Corpus -> `summarize` of its clips."""
    made = {}
    for corpus in sorted({u.corpus for u in utterances}):
        keep = np.array([u.corpus == corpus for u in utterances])
        members = [u for u in utterances if u.corpus == corpus]
        made[corpus] = summarize(probs[keep], labels[keep], members, names)
    return made


def uar(confusion: np.ndarray) -> float:
    """Mean recall over the classes that occur; rows of `confusion (n_classes, n_classes)` are the true classes."""
    return float(np.nanmean(recalls(confusion)))


def wa(confusion: np.ndarray) -> float:
    """Share of clips decided right."""
    return float(np.trace(confusion) / confusion.sum())


def chance(part: dict) -> float:
    """UAR of a guess: one in as many as there are classes that occur in `part`, which `summarize` makes (or are known,
    where a bundle holds no more of it)."""
    return 1 / max(len(part.get("recall") or part["labels"]), 1)


def at_chance(part: dict, who: str) -> str:
    """One line that says why figures (what `summarize` makes, of `who`) may be those of a guess; empty if they are not.

    Without an interval, with clips of one speaker, chance cannot be excluded.
    """
    guess, ends = chance(part), part["uar_ci95"]
    if ends is not None and ends[0] > guess:
        return ""
    if ends is None and part["uar"] > guess:
        return f"UAR {part['uar']:.1%} of {who} is that of one speaker: chance, {guess:.1%}, is not excluded"
    interval = f" (95 % interval {ends[0]:.1%} to {ends[1]:.1%})" if ends else ""
    return f"UAR {part['uar']:.1%}{interval} of {who} is not above chance, {guess:.1%}"


def calibration_error(probs: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017) over 15 bins: `probs (n, n_classes)`, `labels (n,)`."""
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    p, y = torch.from_numpy(probs).float(), torch.from_numpy(labels).long()
    return float(multiclass_calibration_error(p, y, num_classes=probs.shape[1], n_bins=CALIBRATION_BINS))


def dev_uar(probs: torch.Tensor, labels: torch.Tensor, groups: np.ndarray | None = None) -> float:
    """The figure that chooses epochs: UAR of `probs (n, n_classes)` against `labels (n,)`, by torchmetrics; with
    `groups (n,)` (corpora), the mean of the groups' UARs."""
    import torch
    from torchmetrics.functional.classification import multiclass_accuracy

    if groups is not None:
        masks = [torch.from_numpy(groups == group) for group in np.unique(groups)]
        return float(np.mean([dev_uar(probs[mask], labels[mask]) for mask in masks]))
    recalls = multiclass_accuracy(probs, labels, num_classes=probs.shape[1], average=None)
    return float(recalls[labels.unique()].mean())


def calibration_curve(probs: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Per bin of confidence that is not empty: mean confidence, share right, number of clips."""
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        {"confidence": float(confidence[m].mean()), "accuracy": float(right[m].mean()), "n_clips": int(m.sum())}
        for m in (bins == b for b in range(CALIBRATION_BINS))
        if m.any()
    ]


def _confusion(p: torch.Tensor, y: torch.Tensor, mask: list[bool], n: int) -> np.ndarray:
    import torch
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    keep = torch.tensor(mask)
    return multiclass_confusion_matrix(p[keep], y[keep], num_classes=n).numpy()


def recalls(confusion: np.ndarray) -> np.ndarray:
    """Recall per class, NaN for a class without clips; works on stacks of matrices."""
    totals = confusion.sum(axis=-1)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.where(totals > 0, hits / np.maximum(totals, 1), np.nan)


def speaker_interval(by_speaker: np.ndarray, statistic) -> list[float] | None:
    """95 % interval over speakers; None with a single speaker, whose spread nobody knows."""
    n = len(by_speaker)
    if n < 2:
        return None
    draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    distinct, places = np.unique(draws, axis=0, return_inverse=True)  # few speakers: few different draws
    values = np.array([statistic(resampled) for resampled in np.tensordot(distinct, by_speaker, axes=1)])
    return [float(v) for v in np.percentile(values[places.ravel()], [2.5, 97.5])]
