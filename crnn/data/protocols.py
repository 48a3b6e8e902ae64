"""Named speaker-independent splits. No torch. `crnn.data.leaks` refuses splits that leak.

The speaker lists stand in `protocols.json` beside this file, with their sources:

- ``corpus``, ``labels``: the corpus and the label set, in order; ``merge`` renames emotions first;
- ``test``: the test speakers of each fold; ``dev``, ``train``: likewise where the source names them;
- ``together``: speakers of the same recordings, who stay in one set;
- ``open``: speakers the lists do not name are training or development speakers, not an error;
- ``folds``: across corpora, the corpora trained on and tested on in each fold;
- ``leave_one_out``: in place of ``folds``, corpora of which each fold tests one and trains on all others;
- ``shared``: across corpora that differ in emotions, those a held-out corpus is judged on; training keeps all;
- ``dev_sentences``: with too few speakers to spare one, the share of the training speakers' sentences that develops;
- ``note``: what to know about the figures;
- ``n_folds``: own recordings, whose labels and speakers no list can name: see `crnn.data.own_split`;
- ``unlabelled``: own recordings without labels, which only train.

Where the source names no development speakers they are cut from the training speakers by `cut_dev`. Across corpora
each corpus has its own fixed development speakers: they choose epochs where their corpus is trained on, and recipes
(as `dev_unseen`) where it is held out; no figure about a held-out corpus includes them.

Corrections (crnn.data.corrections) are added to the training recordings of any protocol.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from crnn.data.corpora import Utterance
from crnn.data.corrections import CORRECTIONS, learnable
from crnn.data.names import likeness
from crnn.data.own_entries import OWN
from crnn.data.own_split import own_split, unlabelled_split
from crnn.data.splits import DEV_SHARE, SETS, LeakError, Split, cut_dev, digest
from crnn.errors import require

SPEAKER_DEPENDENT = "the same people are in training and test, so these figures are about them and nobody else"


@cache
def _protocols() -> dict:
    protocols = json.loads(Path(__file__).with_name("protocols.json").read_text(encoding="utf-8"))
    for facts in protocols.values():
        corpora = facts.get("leave_one_out", ())
        if corpora:
            facts["folds"] = [{"train": sorted({*corpora} - {left}), "test": [left]} for left in corpora]
    return protocols


def protocol_names() -> tuple[str, ...]:
    return tuple(_protocols())


def protocol_facts(name: str) -> dict:
    """The entry of `protocols.json`. Raises InputError for an unknown name."""
    require(name in _protocols(), f"unknown protocol {name}; known: {', '.join(_protocols())}")
    return _protocols()[name]


def n_folds(name: str) -> int:
    """Folds of a protocol; own recordings may allow fewer. Raises InputError for an unknown protocol."""
    facts = protocol_facts(name)
    return facts["n_folds"] if "n_folds" in facts else len(facts.get("folds") or facts["test"])


def corpora_of(name: str, fold: int) -> tuple[str, ...]:
    """Every corpus whose recordings the fold needs. Raises InputError for an unknown protocol or fold."""
    facts = protocol_facts(name)
    require(0 <= fold < n_folds(name), f"{name} has folds 0 to {n_folds(name) - 1}, not {fold}")
    if "folds" in facts:
        return tuple(sorted({*facts["folds"][fold]["train"], *facts["folds"][fold]["test"]}))
    return (facts["corpus"],)


def corpora_tested(name: str, fold: int) -> tuple[str, ...]:
    """The corpora whose speakers test in the fold; none where all of them train or develop. Raises as `corpora_of`."""
    corpora, facts = corpora_of(name, fold), protocol_facts(name)
    if "folds" in facts:
        return tuple(facts["folds"][fold]["test"])
    return () if facts.get("unlabelled") else corpora


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
        learned = {likeness(u.speaker_id) for u in corrections}
        judges = {u.speaker_id for u in members if u.corpus == OWN and part != "train"}
        known = sorted(judge for judge in judges if likeness(judge) in learned)
        if known and not split.speaker_dependent:
            raise LeakError(
                f"{', '.join(known)}: corrected, so to be learned from, but {part} in {split.protocol} fold "
                f"{split.fold}; try another --fold, or leave the corrections out"
            )
    return replace(split, train=split.train + corrections)


def _make_split(name: str, fold: int, utterances: Iterable[Utterance]) -> Split:
    facts = protocol_facts(name)
    corpora_of(name, fold)
    if facts.get("unlabelled"):
        return unlabelled_split(name, list(utterances))
    if "n_folds" in facts:
        return own_split(name, fold, list(utterances), facts["speaker_dependent"])
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
    if "dev_sentences" in facts:
        return _dev_of_train(name, fold, facts, usable)
    if "dev" in facts:
        dev = set(facts["dev"][fold])
    else:
        dev = cut_dev(f"{name}:{fold}", [u for u in usable if u.speaker_id not in test], facts.get("together", ()))
    parts = defaultdict(list)
    for u in usable:
        parts["test" if u.speaker_id in test else "dev" if u.speaker_id in dev else "train"].append(u)
    return _complete(name, fold, facts, parts)


def _dev_of_train(name: str, fold: int, facts: dict, usable: list[Utterance]) -> Split:
    """Some sentences of the training speakers develop: there is no other speaker who could."""
    sentences = sorted({u.sentence or "" for u in usable}, key=lambda s: digest(f"{name}:{s}"))
    dev = set(sentences[: round(facts["dev_sentences"] * len(sentences))])
    parts = defaultdict(list)
    for u in usable:
        part = "test" if u.speaker_id in facts["test"][fold] else "dev" if u.sentence in dev else "train"
        parts[part].append(u)
    return replace(_complete(name, fold, facts, parts), dev_of_train=True)


def _cross_split(name: str, fold: int, facts: dict, usable: list[Utterance]) -> Split:
    """Train on some corpora, test on others."""
    corpora = facts["folds"][fold]
    share = facts.get("dev_share", DEV_SHARE)
    dev = {
        (corpus, speaker)
        for corpus in corpora_of(name, fold)
        for speaker in cut_dev(f"dev:{corpus}", [u for u in usable if u.corpus == corpus], (), share)
    }
    parts = defaultdict(list)
    for u in usable:
        names = ("dev", "train") if u.corpus in corpora["train"] else ("dev_unseen", "test")
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
    members = {part: tuple(u for u in found if u.emotion in sets[u.corpus]) for part, found in split.sets()}
    return replace(Split.of(split.protocol, split.fold, labels, members), label_sets=sets)


def _complete(name: str, fold: int, facts: dict, parts: Mapping[str, list[Utterance]]) -> Split:
    needed = ["train", "dev", *(["test"] if "folds" not in facts or facts["folds"][fold]["test"] else [])]
    for part in needed:
        require(len(parts[part]) > 0, f"{name} fold {fold}: no {part} recordings; the corpus is incomplete")
    return Split.of(name, fold, tuple(facts["labels"]), parts)


def _renamed(utterance: Utterance, merge: Mapping[str, str]) -> Utterance:
    if utterance.emotion not in merge:
        return utterance
    return Utterance(**(vars(utterance) | {"emotion": merge[utterance.emotion]}))
