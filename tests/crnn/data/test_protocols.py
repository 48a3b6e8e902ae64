"""Splits are speaker-independent, stable, balanced; the leak guard refuses and names."""

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from crnn.data.corpora import Utterance, read_corpus
from crnn.data.leaks import check_leaks
from crnn.data.protocols import LeakError, corpora_of, corpora_tested, make_split, protocol_facts, protocol_names
from crnn.errors import InputError

EMOTIONS = {"ravdess": "neutral", "crema_d": "happy", "emodb": "bored", "iemocap": "excited", "synthetic": "calm"}
EMOTIONS |= {"savee": "sad", "tess": "sad", "emovo": "surprised"}


def people(protocol: str) -> list[Utterance]:
    """One utterance per speaker that the protocol names."""
    facts = protocol_facts(protocol)
    speakers = sorted({s for key in ("train", "dev", "test") for fold in facts.get(key, ()) for s in fold})
    if facts.get("open"):
        speakers += [f"{n:02d}" for n in range(5, 13)]
    return [
        Utterance(Path(f"/x/{s}.wav"), facts["corpus"], s, "female" if n % 2 else "male", EMOTIONS[facts["corpus"]])
        for n, s in enumerate(speakers)
    ]


# Own recordings: test_own_protocols.py. TESS: below, its development recordings are of the training speaker.
WITHIN = [
    name for name in protocol_names() if "test" in protocol_facts(name) and "dev_sentences" not in protocol_facts(name)
]
ACROSS = [name for name in protocol_names() if "folds" in protocol_facts(name)]


@pytest.mark.parametrize("protocol", WITHIN)
def test_every_fold_is_speaker_independent(protocol):
    utterances = people(protocol)
    folds = protocol_facts(protocol)["test"]
    for fold in range(len(folds)):
        split = make_split(protocol, fold, utterances)
        sets = [set(split.speakers(name)) for name in ("train", "dev", "test")]
        assert sum(map(len, sets)) == len(set.union(*sets)) == len(utterances)
        assert sets[2] == set(folds[fold])
        assert min(map(len, sets)) >= 1
        assert split.hash == make_split(protocol, fold, reversed(utterances)).hash
    if not protocol_facts(protocol).get("open") and "train" not in protocol_facts(protocol):
        assert Counter(s for fold in folds for s in fold) == Counter(u.speaker_id for u in utterances)


def crowd(corpora: tuple[str, ...], speakers: int = 20) -> list[Utterance]:
    """The same speaker numbers in every corpus, as RAVDESS and EmoDB have them."""
    return [
        Utterance(Path(f"/x/{n:02d}.wav"), corpus, f"{n:02d}", "female" if n % 2 else "male", "sad")
        for corpus in corpora
        for n in range(speakers)
    ]


@pytest.mark.parametrize("protocol", ACROSS)
def test_across_corpora_everyone_has_one_place(protocol):
    for fold, facts in enumerate(protocol_facts(protocol)["folds"]):
        utterances = crowd(corpora_of(protocol, fold))
        split = make_split(protocol, fold, utterances)
        assert sorted(u.speaker for _, members in split.sets() for u in members) == sorted(
            u.speaker for u in utterances
        )
        assert {u.corpus for u in split.train} == {u.corpus for u in split.dev} == set(facts["train"])
        assert {u.corpus for u in split.test} == {u.corpus for u in split.dev_unseen} == set(facts["test"])
        assert split.corpora == tuple(sorted(facts["train"]))
        check_leaks(split, {u.name: u.speaker for u in utterances})


def test_development_speakers_of_a_corpus_are_the_same_in_every_cross_protocol():
    chosen = {}
    for protocol in ("cross-leave-one-out", "cross-single", "cross-all-labels", "leave-one-corpus-out"):
        for fold in range(len(protocol_facts(protocol)["folds"])):
            split = make_split(protocol, fold, crowd(corpora_of(protocol, fold)))
            for u in (*split.dev, *split.dev_unseen):
                chosen.setdefault(u.corpus, set()).add((protocol, fold, u.speaker_id))
    for members in chosen.values():
        speakers = [{s for p, f, s in members if (p, f) == run} for run in {(p, f) for p, f, _ in members}]
        assert all(group == speakers[0] for group in speakers)


