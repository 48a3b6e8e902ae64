"""Figures over all folds of a protocol: one confusion matrix per test speaker is all they need."""

from collections.abc import Iterable, Mapping

import numpy as np

from crnn.metrics import speaker_interval, uar, wa


def pooled(confusions: Iterable[Mapping[str, list]]) -> dict:
    """UAR, WA and macro-F1 over all clips of all folds, and 95 % intervals over all speakers.

    `confusions`: per fold (or per fold and seed), speaker -> `(n_classes, n_classes)`; a speaker who occurs in several
    (seeds) counts once, with the mean of the matrices.
    """
    by_speaker: dict[str, list[np.ndarray]] = {}
    for fold in confusions:
        for speaker, matrix in fold.items():
            by_speaker.setdefault(speaker, []).append(np.array(matrix, dtype=float))
    matrices = np.stack([np.mean(seeds, axis=0) for _, seeds in sorted(by_speaker.items())])
    total = matrices.sum(axis=0)
    worst = min(sorted(by_speaker), key=lambda s: uar(np.mean(by_speaker[s], axis=0)))
    return {
        "uar": uar(total),
        "uar_ci95": speaker_interval(matrices, uar),
        "wa": wa(total),
        "wa_ci95": speaker_interval(matrices, wa),
        "macro_f1": macro_f1(total),
        "macro_f1_ci95": speaker_interval(matrices, macro_f1),
        "n_clips": round(float(total.sum())),
        "n_speakers": len(matrices),
        "worst_speaker": worst,
        "worst_speaker_uar": uar(np.mean(by_speaker[worst], axis=0)),
    }


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 over the classes that occur."""
    hits, true, decided = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return float(np.mean((2 * hits / np.maximum(true + decided, 1e-9))[true > 0]))
