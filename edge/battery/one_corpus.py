"""One corpus through the whole battery: which clips are played, and the rows that follow."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np

from crnn.data.utterances import Utterance
from edge.battery.answers import answer
from edge.battery.correctness import correctness_rows
from edge.battery.fairness import fairness_rows
from edge.battery.pitch import pitch_group
from edge.battery.robustness import conditions, robustness_rows
from edge.battery.rows import Row
from edge.battery.sounds import Babble, Sounds
from edge.evaluate.playback import Clips
from edge.stream.recognizer import StreamingRecognizer

NEUTRAL = ("neutral", "calm")
"""Emotions in which a speaker's pitch is his own"""
MAX_PITCH_CLIPS = 10
"""Of each speaker"""


def rows_of(recognizer: StreamingRecognizer, played: Clips, every: Clips, sounds: Sounds, seed: int) -> list[Row]:
    """All rows of a corpus: `played`, its clips that are played; `every`: all of them, for babble and pitch."""
    corpus, rate, labels = played.utterances[0].corpus, recognizer.features.sample_rate, recognizer.labels
    truth = np.array([labels.index(u.emotion) for u in played.utterances])
    shares = np.bincount(truth, minlength=len(labels)) / len(truth)
    babble = Babble([(u.speaker, every.cache.waveform(u.name)) for u in every.utterances])
    tested = conditions(rate, sounds, babble)
    answers = answer(recognizer, played, shares, tested, seed)
    people = [u.speaker for u in played.utterances]
    pitches = speakers_pitch(every, rate)
    rows = correctness_rows(corpus, truth, answers.clean, people, labels)
    for kind, groups in (("sex", [u.sex for u in played.utterances]), ("pitch", [pitches[who] for who in people])):
        rows += fairness_rows(corpus, kind, truth, answers.clean, groups, shares, seed)
    return rows + robustness_rows(corpus, truth, answers.clean, answers.changed, tested, len(labels))


def speakers_pitch(clips: Clips, rate: int) -> dict[str, str | None]:
    """Speaker -> pitch group, from neutral clips, or from any where a speaker has none."""
    own = defaultdict(list)
    for u in clips.utterances:
        own[u.speaker].append(u)
    made = {}
    for who, spoken in own.items():
        calm = [u for u in spoken if u.emotion in NEUTRAL] or spoken
        made[who] = pitch_group([clips.cache.waveform(u.name) for u in calm[:MAX_PITCH_CLIPS]], rate)
    return made


def chosen(clips: Clips, n: int, seed: int) -> Clips:
    """`n` of the clips, in their order: each emotion in turn, of another speaker each time; by the seed alone."""

    def drawn(u: Utterance) -> str:
        return hashlib.sha256(f"{seed} {u.name}".encode()).hexdigest()

    of_speaker: Counter = Counter()
    order = []
    for u in sorted(clips.utterances, key=drawn):
        order.append((of_speaker[u.speaker, u.emotion], drawn(u), u))
        of_speaker[u.speaker, u.emotion] += 1
    of_emotion: Counter = Counter()
    ranked = []
    for _, key, u in sorted(order, key=lambda entry: entry[:2]):
        ranked.append((of_emotion[u.emotion], key, u.name))
        of_emotion[u.emotion] += 1
    names = {name for *_, name in sorted(ranked)[:n]}
    return replace(clips, utterances=tuple(u for u in clips.utterances if u.name in names))