def test_leave_one_corpus_out_tests_each_corpus_once_and_trains_on_all_others():
    facts = protocol_facts("leave-one-corpus-out")
    six = set(facts["leave_one_out"])
    assert [fold["test"] for fold in facts["folds"]] == [[corpus] for corpus in facts["leave_one_out"]]
    assert all({*fold["train"], *fold["test"]} == six and len(fold["train"]) == 5 for fold in facts["folds"])
    assert set(corpora_of("all-six-corpora", 0)) == six


def test_the_corpora_that_a_fold_tests():
    assert corpora_tested("all-six-corpora", 0) == corpora_tested("unlabelled", 0) == ()
    assert corpora_tested("leave-one-corpus-out", 1) == ("emodb",)
    assert corpora_tested("cross-single", 2) == ("emodb", "ravdess")
    assert (corpora_tested("emodb-loso", 9), corpora_tested("own-data", 4)) == (("emodb",), ("own",))
    with pytest.raises(InputError, match="folds 0 to 0"):
        corpora_tested("all-six-corpora", 1)


def tess() -> list[Utterance]:
    return [
        Utterance(
            Path(f"/x/{speaker}_{word}_{emotion}.wav"), "tess", speaker, "female", emotion, sentence=f"word{word}"
        )
        for speaker in ("OAF", "YAF")
        for word in range(20)
        for emotion in protocol_facts("tess-loso")["labels"]
    ]


@pytest.mark.parametrize("fold", [0, 1])
def test_tess_tests_on_the_other_woman_and_develops_on_words_that_are_not_trained_on(fold):
    split = make_split("tess-loso", fold, tess())
    assert set(split.speakers("train")) == set(split.speakers("dev")) == {("YAF", "OAF")[fold]}
    assert split.speakers("test") == (("OAF", "YAF")[fold],)
    words = [{u.sentence for u in members} for members in (split.train, split.dev)]
    assert not words[0] & words[1]
    assert (len(words[0]), len(words[1])) == (16, 4)
    assert {u.emotion for u in split.dev} == set(split.labels)
    check_leaks(split, {u.name: u.name for u in tess()})
    leaked = replace(split, train=(*split.train, replace(split.test[0], key="moved")))
    with pytest.raises(LeakError, match="of tess .*train .*test"):
        check_leaks(leaked, {u.name: u.name for _, members in leaked.sets() for u in members})


def test_published_actor_lists():
    assert protocol_facts("ravdess-luna5")["test"][0] == ["02", "05", "14", "15", "16"]
    assert protocol_facts("ravdess-luna5")["test"][4] == ["01", "04", "09", "22"]
    for name in ("cremad-evar", "cremad-tfds"):
        facts = protocol_facts(name)
        assert [len(facts[key][0]) for key in ("train", "dev", "test")] == [63, 9, 19]
        assert len({s for key in ("train", "dev", "test") for s in facts[key][0]}) == 91


def test_development_speakers_are_balanced_by_sex():
    for fold in range(5):
        dev = make_split("ravdess-luna5", fold, people("ravdess-luna5")).dev
        assert Counter(u.sex for u in dev) == {"female": 2, "male": 2}


def test_iemocap_parts_no_session_and_merges_excited():
    split = make_split("iemocap-session5", 0, people("iemocap-session5"))
    assert {s[:-1] for s in split.speakers("dev")}.isdisjoint({s[:-1] for s in split.speakers("train")})
    assert {u.emotion for u in split.train} == {"happy"}


def test_the_hash_depends_on_the_sets_and_not_on_the_folder():
    utterances = people("ravdess-luna5")
    moved = [replace(u, path=Path("/elsewhere") / f"{u.path.stem}.flac") for u in utterances]
    assert make_split("ravdess-luna5", 0, moved).hash == make_split("ravdess-luna5", 0, utterances).hash
    assert make_split("ravdess-luna5", 1, utterances).hash != make_split("ravdess-luna5", 0, utterances).hash
    relabelled = [replace(utterances[0], emotion="angry"), *utterances[1:]]
    assert make_split("ravdess-luna5", 0, relabelled).hash != make_split("ravdess-luna5", 0, utterances).hash


