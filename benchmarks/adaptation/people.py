"""Several people at home: whose profile the loop chooses by the voice, and what a wrong choice costs.

    SER_DATA=FOLDER python -m benchmarks.adaptation.people --corpora emodb emovo ravdess

A home is a few speakers of a corpus at random; all others are its guests. Everybody at home enrols with sentences in
every emotion; the rest of their clips, and clips of the guests, are recognized. Each clip goes once through the
listening loop of the bundle, as in enrolment. The bundle was trained on these speakers: its UAR is too high, and so is
what its pooled vector knows of their voices. The spectrum that chooses is trained on nobody. Method and threshold
were chosen on the speakers of EmoDB and EMOVO; other corpora try them on voices that had no part in that.

Equal error rates: of the margin (own voice against the others at home, or against guests), and as a comparison of the
cosine to the mean pooled vector. Rows go to benchmarks/results/people.json.
"""

import argparse
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.harness import corpora
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.data.corpora import READERS, read_corpus
from crnn.errors import InputError, require
from crnn.metrics import uar
from edge.audio.vad import make_vad
from edge.bundle import PRETRAINED, Bundle
from edge.enroll.fit import make_profile
from edge.enroll.session import SETTINGS, SentenceCollector, from_file
from edge.loop.utterances import UtteranceRecognizer
from edge.stream.people import THRESHOLD, UNKNOWN, People
from edge.stream.profile import Speakers

RESULTS = Path("benchmarks/results/people.json")
KEY = ("corpus", "at_home", "clips_per_class", "bundle")
CHOSEN_ON = ("emodb", "emovo")
"""Corpora on whose speakers method and threshold were chosen"""
AT_HOME = (2, 3, 4)
CLIPS = 3
"""Sentences of every emotion that each person enrols with; one of an emotion at least remains for the test"""
GUEST_CLIPS = 30


@dataclass(frozen=True)
class Material:
    """Clips of a corpus as the listening loop gets them."""

    labels: tuple[str, ...]
    speakers: Speakers
    logits: np.ndarray
    pooled: np.ndarray
    voices: np.ndarray
    truth: np.ndarray
    who: np.ndarray
    """Speaker of each clip"""
    unusable: int


def material(bundle: Bundle, corpus: str) -> Material:
    recognizer = bundle.recognizer()
    vad = make_vad("auto", recognizer.features.sample_rate)
    collector = SentenceCollector(UtteranceRecognizer(recognizer, vad, SETTINGS))
    labels, unusable = recognizer.labels, 0
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray | None, int, str]] = []
    for u in read_corpus(corpus, corpora.folder(corpus)).utterances:
        if u.emotion not in labels:
            continue
        try:
            sentence = from_file(collector, u.path)
        except InputError:  # too short, too quiet: the loop gives no answer either
            unusable += 1
            continue
        found.append((sentence.logits, sentence.pooled, sentence.voice, labels.index(u.emotion), u.speaker))
    logits, pooled, voices, truth, who = (np.array(column) for column in zip(*found, strict=True))
    return Material(labels, bundle.speakers(recognizer), logits, pooled, voices, truth, who, unusable)


@dataclass
class Tally:
    """Over all homes."""

    own: list[float] = field(default_factory=list)
    """Margins of a clip's own person: negative if another is nearer"""
    others: list[float] = field(default_factory=list)
    """Of the others at home"""
    guests: list[float] = field(default_factory=list)
    """Of the nearest person to a guest"""
    cosines: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    """Between pooled vectors: own, others"""
    answers: list[str] = field(default_factory=list)
    """right, wrong or unknown"""
    guests_taken: list[bool] = field(default_factory=list)
    matrices: dict[str, np.ndarray] = field(default_factory=dict)
    """Which profile -> confusion matrix"""

    def count(self, profile: str, truth: int, logits: np.ndarray) -> None:
        matrix = self.matrices.setdefault(profile, np.zeros((len(logits), len(logits)), dtype=int))
        matrix[truth, logits.argmax()] += 1

    def row(self) -> dict:
        share = {name: self.answers.count(name) / len(self.answers) for name in ("right", "wrong", "unknown")}
        return {
            "eer_at_home": equal_error(self.own, self.others),
            "eer_guests": equal_error(self.own, self.guests),
            "eer_pooled": equal_error(*self.cosines),
            **share,
            "guests_taken_for_somebody": float(np.mean(self.guests_taken)),
            **{f"uar_{name}": uar(matrix) for name, matrix in self.matrices.items()},
            "n_clips": len(self.answers),
        }


