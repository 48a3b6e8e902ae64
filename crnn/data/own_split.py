"""How own recordings are divided: in the parts their owner gave, by speaker, or by recording. No torch."""

from dataclasses import replace

from crnn.data.corpora import Utterance
from crnn.data.segments import joined, overlapping
from crnn.data.splits import SETS, Split, cut_dev, digest
from crnn.data.utterances import UNLABELLED
from crnn.errors import require

OWN_FOLDS = 5
"""A fifth of the speakers tests in each fold"""


def own_split(name: str, fold: int, utterances: list[Utterance], speaker_dependent: bool) -> Split:
    """Own recordings: in the parts their owner gave, or parted here; the labels are those that occur, in order."""
    labels = tuple(sorted({u.emotion for u in utterances}))
    require(len(labels) >= 2, f"{name}: all recordings are {', '.join(labels)}; a model needs at least 2 emotions")
    parts: dict[str, list[Utterance]] = {part: [] for part in SETS}
    if any(u.part for u in utterances):
        require(all(u.part for u in utterances), f"{name}: some recordings have a split and others have none")
        require(fold == 0, f"{name}: the recordings come with a split of their own, so there is fold 0 alone")
        assigned = {u.name: u.part or "" for u in utterances}
        training = [u for u in utterances if u.part == "train"]
        if "dev" not in assigned.values() and not speaker_dependent:
            dev = cut_dev(f"{name}:{fold}", training, (), least=1)
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
    return replace(Split.of(name, fold, labels, parts), speaker_dependent=speaker_dependent)


def unlabelled_split(name: str, utterances: list[Utterance]) -> Split:
    """Recordings without labels: all train, but those that their owner gave to another part."""
    parts = {part: [u for u in utterances if (u.part or "train") == part] for part in SETS}
    require(len(parts["train"]) > 0, f"{name}: no training recordings; the list gives all to other parts")
    return Split.of(name, 0, (UNLABELLED,), parts)


def _by_speaker(name: str, fold: int, utterances: list[Utterance]) -> dict[str, str]:
    """Every fifth speaker tests, in the order of a hash; development speakers are cut from the others. Speakers who are
    in one stretch of a recording (overlapping segments) stay together."""
    leader = joined(
        {u.speaker_id for u in utterances}, [(a.speaker_id, b.speaker_id) for a, b in overlapping(utterances)]
    )
    people = sorted(set(leader.values()), key=lambda s: digest(f"{name}:test:{s}"))
    tied = " (those whose segments overlap count once)" if len(people) < len(leader) else ""
    require(
        len(people) >= 3,
        f"{name}: training, development and test need different people, so at least 3; these recordings have "
        f"{len(people)} ({', '.join(people)}){tied}. Record more people, or take --protocol "
        "own-data-speaker-dependent, whose figures are about these people alone",
    )
    require(fold < len(people), f"{name} has folds 0 to {len(people) - 1} with {len(people)} speakers, not {fold}")
    chosen = set(people[fold::OWN_FOLDS])
    test = {speaker for speaker, first in leader.items() if first in chosen}
    rest = [u for u in utterances if u.speaker_id not in test]
    together = [[s for s, first in leader.items() if first == person] for person in people]
    dev = cut_dev(f"{name}:{fold}", rest, together, least=2 if len(people) - len(chosen) >= 6 else 1)
    return {u.name: "test" if u.speaker_id in test else "dev" if u.speaker_id in dev else "train" for u in utterances}


def _by_recording(name: str, fold: int, utterances: list[Utterance]) -> dict[str, str]:
    """A fifth of every emotion's recordings tests, a fifth develops, whoever speaks them. Overlapping segments count as
    one recording, with the emotion of the first."""
    leader = joined({u.name for u in utterances}, [(a.name, b.name) for a, b in overlapping(utterances)])
    firsts = set(leader.values())
    assigned: dict[str, str] = {}
    for label in sorted({u.emotion for u in utterances}):
        names = sorted(
            (u.name for u in utterances if u.emotion == label and u.name in firsts), key=lambda n: digest(f"{name}:{n}")
        )
        require(len(names) >= OWN_FOLDS, f"{name}: {len(names)} recordings are {label}; give at least {OWN_FOLDS}")
        parts = {fold: "test", (fold + 1) % OWN_FOLDS: "dev"}
        assigned |= {n: parts.get(place % OWN_FOLDS, "train") for place, n in enumerate(names)}
    return {n: assigned[first] for n, first in leader.items()}
