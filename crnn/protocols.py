"""Named speaker-independent splits, their hash, and the guard that refuses leaks. No torch.

The speaker lists stand in `protocols.json` beside this file, with their sources:

- ``corpus``, ``labels``: the corpus and the label set, in order; ``merge`` renames emotions first;
- ``test``: the test speakers of each fold; ``dev``, ``train``: likewise where the source names them;
- ``together``: speakers who are heard in each other's recordings and are never parted;
- ``open``: speakers the lists do not name are training or development speakers, not an error;
- ``folds``: across corpora, the corpora trained on and tested on in each fold;
- ``shared``: across corpora that differ in emotions, those a held-out corpus is judged on; training keeps all;
- ``n_folds``: own recordings, whose labels and speakers no list can name: see `_own_split`.

Where the source names no development speakers they are cut from the training speakers by `_cut_dev`. Across corpora
each corpus has its own fixed development speakers: they choose epochs where their corpus is trained on, and recipes
(as the `probe`) where it is held out; no figure about a held-out corpus includes them.

Corrections (crnn.corrections) are added to the training recordings of any protocol.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from crnn.config import InputError, require
from crnn.corpora import Utterance
from crnn.corrections import CORRECTIONS, learnable
from crnn.own_data import OWN

DEV_SHARE = 0.2
"""Share of the training speakers who become development speakers (at least one of each sex)."""

OWN_FOLDS = 5
"""Own recordings: a fifth of the speakers tests in each fold"""

SPEAKER_DEPENDENT = "the same people are in training and test, so these figures are about them and nobody else"

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
    speaker_dependent: bool = False
    """The same people are heard in all sets: the figures are about them alone"""
    label_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Corpus -> the labels that its clips can have, where corpora differ in them; empty: every corpus has all"""

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
        return self._hash(lambda u: True)

    @property
    def original_hash(self) -> str:
        """The same without corrections: what the protocol alone would give."""
        return self._hash(lambda u: u.corpus != CORRECTIONS)

    def _hash(self, counts: Callable[[Utterance], bool]) -> str:
        lines = sorted(
            f"{name}\t{u.name}\t{u.speaker_id}\t{u.emotion}"
            for name, members in self.sets()
            for u in members
            if counts(u)
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    def describe(self, before: Iterable[str] = ()) -> dict:
        """Plain values for the run folder (`split.json`); `before`: speakers whom the initial weights have heard."""
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
    n_folds = facts["n_folds"] if "n_folds" in facts else len(facts.get("folds") or facts["test"])
    require(0 <= fold < n_folds, f"{name} has folds 0 to {n_folds - 1}, not {fold}")
    if "folds" in facts:
        return tuple(sorted({*facts["folds"][fold]["train"], *facts["folds"][fold]["test"]}))
    return (facts["corpus"],)


def make_split(name: str, fold: int, utterances: Iterable[Utterance]) -> Split:
    """Divide one or several corpora under fold `fold` of the protocol `name`; corrections among them only train.

    Emotions outside the protocol's label set are left out. Raises InputError if the fold does not exist, a set is
    empty, or the recordings hold a speaker that the protocol does not know; LeakError if somebody whose answers were
    corrected is, among own recordings, to judge.
    """
    utterances = list(utterances)
    split = _make_split(name, fold, [u for u in utterances if u.corpus != CORRECTIONS])
    corrections = learnable([u for u in utterances if u.corpus == CORRECTIONS], split.labels)
    return _with_corrections(split, corrections) if corrections else split


def _with_corrections(split: Split, corrections: tuple[Utterance, ...]) -> Split:
    """Own recordings and corrections come from the same home: one name is one person."""
    for part, members in split.sets():
        judges = {u.speaker_id for u in members if u.corpus == OWN and part != "train"}
        known = sorted(judges & {u.speaker_id for u in corrections})
        if known and not split.speaker_dependent:
            raise LeakError(
                f"{', '.join(known)}: corrected, so to be learned from, but {part} in {split.protocol} fold "
                f"{split.fold}; try another --fold, or leave the corrections out"
            )
    return replace(split, train=split.train + corrections)


def _make_split(name: str, fold: int, utterances: Iterable[Utterance]) -> Split:
    facts = protocol_facts(name)
    corpora_of(name, fold)
    if "n_folds" in facts:
        return _own_split(name, fold, list(utterances), facts["speaker_dependent"])
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
    split = _complete(name, fold, facts, parts)
    return _with_label_sets(split, facts["shared"]) if "shared" in facts else split


def _with_label_sets(split: Split, shared: list[str]) -> Split:
    """The same split with the labels that its training has, and what each corpus has of them: a corpus trained on those
    of its training clips, a held-out one the `shared` ones."""
    trained = defaultdict(set)
    for u in split.train:
        trained[u.corpus].add(u.emotion)
    labels = tuple(label for label in split.labels if any(label in emotions for emotions in trained.values()))
    judged = {u.corpus: trained.get(u.corpus, set(shared)) for _, members in split.sets() for u in members}
    sets = {corpus: tuple(label for label in labels if label in emotions) for corpus, emotions in judged.items()}
    kept = {part: tuple(u for u in members if u.emotion in sets[u.corpus]) for part, members in split.sets()}
    return replace(split, labels=labels, label_sets=sets, **kept)


def _own_split(name: str, fold: int, utterances: list[Utterance], speaker_dependent: bool) -> Split:
    """Own recordings: in the parts their owner gave, or parted here; the labels are those that occur, in order."""
    labels = tuple(sorted({u.emotion for u in utterances}))
    require(len(labels) >= 2, f"{name}: all recordings are {', '.join(labels)}; a model needs at least 2 emotions")
    parts: dict[str, list[Utterance]] = {part: [] for part in SETS}
    if any(u.part for u in utterances):
        require(all(u.part for u in utterances), f"{name}: some recordings have a split and others have none")
        require(fold == 0, f"{name}: the recordings come with a split of their own, so there is fold 0 alone")
        assigned = {u.name: u.part for u in utterances}
        training = [u for u in utterances if u.part == "train"]
        if "dev" not in assigned.values() and not speaker_dependent:
            dev = _cut_dev(f"{name}:{fold}", training, (), least=1)
            assigned |= {u.name: "dev" for u in training if u.speaker_id in dev}
    elif speaker_dependent:
        assigned = _by_recording(name, fold, utterances)
    else:
        assigned = _by_speaker(name, fold, utterances)
    for u in utterances:
        parts[assigned[u.name]].append(u)
    for part in ("train", "dev"):
        require(len(parts[part]) > 0, f"{name} fold {fold}: no {part} recordings; give at least 3 speakers, or a split")
    missing = sorted(set(labels) - {u.emotion for u in parts["train"]})
    require(
        not missing,
        f"{name} fold {fold}: no training recording is {', '.join(missing)}; record it with more speakers, try another "
        "--fold, or leave it out",
    )
    return Split(name, fold, labels, *(tuple(parts[part]) for part in SETS), speaker_dependent=speaker_dependent)


def _by_speaker(name: str, fold: int, utterances: list[Utterance]) -> dict[str, str]:
    """Every fifth speaker tests, in the order of a hash; development speakers are cut from the others."""
    speakers = sorted({u.speaker_id for u in utterances}, key=lambda s: _digest(f"{name}:test:{s}"))
    require(
        len(speakers) >= 3,
        f"{name}: training, development and test need different people, so at least 3; these recordings have "
        f"{len(speakers)} ({', '.join(speakers)}). Record more people, or take --protocol own-data-speaker-dependent, "
        "whose figures are about these people alone",
    )
    require(
        fold < len(speakers), f"{name} has folds 0 to {len(speakers) - 1} with {len(speakers)} speakers, not {fold}"
    )
    test = set(speakers[fold::OWN_FOLDS])
    rest = [u for u in utterances if u.speaker_id not in test]
    dev = _cut_dev(f"{name}:{fold}", rest, (), least=2 if len(speakers) - len(test) >= 6 else 1)
    return {u.name: "test" if u.speaker_id in test else "dev" if u.speaker_id in dev else "train" for u in utterances}


def _by_recording(name: str, fold: int, utterances: list[Utterance]) -> dict[str, str]:
    """A fifth of every emotion's recordings tests, a fifth develops, whoever speaks them."""
    assigned = {}
    for label in sorted({u.emotion for u in utterances}):
        names = sorted((u.name for u in utterances if u.emotion == label), key=lambda n: _digest(f"{name}:{n}"))
        require(len(names) >= OWN_FOLDS, f"{name}: {len(names)} recordings are {label}; give at least {OWN_FOLDS}")
        parts = {fold: "test", (fold + 1) % OWN_FOLDS: "dev"}
        assigned |= {n: parts.get(place % OWN_FOLDS, "train") for place, n in enumerate(names)}
    return assigned


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
    seed: str, utterances: list[Utterance], together: Iterable[Iterable[str]], share: float = DEV_SHARE, least: int = 2
) -> set[str]:
    """Development speakers: women and men in turn, each sex in the order of a hash, until the share is reached."""
    sexes = {u.speaker_id: u.sex or "unknown" for u in utterances}
    group = {speaker: tuple(members) for members in together for speaker in members}
    waiting = defaultdict(list)
    for speaker in sorted(sexes, key=lambda s: _digest(f"{seed}:{s}")):
        waiting[sexes[speaker]].append(speaker)
    target = max(least, round(share * len(sexes)))
    dev: set[str] = set()
    while len(dev) < target and any(waiting.values()):
        for sex in sorted(waiting):
            if waiting[sex] and len(dev) < target:
                speaker = waiting[sex].pop(0)
                dev.update(member for member in group.get(speaker, (speaker,)) if member in sexes)
    return dev


def check_leaks(split: Split, audio_hashes: Mapping[str, str]) -> list[str]:
    """Refuse a split whose sets share a speaker (unless it says that it is speaker-dependent) or a recording.

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
            if other != part and not split.speaker_dependent:
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
