"""A split: which recordings train, develop and test; and how development speakers are chosen. No torch."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from crnn.data.corpora import Utterance
from crnn.data.corrections import CORRECTIONS
from crnn.errors import InputError

DEV_SHARE = 0.2
"""Share of the training speakers who become development speakers (at least one of each sex)."""

SETS = ("train", "dev", "test", "dev_unseen")


class LeakError(InputError):
    """The same speaker or the same audio stands on both sides of a split."""


@dataclass(frozen=True)
class Split:
    """Utterances for training, development and test under one fold of a protocol."""

    protocol: str
    fold: int
    labels: tuple[str, ...]
    train: tuple[Utterance, ...]
    dev: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    dev_unseen: tuple[Utterance, ...] = ()
    """Development speakers of held-out corpora: recipes may be chosen on them, epochs and thresholds not"""
    speaker_dependent: bool = False
    """The same people are in all sets: the figures are about them alone"""
    dev_of_train: bool = False
    """Development recordings are other sentences of training speakers, where a corpus has too few speakers; test
    speakers are in neither"""
    label_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Corpus -> the labels that its clips can have, where corpora differ in them; empty: every corpus has all"""

    @classmethod
    def of(
        cls, protocol: str, fold: int, labels: tuple[str, ...], members: Mapping[str, Iterable[Utterance]]
    ) -> "Split":
        """From the members of each set, by its name; a set that is not named is empty."""
        train, dev, test, dev_unseen = (tuple(members.get(name, ())) for name in SETS)
        return cls(protocol, fold, labels, train, dev, test, dev_unseen)

    def sets(self) -> Iterable[tuple[str, tuple[Utterance, ...]]]:
        return ((name, getattr(self, name)) for name in SETS if name != "dev_unseen" or self.dev_unseen)

    @property
    def utterances(self) -> list[Utterance]:
        """The recordings of all subsets."""
        return [u for _, members in self.sets() for u in members]

    @property
    def corpora(self) -> tuple[str, ...]:
        """Corpora trained on, in order of name."""
        return tuple(sorted({u.corpus for u in self.train}))

    def speakers(self, name: str) -> tuple[str, ...]:
        members = getattr(self, name)
        several = len({u.corpus for _, part in self.sets() for u in part}) > 1
        return tuple(sorted({u.speaker if several else u.speaker_id for u in members}))

    @property
    def hash(self) -> str:
        """12 hexadecimal digits that name the split: who and what is where, whatever the folder or file format."""
        return self._hash(lambda u: True)

    @property
    def original_hash(self) -> str:
        """The same without corrections: what the protocol alone would give."""
        return self._hash(lambda u: u.corpus != CORRECTIONS)

    def _hash(self, counts: Callable[[Utterance], bool]) -> str:
        named = {"dev_unseen": "probe"}  # its name when hashes were first written: they stay as they were
        lines = sorted(
            f"{named.get(name, name)}\t{u.name}\t{u.speaker_id}\t{u.emotion}"
            for name, members in self.sets()
            for u in members
            if counts(u)
        )
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:12]

    def describe(self, before: Iterable[str] = ()) -> dict:
        """Plain values for the run folder (`split.json`); `before`: speakers of the initial weights."""
        return {
            "protocol": self.protocol,
            "fold": self.fold,
            "split_hash": self.hash,
            "original_split_hash": self.original_hash,
            "labels": list(self.labels),
            "speakers": {name: list(self.speakers(name)) for name, _ in self.sets()},
            "heard": {name: sorted({u.speaker for u in getattr(self, name)}) for name in ("train", "dev")}
            | {"before": sorted(before)},
            "clips": {name: [u.name for u in members] for name, members in self.sets()},
        }


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def cut_dev(
    seed: str, utterances: list[Utterance], together: Iterable[Iterable[str]], share: float = DEV_SHARE, least: int = 2
) -> set[str]:
    """Development speakers: women and men in turn, each sex in the order of a hash, until the share is reached."""
    sexes = {u.speaker_id: u.sex or "unknown" for u in utterances}
    group = {speaker: tuple(members) for members in together for speaker in members}
    waiting = defaultdict(list)
    for speaker in sorted(sexes, key=lambda s: digest(f"{seed}:{s}")):
        waiting[sexes[speaker]].append(speaker)
    target = max(least, round(share * len(sexes)))
    dev: set[str] = set()
    while len(dev) < target and any(waiting.values()):
        for sex in sorted(waiting):
            if waiting[sex] and len(dev) < target:
                speaker = waiting[sex].pop(0)
                dev.update(member for member in group.get(speaker, (speaker,)) if member in sexes)
    return dev
