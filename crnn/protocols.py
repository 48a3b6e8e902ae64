"""Named speaker-independent splits, their hash, and the guard that refuses leaks. No torch.

The speaker lists stand in `protocols.json` beside this file, with their sources:

- ``corpus``, ``labels``: the corpus and the label set, in order; ``merge`` renames emotions first;
- ``test``: the test speakers of each fold; ``dev``, ``train``: likewise where the source names them;
- ``together``: speakers who are heard in each other's recordings and are never parted;
- ``open``: speakers the lists do not name are training or development speakers, not an error.

Where the source names no development speakers they are cut from the training speakers by `_cut_dev`.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from crnn.config import InputError, require
from crnn.corpora import Utterance

DEV_SHARE = 0.2
"""Share of the training speakers who become development speakers (at least one of each sex)."""

SETS = ("train", "dev", "test")


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

    def sets(self) -> Iterable[tuple[str, tuple[Utterance, ...]]]:
        return ((name, getattr(self, name)) for name in SETS)

    def speakers(self, name: str) -> tuple[str, ...]:
        return tuple(sorted({u.speaker_id for u in getattr(self, name)}))

    @property
    def hash(self) -> str:
        """12 hexadecimal digits that name the split: who and what is where, whatever the folder or file format."""
        lines = sorted(
            f"{name}\t{u.name}\t{u.speaker_id}\t{u.emotion}" for name, members in self.sets() for u in members
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    def describe(self) -> dict:
        """Plain values for the run folder (`split.json`)."""
        return {
            "protocol": self.protocol,
            "fold": self.fold,
            "split_hash": self.hash,
            "labels": list(self.labels),
            "speakers": {name: list(self.speakers(name)) for name in SETS},
            "clips": {name: [u.name for u in members] for name, members in self.sets()},
        }


@cache
def _protocols() -> dict:
    return json.loads(Path(__file__).with_name("protocols.json").read_text(encoding="utf-8"))


def protocol_names() -> tuple[str, ...]:
    return tuple(_protocols())


def protocol_facts(name: str) -> dict:
    """The entry of `protocols.json`. Raises InputError for an unknown name."""
    require(name in _protocols(), f"unknown protocol {name}; known: {', '.join(_protocols())}")
    return _protocols()[name]


def make_split(name: str, fold: int, utterances: Iterable[Utterance]) -> Split:
    """Divide a corpus under fold `fold` of the protocol `name`.

    Emotions outside the protocol's label set are left out. Raises InputError if the fold does not exist, a set is
    empty, or the recordings hold a speaker that the protocol does not know.
    """
    facts = protocol_facts(name)
    require(0 <= fold < len(facts["test"]), f"{name} has folds 0 to {len(facts['test']) - 1}, not {fold}")
    merge = facts.get("merge", {})
    usable = [_renamed(u, merge) for u in utterances]
    usable = [u for u in usable if u.emotion in facts["labels"]]
    known = {speaker for key in SETS for speakers in facts.get(key, ()) for speaker in speakers}
    unknown = sorted({u.speaker_id for u in usable} - known)
    require(
        facts.get("open", False) or not unknown,
        f"{name} does not know speaker {', '.join(unknown)}; check that this is {facts['corpus']}",
    )
    test = set(facts["test"][fold])
    if "dev" in facts:
        dev = set(facts["dev"][fold])
    else:
        dev = _cut_dev(f"{name}:{fold}", [u for u in usable if u.speaker_id not in test], facts.get("together", ()))
    parts = defaultdict(list)
    for u in usable:
        parts["test" if u.speaker_id in test else "dev" if u.speaker_id in dev else "train"].append(u)
    for part in SETS:
        require(len(parts[part]) > 0, f"{name} fold {fold}: no {part} recordings; the corpus is incomplete")
    return Split(name, fold, tuple(facts["labels"]), *(tuple(parts[part]) for part in SETS))


def _renamed(utterance: Utterance, merge: Mapping[str, str]) -> Utterance:
    if utterance.emotion not in merge:
        return utterance
    return Utterance(**(vars(utterance) | {"emotion": merge[utterance.emotion]}))


def _cut_dev(seed: str, utterances: list[Utterance], together: Iterable[Iterable[str]]) -> set[str]:
    """Development speakers: women and men in turn, each sex in the order of a hash, until the share is reached."""
    sexes = {u.speaker_id: u.sex or "unknown" for u in utterances}
    group = {speaker: tuple(members) for members in together for speaker in members}
    waiting = defaultdict(list)
    for speaker in sorted(sexes, key=lambda s: hashlib.sha256(f"{seed}:{s}".encode()).hexdigest()):
        waiting[sexes[speaker]].append(speaker)
    target = max(2, round(DEV_SHARE * len(sexes)))
    dev: set[str] = set()
    while len(dev) < target and any(waiting.values()):
        for sex in sorted(waiting):
            if waiting[sex] and len(dev) < target:
                speaker = waiting[sex].pop(0)
                dev.update(member for member in group.get(speaker, (speaker,)) if member in sexes)
    return dev


def check_leaks(split: Split, audio_hashes: Mapping[str, str]) -> list[str]:
    """Refuse a split whose sets share a speaker or a recording.

    `audio_hashes` maps an utterance's name to the hash of its decoded samples. Returns a line for each pair of
    names that hold the same audio *within* one set: no leak, but worth knowing.
    Raises LeakError that names every shared speaker and recording.
    """
    owner: dict[tuple[str, str], str] = {}
    first: dict[str, tuple[str, Utterance]] = {}
    leaks, repeats = [], []
    for part, members in split.sets():
        for u in members:
            other = owner.setdefault((u.corpus, u.speaker_id), part)
            if other != part:
                leaks.append(f"speaker {u.speaker_id} of {u.corpus} is in {other} and in {part}")
            digest = audio_hashes[u.name]
            earlier_part, earlier = first.setdefault(digest, (part, u))
            if earlier is not u:
                if earlier_part != part:
                    leaks.append(f"{earlier.name} ({earlier_part}) and {u.name} ({part}) are the same audio")
                else:
                    repeats.append(f"{earlier.name} and {u.name} ({part}) are the same audio")
    if leaks:
        raise LeakError(f"refusing to train on a leaking split: {'; '.join(dict.fromkeys(leaks))}")
    return repeats
