"""The guard that refuses leaks: one speaker, one recording or one take on two sides of a split. No torch."""

from collections.abc import Iterable, Mapping

from crnn.data.near_copies import NearCopy
from crnn.data.segments import overlapping
from crnn.data.splits import LeakError, Split


def check_leaks(split: Split, audio_hashes: Mapping[str, str], near: Iterable[NearCopy] = ()) -> list[str]:
    """Refuse a split whose sets share a speaker (unless the split is declared speaker-dependent), a recording, a near
    copy of one, or a stretch of one.

    `audio_hashes` maps an utterance's name to the hash of its decoded samples; `near`: near copies among the
    utterances (`crnn.data.near_copies`). Returns a line for each pair of names that hold the same audio *within* one
    set: no leak, but worth knowing. Raises LeakError that names every shared speaker and recording.
    """
    owner: dict[tuple[str, str], str] = {}
    members = [(part, u) for part, utterances in split.sets() for u in utterances]
    leaks = []
    for part, u in members:
        other = owner.setdefault((u.corpus, u.speaker_id), part)
        allowed = split.speaker_dependent or (split.dev_of_train and {other, part} == {"train", "dev"})
        if other != part and not allowed:
            leaks.append(f"speaker {u.speaker_id} of {u.corpus} is in {other} and in {part}")
    part_of = {u.name: part for part, u in members}
    first: dict[str, str] = {}
    repeats = []
    # name, name, and what they have in common
    pairs = [(first.setdefault(audio_hashes[u.name], u.name), u.name, "are the same audio") for _, u in members]
    pairs += [(one.name, other.name, "overlap") for one, other in overlapping(u for _, u in members)]
    known = {frozenset(pair) for *pair, _ in pairs}
    pairs += [
        (copy.first, copy.second, f"are one take (their waveforms correlate at {copy.correlation:.2f})")
        for copy in near
        if {copy.first, copy.second} <= part_of.keys() and frozenset((copy.first, copy.second)) not in known
    ]
    for one, other, what in pairs:
        if part_of[one] != part_of[other]:
            leaks.append(f"{one} ({part_of[one]}) and {other} ({part_of[other]}) {what}")
        elif one != other and what != "overlap":
            repeats.append(f"{one} and {other} ({part_of[one]}) {what}")
    if leaks:
        raise LeakError(f"refusing to train on a leaking split: {'; '.join(dict.fromkeys(leaks))}")
    return repeats
