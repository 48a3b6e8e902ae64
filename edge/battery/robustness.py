"""Robustness: the conditions under which clips are played again, their thresholds, and the rows that follow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crnn.metrics import uar
from edge.battery import perturbations as change
from edge.battery.rows import Row, confusions, judged, skipped
from edge.battery.sounds import Babble, Sounds

SMALL, BACKGROUND, CHANNEL = 0.95, 0.9, 0.8
"""Smallest share of unchanged answers: after a change that a listener hardly notices, with a background, and in a room
or with a tilted spectrum"""
MAX_LOSS = 0.05
"""Largest loss of UAR"""
NOISE_SNR_DB, EVENT_SNR_DB = 20, 10


@dataclass(frozen=True)
class Condition:
    """One change of the clips, and its thresholds."""

    name: str
    apply: Callable[[np.ndarray, np.random.Generator, str], np.ndarray] | None
    """`waveform (time,)`, generator, speaker -> changed waveform; None: skipped"""
    min_unchanged: float | None = None
    max_loss: float | None = None
    reason: str = ""
    """Why it is skipped"""


def conditions(rate: int, sounds: Sounds, babble: Babble) -> list[Condition]:
    """All conditions, at a sample rate in Hz, with the sounds that are there."""
    small = [
        ("faint tone", change.tone(rate)),
        ("zeros before", change.zeros_before),
        ("zeros after", change.zeros_after),
        ("begin cut off", change.cut_begin),
        ("end cut off", change.cut_end),
        ("clipping 0.1 to 0.3 %", change.clip_little),
        ("gain 1 to 2 dB", change.gain),
        ("high-pass 50 to 150 Hz", change.first_order("highpass", change.HIGH_PASS_HZ, rate)),
        ("low-pass 6.5 to 7.5 kHz", change.first_order("lowpass", change.LOW_PASS_HZ, rate)),
        ("white noise 35 to 45 dB", change.white_noise(*change.FAINT_NOISE_SNR_DB)),
    ]
    made = [Condition(name, _of_all(made), min_unchanged=SMALL) for name, made in small]
    made += [
        _background("babble 20 dB", _babbling(babble) if babble else None, "one speaker alone"),
        _background("white noise 20 dB", _of_all(change.white_noise(NOISE_SNR_DB))),
    ]
    for name, given, spoil, missing in (
        ("environment 20 dB", sounds.noise, change.noise(sounds.noise, NOISE_SNR_DB), "no recording in --noise FOLDER"),
        ("music 20 dB", sounds.music, change.noise(sounds.music, NOISE_SNR_DB), "no recording: --music FILE"),
        (
            "cough or sneeze 10 dB",
            sounds.bodily,
            change.once(sounds.bodily, EVENT_SNR_DB),
            "no *cough* or *sneez* in --noise FOLDER",
        ),
    ):
        made.append(_background(name, _of_all(spoil) if given else None, missing))
    made.append(Condition("telephone", _of_all(lambda waveform, _: change.telephone(waveform, rate)), None, MAX_LOSS))
    room = _of_all(change.room(sounds.rooms)) if sounds.rooms else None
    made.append(Condition("room", room, CHANNEL, None, "no impulse response: --rooms FOLDER"))
    for name, decibels in (("spectrum tilted down", -change.TILT_DB), ("spectrum tilted up", change.TILT_DB)):
        made.append(Condition(name, _of_all(change.tilt(decibels)), CHANNEL))
    return made


def _background(name: str, apply: Callable | None, missing: str = "") -> Condition:
    return Condition(name, apply, BACKGROUND, MAX_LOSS, missing)


def _of_all(spoil: change.Change) -> Callable[[np.ndarray, np.random.Generator, str], np.ndarray]:
    """The same change, whoever speaks."""
    return lambda waveform, rng, speaker: spoil(waveform, rng)


def _babbling(babble: Babble) -> Callable[[np.ndarray, np.random.Generator, str], np.ndarray]:
    return lambda waveform, rng, speaker: change.mixed(waveform, babble(speaker, len(waveform), rng), NOISE_SNR_DB)


def robustness_rows(
    corpus: str,
    truth: np.ndarray,
    clean: np.ndarray,
    changed: Mapping[str, np.ndarray],
    tested: Sequence[Condition],
    n_classes: int,
) -> list[Row]:
    """The rows of every condition: share of unchanged answers, loss of UAR.

    `truth (n,)`, `clean (models, n)` and each of `changed (models, n)` by name: class indices; the bundle's first.
    """  # fmt: skip
    rows = []
    for condition in tested:
        answers = changed.get(condition.name)
        for wanted, test in ((condition.min_unchanged, "unchanged"), (condition.max_loss, "UAR lost")):
            name = f"{condition.name}: {test}"
            if wanted is None:
                continue
            if answers is None:
                rows.append(skipped(corpus, "robustness", name, condition.reason))
            elif test == "unchanged":
                rows.append(judged(corpus, "robustness", name, (answers == clean).mean(axis=1), wanted))
            else:
                lost = _uars(truth, clean, n_classes) - _uars(truth, answers, n_classes)
                rows.append(judged(corpus, "robustness", name, lost, wanted, at_most=True))
    return rows


def _uars(truth: np.ndarray, answers: np.ndarray, n_classes: int) -> np.ndarray:
    return np.array([uar(confusion) for confusion in confusions(truth, answers, n_classes)])
