"""Own recordings: splits that no speaker crosses, the owner's split, and one speaker alone."""

from pathlib import Path

import pytest

from crnn.data.corpora import Utterance
from crnn.data.leaks import check_leaks
from crnn.data.own_entries import OWN
from crnn.data.prepare import given_folders, locate_data
from crnn.data.protocols import LeakError, make_split
from crnn.errors import InputError


def people(n: int, per_emotion: int = 2, part: str | None = None, first: int = 0) -> list[Utterance]:
    return [
        Utterance(Path(f"/x/{s}-{e}-{k}.wav"), OWN, f"s{s}", None, e, part=part)
        for s in range(first, first + n)
        for e in ("fear", "joy")
        for k in range(per_emotion)
    ]


@pytest.mark.parametrize("n", range(3, 13))
def test_speakers_are_parted_whatever_their_number(n):
    tested = []
    for fold in range(min(n, 5)):
        split = make_split("own-data", fold, people(n))
        sets = [set(split.speakers(part)) for part in ("train", "dev", "test")]
        assert all(sets)
        assert sum(map(len, sets)) == len(set.union(*sets)) == n
        assert split.labels == ("fear", "joy")
        assert split.hash == make_split("own-data", fold, reversed(people(n))).hash
        check_leaks(split, {u.name: u.name for u in people(n)})
        tested += sets[2]
    assert len(tested) == len(set(tested))
    assert n < 5 or len(tested) == n, "over the folds everyone tests once"


@pytest.mark.parametrize(
    ("utterances", "fold", "message"),
    [
        (people(1), 0, r"at least 3.* 1 \(s0\).*--protocol own-data-speaker-dependent"),
        (people(2), 0, r"at least 3.* 2 \(s0, s1\)"),
        (people(3), 3, "folds 0 to 2 .*3 speakers"),
        (people(6), 5, "folds 0 to 4.* 5"),
        ([u for u in people(6) if u.emotion == "joy"], 0, "all .*joy"),
        (people(3, part="train") + people(3, part="test", first=3), 1, "fold 0"),
        (people(3, part="test"), 0, "no train recordings"),
        (people(1, part="train") + people(1, part="test", first=3), 0, "no train recordings"),
        (people(3) + [Utterance(Path("/x/rare.wav"), OWN, "s3", None, "rare")], 0, "no training .*rare"),
    ],
)  # fmt: skip
def test_recordings_that_cannot_be_parted_say_what_to_do(utterances, fold, message):
    with pytest.raises(InputError, match=message):
        for attempt in range(fold, 5 if "rare" in message else fold + 1):
            make_split("own-data", attempt, utterances)


def test_the_owners_split_is_used_and_its_leaks_are_found():
    given_split = people(4, part="train") + people(2, part="dev", first=4) + people(2, part="test", first=6)
    split = make_split("own-data", 0, given_split)
    assert [split.speakers(part) for part in ("dev", "test")] == [("s4", "s5"), ("s6", "s7")]
    without_dev = make_split("own-data", 0, people(4, part="train") + people(2, part="test", first=4))
    assert len(without_dev.speakers("dev")) == 1
    assert set(without_dev.speakers("dev")) < {"s0", "s1", "s2", "s3"}
    again = [Utterance(**(vars(u) | {"part": "test", "key": f"again-{u.path.stem}"})) for u in given_split[:2]]
    leaking = make_split("own-data", 0, given_split + again)
    with pytest.raises(LeakError, match="s0 of own .*train .*test"):
        check_leaks(leaking, {u.name: u.name for u in given_split + again})


def test_one_speaker_is_parted_by_recording_when_asked_to():
    utterances = people(1, per_emotion=10)
    for fold in range(5):
        split = make_split("own-data-speaker-dependent", fold, utterances)
        assert split.speaker_dependent
        assert [len(getattr(split, part)) for part in ("train", "dev", "test")] == [12, 4, 4]
        assert {u.emotion for u in split.test} == {"fear", "joy"}
        assert check_leaks(split, {u.name: u.name for u in utterances}) == []
    with pytest.raises(LeakError, match="same audio"):
        check_leaks(split, {u.name: "one" for u in utterances})
    with pytest.raises(InputError, match="3 recordings .*fear.* 5"):
        make_split("own-data-speaker-dependent", 0, people(1, per_emotion=3))


@pytest.mark.parametrize(
    ("protocol", "entries", "message"),
    [
        ("ravdess-luna5", ["csv:my.csv"], "--protocol own-data"),
        ("own-data", [], "--data folder:PATH"),
        ("own-data", ["ravdess:/x"], "--data folder:PATH"),
        ("own-data", ["csv:a.csv", "folder:b"], "csv:a.csv"),
    ],
)
def test_own_recordings_and_their_protocol_need_each_other(protocol, entries, message, monkeypatch):
    monkeypatch.setenv("SER_DATA", "/recordings")
    with pytest.raises(InputError, match=message):
        locate_data(protocol, 0, given_folders(entries))
