"""What `crnn.check` measures: levels, clipping, repeated audio, suspicious labels, possible splits. No torch."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from crnn.config import FeatureConfig
from crnn.data.audio import audio_hash, to_mono_rate
from crnn.data.cache import MAX_SECONDS, require_usable
from crnn.data.corpora import Utterance
from crnn.data.leaks import check_leaks
from crnn.data.near_copies import NearCopy, near_copies, words
from crnn.data.protocols import Split, make_split
from crnn.data.segments import ClipReader
from crnn.data.utterances import UNLABELLED
from crnn.decoders.pcm import FULL_SCALE
from crnn.errors import InputError
from crnn.labels import canonical

log = logging.getLogger(__name__)

CLIPPED_SHARE = 0.001
"""Of the samples at full scale: more is a fault of the recording and not its loudest syllable"""
SILENT_DBFS = -56.0
"""Level below which a 50 ms frame counts as silence"""
QUIET_DBFS = -65.0
"""`min_dbfs` of the device's energy VAD: it takes nothing below this level for a voice"""
NOISE_SHARE = 0.05
"""Share of a recording's frames, the quietest, that are taken to hold noise alone"""
LEAST_POWER = 1e-12
"""Mean square that stands for digital silence (-120 dBFS)"""
MOSTLY_SILENT = 0.8
NAMES_REPEAT = 0.2
"""Where more names than this share occur under several emotions, numbering starts anew in each"""


@dataclass(frozen=True)
class Sound:
    """What is measured of one recording."""

    seconds: float
    rate: int
    """Hz, as stored"""
    channels: int
    clipped: float
    """Share of the samples at full scale"""
    silent: float
    """Share of its 50 ms frames below -56 dBFS"""
    zeros: float
    """Share of the samples that are exactly 0"""
    loudest_dbfs: float
    """Level of its loudest 50 ms"""
    above_noise_db: float
    """dB from its quietest 50 ms frames to those that hold speech"""
    digest: str
    """`crnn.data.audio.audio_hash` of the samples that training would use"""
    words: np.ndarray
    """`crnn.data.near_copies.words` of the same samples"""


def listen(utterance: Utterance, reader: ClipReader) -> Sound:
    """Decode one recording, or its segment. Raises InputError, naming the file, if training could not use it."""
    features = FeatureConfig()
    samples, rate = reader.decode(utterance, MAX_SECONDS)
    waveform = to_mono_rate(samples, rate, features.sample_rate)
    require_usable(utterance.path, waveform, features.sample_rate)
    whole = len(waveform) // features.n_fft * features.n_fft
    powers = waveform[:whole].reshape(-1, features.n_fft).var(axis=1, dtype=np.float64)  # a constant is no sound
    levels = 10 * np.log10(powers + LEAST_POWER)
    return Sound(
        seconds=len(samples) / rate,
        rate=rate,
        channels=samples.shape[1],
        clipped=float((np.abs(samples) >= FULL_SCALE).mean()),
        silent=float((levels < SILENT_DBFS).mean()),
        zeros=float((samples == 0).mean()),
        loudest_dbfs=float(levels.max()),
        above_noise_db=_above_noise_db(powers),
        digest=audio_hash(waveform),
        words=words(waveform, features.sample_rate),
    )


def _above_noise_db(powers: np.ndarray) -> float:
    """dB from the noise of one recording to its speech, by the mean square `powers (frames,)` of its frames.

    Frames nearer to the loudest one than to the noise, in dB, count as speech.
    """
    powers = powers + LEAST_POWER
    noise = np.quantile(powers, NOISE_SHARE)
    speech = powers[powers >= np.sqrt(noise * powers.max())].mean()
    return float(10 * np.log10(speech / noise))


def listen_all(utterances: Sequence[Utterance]) -> tuple[dict[str, Sound], dict[str, str]]:
    """Name -> its sound, and file -> why it has none."""
    sounds, unusable, reader = {}, {}, ClipReader()
    for number, u in enumerate(utterances, 1):
        try:
            sounds[u.name] = listen(u, reader)
        except InputError as error:
            unusable[u.place] = str(error).removeprefix(f"{u.path}: ")
        if number % 500 == 0:
            log.info("%d of %d recordings", number, len(utterances))
    return sounds, unusable


def spread(sounds: Iterable[Sound]) -> dict:
    """Figures over all recordings, as plain values."""
    sounds = list(sounds)
    seconds = [s.seconds for s in sounds]
    return {
        "seconds": {"min": min(seconds), "median": median(seconds), "max": max(seconds), "total": sum(seconds)},
        "sample_rates": dict(sorted(Counter(s.rate for s in sounds).items())),
        "channels": dict(sorted(Counter(s.channels for s in sounds).items())),
        "clipped_clips": sum(s.clipped > CLIPPED_SHARE for s in sounds),
        "silence": {"median_share": median(s.silent for s in sounds), "zeros_share": median(s.zeros for s in sounds)},
    }


def above_noise_by_emotion(utterances: Sequence[Utterance], sounds: dict[str, Sound]) -> dict[str, float]:
    """dB by which speech stands above the noise of its recording, mean of each emotion, lowest first.

    Where emotions differ in it, a model can learn the loudness of a voice in that room in place of its sound.
    """
    values = defaultdict(list)
    for u in utterances:
        values[u.emotion].append(sounds[u.name].above_noise_db)
    means = {emotion: sum(db) / len(db) for emotion, db in values.items()}
    return dict(sorted(means.items(), key=lambda item: item[1]))


