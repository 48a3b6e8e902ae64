"""Named speaker-independent splits, their hash, and the guard that refuses leaks. No torch.

The speaker lists stand in `protocols.json` beside this file, with their sources:

- ``corpus``, ``labels``: the corpus and the label set, in order; ``merge`` renames emotions first;
- ``test``: the test speakers of each fold; ``dev``, ``train``: likewise where the source names them;
- ``together``: speakers who are heard in each other's recordings and are never parted;
- ``open``: speakers the lists do not name are training or development speakers, not an error;
- ``folds``: across corpora, the corpora trained on and tested on in each fold.

Where the source names no development speakers they are cut from the training speakers by `_cut_dev`. Across corpora
each corpus has its own fixed development speakers: they choose epochs where their corpus is trained on, and recipes
(as the `probe`) where it is held out; no figure about a held-out corpus includes them.
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

SETS = ("train", "dev", "test", "probe")


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
    probe: tuple[Utterance, ...] = ()
    """Development speakers of held-out corpora: recipes may be chosen on them, epochs and thresholds not"""

    def sets(self) -> Iterable[tuple[str, tuple[Utterance, ...]]]:
        return ((name, getattr(self, name)) for name in SETS if name != "probe" or self.probe)

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
        lines = sorted(
            f"{name}\t{u.name}\t{u.speaker_id}\t{u.emotion}" for name, members in self.sets() for u in members
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    def describe(self, before: Iterable[str] = ()) -> dict:
        """Plain values for the run folder (`split.json`); `before`: speakers whom the initial weights have heard."""
        return {
            "protocol": self.protocol,
            "fold": self.fold,
            "split_hash": self.hash,
            "labels": list(self.labels),
            "speakers": {name: list(self.speakers(name)) for name, _ in self.sets()},
            "heard": {name: sorted({u.speaker for u in getattr(self, name)}) for name in ("train", "dev")}
            | {"before": sorted(before)},
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


def corpora_of(name: str, fold: int) -> tuple[str, ...]:
    """Every corpus whose recordings the fold needs. Raises InputError for an unknown protocol or fold."""
    facts = protocol_facts(name)
    folds = facts.get("folds") or facts["test"]
    require(0 <= fold < len(folds), f"{name} has folds 0 to {len(folds) - 1}, not {fold}")
    if "folds" in facts:
        return tuple(sorted({*folds[fold]["train"], *folds[fold]["test"]}))
    return (facts["corpus"],)


def make_split(name: str, fold: int, utterances: Iterable[Utterance]) -> Split:
    """Divide one or several corpora under fold `fold` of the protocol `name`.

    Emotions outside the protocol's label set are left out. Raises InputError if the fold does not exist, a set is
    empty, or the recordings hold a speaker that the protocol does not know.
    """
    facts = protocol_facts(name)
    corpora_of(name, fold)
    merge = facts.get("merge", {})
    usable = [_renamed(u, merge) for u in utterances]
    usable = [u for u in usable if u.emotion in facts["labels"]]
    if "folds" in facts:
        return _cross_split(name, fold, facts, usable)
    known = {speaker for key in SETS[:3] for speakers in facts.get(key, ()) for speaker in speakers}
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
    return _complete(name, fold, facts, parts)


def _cross_split(name: str, fold: int, facts: dict, usable: list[Utterance]) -> Split:
    """Train on some corpora, test on others."""
    corpora = facts["folds"][fold]
    share = facts.get("dev_share", DEV_SHARE)
    dev = {
        (corpus, speaker)
        for corpus in corpora_of(name, fold)
        for speaker in _cut_dev(f"dev:{corpus}", [u for u in usable if u.corpus == corpus], (), share)
    }
    parts = defaultdict(list)
    for u in usable:
        names = ("dev", "train") if u.corpus in corpora["train"] else ("probe", "test")
        if u.corpus in corpora["train"] or u.corpus in corpora["test"]:
            parts[names[0] if (u.corpus, u.speaker_id) in dev else names[1]].append(u)
    return _complete(name, fold, facts, parts)


def _complete(name: str, fold: int, facts: dict, parts: Mapping[str, list[Utterance]]) -> Split:
    needed = ["train", "dev", *(["test"] if "folds" not in facts or facts["folds"][fold]["test"] else [])]
    for part in needed:
        require(len(parts[part]) > 0, f"{name} fold {fold}: no {part} recordings; the corpus is incomplete")
    return Split(name, fold, tuple(facts["labels"]), *(tuple(parts[part]) for part in SETS))


def _renamed(utterance: Utterance, merge: Mapping[str, str]) -> Utterance:
    if utterance.emotion not in merge:
        return utterance
    return Utterance(**(vars(utterance) | {"emotion": merge[utterance.emotion]}))


def _cut_dev(
    seed: str, utterances: list[Utterance], together: Iterable[Iterable[str]], share: float = DEV_SHARE
) -> set[str]:
    """Development speakers: women and men in turn, each sex in the order of a hash, until the share is reached."""
    sexes = {u.speaker_id: u.sex or "unknown" for u in utterances}
    group = {speaker: tuple(members) for members in together for speaker in members}
    waiting = defaultdict(list)
    for speaker in sorted(sexes, key=lambda s: hashlib.sha256(f"{seed}:{s}".encode()).hexdigest()):
        waiting[sexes[speaker]].append(speaker)
    target = max(2, round(share * len(sexes)))
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
