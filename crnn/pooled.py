"""Figures over all folds of a protocol, from one confusion matrix per test speaker. No torch."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from crnn.metrics import speaker_interval, uar, wa

FIGURES = ("uar", "wa", "macro_f1", "wf1")
"""What `pooled` gives with an interval each (`NAME_ci95`)"""


def pooled(confusions: Iterable[Mapping[str, list]], sexes: Mapping[str, str | None] | None = None) -> dict:
    """UAR, WA, macro-F1 and WF1 over all clips of all folds, 95 % intervals over all speakers, UAR of every speaker and
    sex.

    `confusions`: per fold (or per fold and seed), speaker -> `(n_classes, n_classes)`; a speaker who occurs in several
    (seeds) counts once, with the mean of the matrices. `sexes`: speaker -> female, male or None where unknown.
    """
    by_speaker: dict[str, list[np.ndarray]] = {}
    for fold in confusions:
        for speaker, matrix in fold.items():
            by_speaker.setdefault(speaker, []).append(np.array(matrix, dtype=float))
    means = {speaker: np.mean(seeds, axis=0) for speaker, seeds in sorted(by_speaker.items())}
    matrices = np.stack(list(means.values()))
    total = matrices.sum(axis=0)
    per_speaker = {speaker: uar(matrix) for speaker, matrix in means.items()}
    worst = min(per_speaker, key=lambda speaker: per_speaker[speaker])
    of_sex = {speaker: sex for speaker, sex in (sexes or {}).items() if sex and speaker in means}
    figures: dict = {}
    for name, statistic in zip(FIGURES, (uar, wa, macro_f1, weighted_f1), strict=True):
        figures |= {name: statistic(total), f"{name}_ci95": speaker_interval(matrices, statistic)}
    return figures | {
        "n_clips": round(float(total.sum())),
        "n_speakers": len(matrices),
        "worst_speaker": worst,
        "worst_speaker_uar": per_speaker[worst],
        "per_speaker_uar": per_speaker,
        "per_sex_uar": {
            sex: uar(np.sum([means[speaker] for speaker, its in of_sex.items() if its == sex], axis=0))
            for sex in sorted(set(of_sex.values()))
        },
    }


def over_seeds(seeds: Mapping[int, Sequence[Mapping[str, list]]], sexes: Mapping[str, str | None]) -> dict:
    """`pooled` of seed -> confusions per fold; and the spread of the seeds, each pooled over its folds."""
    uars = [pooled(folds)["uar"] for folds in seeds.values()]
    return {
        "seeds": sorted(seeds),
        **pooled((fold for folds in seeds.values() for fold in folds), sexes),
        "uar_mean": float(np.mean(uars)),
        "uar_sd_over_seeds": float(np.std(uars, ddof=1)) if len(uars) > 1 else None,
    }


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 over the classes that occur."""
    return float(np.mean(_f1(confusion)[confusion.sum(axis=1) > 0]))


def weighted_f1(confusion: np.ndarray) -> float:
    """WF1: mean F1 over the classes, weighted by their clips."""
    return float(np.average(_f1(confusion), weights=confusion.sum(axis=1)))


def _f1(confusion: np.ndarray) -> np.ndarray:
    hits, true, decided = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return 2 * hits / np.maximum(true + decided, 1e-9)