def equal_error(own: list[float], others: list[float]) -> float:
    """Where as many of `own` lie below a threshold as of `others` at or above it."""
    sorted_own, sorted_others = np.sort(own), np.sort(others)
    at = np.sort(np.concatenate([sorted_own, sorted_others]))
    rejected = np.searchsorted(sorted_own, at) / len(sorted_own)
    accepted = 1 - np.searchsorted(sorted_others, at) / len(sorted_others)
    best = np.abs(rejected - accepted).argmin()
    return float((rejected[best] + accepted[best]) / 2)


def enrolled(m: Material, voice: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Clips of one speaker for the profile: `n` of every emotion, or all but one."""
    mine = [np.flatnonzero((m.who == voice) & (m.truth == c)) for c in range(len(m.labels))]
    return np.concatenate([rng.choice(clips, min(n, max(1, len(clips) - 1)), replace=False) for clips in mine])


def visit(m: Material, home: list[str], n: int, rng: np.random.Generator, tally: Tally) -> None:
    """Enrol everybody at home, and recognize the other clips and some of guests."""
    given = {voice: enrolled(m, voice, n, rng) for voice in home}
    profiles = {}
    for voice, e in given.items():
        said = [m.labels[c] for c in m.truth[e]]
        profiles[voice] = make_profile("", m.labels, m.speakers, m.logits[e], m.pooled[e], said, voices=m.voices[e])
    people = People(profiles)
    whitened = (m.pooled - m.speakers.center) @ m.speakers.whiten
    whitened /= np.linalg.norm(whitened, axis=1, keepdims=True)
    for number, voice in enumerate(home):
        another = home[(number + 1) % len(home)]
        for clip in np.setdiff1d(np.flatnonzero(m.who == voice), given[voice]):
            nearest, margin = people.nearest(m.voices[clip])
            tally.own.append(margin if nearest == voice else -margin)
            tally.others.append(-margin if nearest == voice else margin)
            for other, e in given.items():
                mean = whitened[e].mean(axis=0)
                tally.cosines[other != voice].append(float(whitened[clip] @ mean / np.linalg.norm(mean)))
            chosen = people.choose(m.voices[clip])
            tally.answers.append("right" if chosen == voice else UNKNOWN if chosen == UNKNOWN else "wrong")
            used = {"none": None, "chosen": chosen, "own": voice, "another": another}
            for name, person in used.items():
                tally.count(name, m.truth[clip], people.adapt(person, m.logits[clip], m.pooled[clip]))
            if chosen not in (voice, UNKNOWN):
                tally.count("wrong_without", m.truth[clip], m.logits[clip])
                tally.count("wrong_with", m.truth[clip], people.adapt(chosen, m.logits[clip], m.pooled[clip]))
    for clip in rng.choice(np.flatnonzero(~np.isin(m.who, home)), GUEST_CLIPS):
        tally.guests.append(people.nearest(m.voices[clip])[1])
        tally.guests_taken.append(people.choose(m.voices[clip]) != UNKNOWN)


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bundle", type=Path, default=PRETRAINED)
    parser.add_argument("--corpora", nargs="+", choices=READERS, default=list(CHOSEN_ON))
    parser.add_argument("--homes", type=int, default=100, help="drawn of each size")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    require(args.homes > 0, f"--homes {args.homes}: give 1 or more")
    bundle = Bundle.open(args.bundle)
    for corpus in args.corpora:
        m = material(bundle, corpus)
        enough = [  # two clips of every emotion: one to enrol, one for the test
            voice
            for voice in sorted(set(m.who))
            if np.bincount(m.truth[m.who == voice], minlength=len(m.labels))[np.unique(m.truth)].min() > 1
        ]
        for at_home in AT_HOME:
            rng, tally = np.random.default_rng(at_home), Tally()
            for _ in range(args.homes):
                visit(m, list(rng.choice(enough, at_home, replace=False)), CLIPS, rng, tally)
            row = {
                "corpus": corpora.title(corpora.folder(corpus)),
                "at_home": at_home,
                "clips_per_class": CLIPS,
                "bundle": args.bundle.name,
                "speakers_in_training": True,
                "chosen_on_these": corpus in CHOSEN_ON,
                "threshold": THRESHOLD,
                "n_speakers": len(enough),
                "n_homes": args.homes,
                "n_unusable": m.unusable,
                **tally.row(),
            }
            add_row(RESULTS, row, KEY)
            print(*(f"{key} {value}" for key, value in row.items()), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