read_once = cache(read_corpus)
"""The real corpora have thousands of files, and several protocols use each."""


def test_real_split_hashes(recordings):
    for corpus, protocol, expected in (
        ("ravdess", "ravdess-luna5", "c23e84a5287c"),
        ("ravdess", "ravdess-emobox6", "1c2f7a571156"),
        ("emodb", "emodb-loso", "86b5df466915"),
        ("crema_d", "cremad-evar", "627fa6f31ab2"),
    ):
        assert make_split(protocol, 0, read_once(corpus, recordings / corpus).utterances).hash == expected


LEFT_OUT = {
    "ravdess": "12d6fcec2f60",
    "emodb": "061f78bcbebd",
    "crema_d": "1c7e4e48e696",
    "emovo": "7cf94901c701",
    "emotiontts": "677bc7895db8",
    "emospeech_india": "585a082fe220",
}


def test_leaving_each_of_six_real_corpora_out(recordings):
    """A corpus is judged on the emotions that it has, by its own speakers; whoever trains has all six."""
    utterances = [u for corpus in LEFT_OUT for u in read_once(corpus, recordings / corpus).utterances]
    for fold, (corpus, expected) in enumerate(LEFT_OUT.items()):
        split = make_split("leave-one-corpus-out", fold, utterances)
        assert split.hash == expected
        assert {u.corpus for u in (*split.test, *split.dev_unseen)} == {corpus}
        assert split.corpora == tuple(sorted(LEFT_OUT.keys() - {corpus}))
        assert {u.emotion for u in split.train} == {u.emotion for u in split.dev} == set(split.labels)
        lacks = {"emotiontts": {"fearful", "disgust"}, "emospeech_india": {"sad", "disgust"}}.get(corpus, set())
        assert {u.emotion for u in split.test} == {u.emotion for u in split.dev_unseen} == set(split.labels) - lacks
        assert not split.label_sets, "every clip may be given any of the six emotions"
        assert len(set(split.speakers("test"))) >= 4


@pytest.mark.parametrize(
    ("protocol", "fold", "utterances", "part"),
    [
        ("ravdess-luna6", 0, [], "unknown protocol"),
        ("ravdess-luna5", 5, [], "folds 0 to 4"),
        ("ravdess-luna5", 0, people("ravdess-luna5")[:1], "no .* recordings"),
        ("emodb-loso", 0, people("emodb-loso") + [replace(people("emodb-loso")[0], speaker_id="77")], "77"),
    ],
)
def test_refuses_by_name(protocol, fold, utterances, part):
    with pytest.raises(InputError, match=part):
        make_split(protocol, fold, utterances)


def split_and_hashes():
    split = make_split("ravdess-luna5", 0, people("ravdess-luna5"))
    return split, {u.name: f"hash of {u.name}" for _, members in split.sets() for u in members}


def test_guard_lets_a_clean_split_pass():
    assert check_leaks(*split_and_hashes()) == []


def test_guard_names_a_shared_speaker():
    split, hashes = split_and_hashes()
    leaked = replace(split.train[0], speaker_id=split.test[0].speaker_id)
    with pytest.raises(LeakError, match=f"{split.test[0].speaker_id} of ravdess .*train .*test"):
        check_leaks(replace(split, train=(leaked, *split.train[1:])), hashes)


@pytest.mark.parametrize("part", ["dev", "test"])
def test_guard_names_the_same_audio_under_two_names(part):
    split, hashes = split_and_hashes()
    one, other = split.train[0], getattr(split, part)[0]
    hashes[other.name] = hashes[one.name]
    with pytest.raises(LeakError, match=f"{one.name} .train.*{other.name} .{part}.*same audio"):
        check_leaks(split, hashes)


def test_guard_reports_repeats_inside_one_set():
    split, hashes = split_and_hashes()
    hashes[split.train[1].name] = hashes[split.train[0].name]
    (line,) = check_leaks(split, hashes)
    assert split.train[0].name in line
    assert split.train[1].name in line