def near_copies_of(utterances: Sequence[Utterance], sounds: dict[str, Sound]) -> list[NearCopy]:
    """Recordings that are one take though not the same samples; those that may be are decoded again."""
    by_name, reader, rate = {u.name: u for u in utterances}, ClipReader(), FeatureConfig().sample_rate

    def waveform(name: str) -> np.ndarray:
        return to_mono_rate(*reader.decode(by_name[name], MAX_SECONDS), rate)

    found = near_copies({name: sounds[name].words for name in by_name}, waveform, rate)
    return [copy for copy in found if sounds[copy.first].digest != sounds[copy.second].digest]


def same_audio(
    utterances: Sequence[Utterance], sounds: dict[str, Sound], near: Iterable[NearCopy]
) -> tuple[list[str], list[str]]:
    """Recordings that are the same under several names: problems (another speaker or emotion), and mere repeats."""
    groups = defaultdict(list)
    for u in utterances:
        groups[sounds[u.name].digest].append(u)
    pairs = [(first, other, "the same audio") for first, *others in groups.values() for other in others]
    by_name = {u.name: u for u in utterances}
    pairs += [
        (by_name[copy.first], by_name[copy.second], f"one take (correlation {copy.correlation:.2f})") for copy in near
    ]
    problems, repeats = [], []
    for first, other, what in pairs:
        line = f"{first.place} and {other.place} are {what}"
        if other.emotion != first.emotion:
            problems.append(f"{line}, as {first.emotion} and as {other.emotion}")
        elif other.speaker_id != first.speaker_id:
            problems.append(f"{line}, by {first.speaker_id} and by {other.speaker_id}")
        elif first.path != other.path:  # overlapping segments share their audio by intent
            repeats.append(line)
    return problems, repeats


def suspicions(utterances: Sequence[Utterance], sounds: dict[str, Sound]) -> dict[str, list[str]]:
    """What may be wrong and is for a person to decide, by kind."""
    found = {
        "clipping": [
            f"{u.place}: {sounds[u.name].clipped:.1%} of its samples are at full scale"
            for u in utterances
            if sounds[u.name].clipped > CLIPPED_SHARE
        ],
        "silence": [
            f"{u.place}: {sounds[u.name].silent:.0%} of it is silence"
            for u in utterances
            if sounds[u.name].silent > MOSTLY_SILENT
        ],
        "quiet": [
            f"{u.place}: nowhere above {QUIET_DBFS:g} dBFS; the device would take it for silence"
            for u in utterances
            if sounds[u.name].loudest_dbfs < QUIET_DBFS
        ],
        "sample_rates": _rates(utterances, sounds),
        "labels": _labels(utterances),
        "speakers": _speakers(utterances),
    }
    return {kind: lines for kind, lines in found.items() if lines}


def _rates(utterances: Sequence[Utterance], sounds: dict[str, Sound]) -> list[str]:
    rates = Counter(sounds[u.name].rate for u in utterances)
    needed = FeatureConfig().sample_rate
    lines = [f"{n} recordings at {r} Hz: nothing above {r // 2} Hz" for r, n in sorted(rates.items()) if r < needed]
    if len(rates) > 1:
        common = rates.most_common(1)[0][0]
        shares = {
            emotion: np.mean([sounds[u.name].rate == common for u in utterances if u.emotion == emotion])
            for emotion in sorted({u.emotion for u in utterances})
        }
        most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
        if shares[most] - shares[least] > 0.5:
            lines.append(
                f"{shares[most]:.0%} of {most} but {shares[least]:.0%} of {least} is at {common} Hz: a model can learn "
                "the recorder instead of the emotion"
            )
    return lines


def _labels(utterances: Sequence[Utterance]) -> list[str]:
    words: dict[str, set[str]] = defaultdict(set)
    places: dict[tuple[str, str], dict[str, Path]] = defaultdict(dict)
    for u in utterances:
        words[canonical(u.emotion)].add(u.emotion)
        places[u.speaker_id, u.path.stem].setdefault(u.emotion, u.path)
    lines = [f"{' and '.join(sorted(names))} may be one emotion" for names in words.values() if len(names) > 1]
    twice = [found for found in places.values() if len(found) > 1]
    if len(twice) <= NAMES_REPEAT * len(places):
        lines += [
            f"{' and '.join(map(str, found.values()))} have one name, as {' and as '.join(found)}" for found in twice
        ]
    return lines


def _speakers(utterances: Sequence[Utterance]) -> list[str]:
    counts = Counter(u.speaker_id for u in utterances)
    emotions = defaultdict(set)
    for u in utterances:
        emotions[u.speaker_id].add(u.emotion)
    lines = []
    if len(counts) > 2 and len(counts) > len(utterances) / 2:
        lines.append(
            f"{len(counts)} speakers in {len(utterances)} recordings: is the speaker where the list or --layout says? "
            "If one person has several names, no split is speaker-independent"
        )
    if len(counts) > 1 and all(len(names) == 1 and UNLABELLED not in names for names in emotions.values()):
        lines.append("every speaker has one emotion alone: a model can learn voices instead of emotions")
    return lines


def possible_split(
    protocol: str, fold: int, utterances: Sequence[Utterance], sounds: dict[str, Sound], near: Iterable[NearCopy]
) -> tuple[dict | None, list[str]]:
    """What training would make of them: speakers, clips and emotions of each set (None where it would refuse), and
    what is wrong with it."""
    try:
        split = make_split(protocol, fold, utterances)
        check_leaks(split, {name: sound.digest for name, sound in sounds.items()}, near)
    except InputError as error:
        return None, [str(error)]
    return {"protocol": protocol, "fold": fold, "split_hash": split.hash, "sets": _sizes(split)}, []


def _sizes(split: Split) -> dict:
    return {
        part: {
            "speakers": list(split.speakers(part)),
            "clips": len(members),
            "emotions": {label: sum(u.emotion == label for u in members) for label in split.labels},
        }
        for part, members in split.sets()
    }
