"""Readers: file names as the owners distribute them, and everything that is not one."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn import labels
from crnn.data.corpora import READERS, Skip, read_corpus
from crnn.errors import InputError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


CASES = {
    "ravdess": (
        "Actor_02/03-01-06-02-01-02-02.wav",
        {"speaker_id": "02", "sex": "female", "emotion": "fearful", "intensity": "strong", "take": "02"},
    ),
    "crema_d": (
        "1001_IEO_ANG_HI.flac",
        {"speaker_id": "1001", "sex": None, "emotion": "angry", "intensity": "high", "sentence": "IEO", "take": None},
    ),
    "emodb": (
        "wav/03a01Fa.wav",
        {"speaker_id": "03", "sex": "male", "emotion": "happy", "intensity": None, "sentence": "a01", "take": "a"},
    ),
    "emovo": (
        "f2/pau-f2-n4.wav",
        {"speaker_id": "f2", "sex": "female", "emotion": "fearful", "sentence": "n4", "intensity": None, "take": None},
    ),
    "emotiontts": ("wav/nek00301.wav", {"speaker_id": "nek", "sex": "male", "emotion": "sad", "sentence": None}),
    "emospeech_india": (
        f"delhi/help-safe-calm-1560000000000-0123456789ab{'c' * 44}.wav",
        {"speaker_id": "0123456789ab", "sex": None, "emotion": "neutral", "sentence": "help"},
    ),
    "savee": ("DC/sa05.wav", {"speaker_id": "DC", "sex": "male", "emotion": "sad", "sentence": "sa05"}),
    "tess": (
        "YAF_pleasant_surprised/YAF_dog_ps.wav",
        {"speaker_id": "YAF", "sex": "female", "emotion": "surprised", "sentence": "dog"},
    ),
    "synthetic": ("Actor_01/03-01-01-01-01-01-01.wav", {"speaker_id": "01", "sex": "male", "emotion": "neutral"}),
}


@pytest.mark.parametrize("corpus", CASES)
def test_reads_official_names(tmp_path, corpus):
    name, expected = CASES[corpus]
    (utterance,) = read_corpus(corpus, touch(tmp_path, name)).utterances
    assert utterance.corpus == corpus
    assert {key: getattr(utterance, key) for key in expected} == expected


def test_flat_savee_and_misspelt_tess(tmp_path):
    assert read_corpus("savee", touch(tmp_path / "s", "KL_n30.wav")).utterances[0].speaker_id == "KL"
    assert read_corpus("tess", touch(tmp_path / "t", "OA_bite_neutral.wav")).utterances[0].speaker_id == "OAF"


def fill(root: Path, *names: str) -> Path:
    """Files that differ, byte for byte."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_savee_as_its_owners_lay_it_out_and_flat_have_the_same_names(tmp_path):
    people = ("DC", "JE", "JK", "KL")
    official = fill(
        tmp_path / "official", *(f"AudioData/{s}/{clip}.wav" for s in people for clip in ("a01", "sa02", "n30"))
    )
    flat = fill(tmp_path / "flat", *(f"ALL/{s}_{clip}.wav" for s in people for clip in ("a01", "sa02", "n30")))
    one, other = read_corpus("savee", official), read_corpus("savee", flat)
    assert len({u.name for u in one.utterances}) == 12
    facts = [{(u.name, u.speaker_id, u.emotion, u.sentence) for u in corpus.utterances} for corpus in (one, other)]
    assert facts[0] == facts[1]


KAGGLE = {
    "ravdess": ("Actor_01/03-01-03-01-01-01-01.wav", "audio_speech_actors_01-24/Actor_01/03-01-03-01-01-01-01.wav"),
    "tess": (
        "TESS Toronto emotional speech set data/OAF_angry/OAF_back_angry.wav",
        "TESS Toronto emotional speech set data/TESS Toronto emotional speech set data/OAF_angry/OAF_back_angry.wav",
    ),
    "crema_d": ("AudioWAV/1001_IEO_ANG_HI.wav", "cremad/AudioWAV/1001_IEO_ANG_HI.wav"),
    "savee": ("ALL/DC_a01.wav", "AudioData/DC/a01.wav"),
    "emodb": ("wav/03a01Fa.wav", "emodb/wav/03a01Fa.wav"),
}


@pytest.mark.parametrize("corpus", KAGGLE)
def test_a_recording_that_lies_there_twice_counts_once_and_is_said(tmp_path, corpus, caplog):
    for name in KAGGLE[corpus]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"the same bytes")
    found = read_corpus(corpus, tmp_path)
    assert len(found.utterances) == 1
    (reason,) = found.skipped.values()
    assert "identical" in reason
    assert f"1 of 2 {corpus} files" in caplog.text


def test_two_files_of_one_name_that_differ_are_refused_with_both(tmp_path):
    names = ("a/03-01-03-01-01-01-01.wav", "b/03-01-03-01-01-01-01.flac")
    with pytest.raises(InputError, match=r"a/.*-01\.wav.*b/.*-01\.flac.*ravdess/"):
        read_corpus("ravdess", fill(tmp_path, *names))


def test_files_that_are_no_recordings_are_named(tmp_path):
    good = "Actor_01/03-01-01-01-01-01-01.wav"
    fill(
        tmp_path, good, "Actor_01/._03-01-02-01-01-01-01.wav", "__MACOSX/Actor_01/03-01-03-01-01-01-01.wav", "Thumbs.db"
    )
    (tmp_path / "Actor_01" / "03-01-04-01-01-01-01.wav").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid x\n"
    )
    (tmp_path / "Actor_01" / "03-01-05-01-01-01-01.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "Actor_01" / "03-01-06-01-01-01-01.wav").mkdir()
    found = read_corpus("ravdess", tmp_path)
    assert [u.path for u in found.utterances] == [tmp_path / good]
    reasons = {Path(file).name: why for file, why in found.skipped.items()}
    assert len(reasons) == 4
    assert "hidden" in reasons["._03-01-02-01-01-01-01.wav"]
    assert "git-lfs pointer" in reasons["03-01-04-01-01-01-01.wav"]
    assert "link" in reasons["03-01-05-01-01-01-01.wav"]
    (tmp_path / good).unlink()
    with pytest.raises(InputError, match="no usable ravdess"):
        read_corpus("ravdess", tmp_path)


EDGES = {0: None, 1: "neutral", 100: "neutral", 101: "happy", 200: "happy", 201: "angry", 300: "angry", 301: "sad"}
EDGES |= {400: "sad", 401: None, 1001: None, 99999: None}


def test_the_number_of_an_emotiontts_clip_is_its_emotion(tmp_path):
    fill(tmp_path, *(f"{speaker}{number:05d}.wav" for number in EDGES for speaker in ("nea", "emz")), "nea0101.wav")
    found = read_corpus("emotiontts", tmp_path)
    known = {number: emotion for number, emotion in EDGES.items() if emotion}
    assert [(int(u.path.stem[3:]), u.emotion) for u in found.utterances if u.speaker_id == "nea"] == list(known.items())
    assert {(u.speaker_id, u.sex) for u in found.utterances} == {("nea", "female"), ("emz", None)}
    assert Counter(why.split(";")[0] for why in found.skipped.values()) == {
        "unknown emotion code '-01'": 2,
        "unknown emotion code '004'": 2,
        "unknown emotion code '010'": 2,
        "unknown emotion code '999'": 2,
        "not a emotiontts file name": 1,
    }


def test_an_indian_clip_without_a_time_counts_and_one_without_a_known_speaker_or_emotion_does_not(tmp_path):
    known, nobody = "ab" * 28, "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f"
    fill(
        tmp_path,
        f"no-scream-fearful-??-{known}.wav",
        f"background-safe-None-20190101120000-{known}.wav",
        f"no-safe-angry-1560000000000-{nobody}.wav",
        f"no-safe-angry-1560000000000-{known[:-1]}.wav",
        "no-safe-angry-1560000000000.wav",
    )
    found = read_corpus("emospeech_india", tmp_path)
    assert [(u.speaker_id, u.emotion) for u in found.utterances] == [("abababababab", "fearful")]
    reasons = sorted(found.skipped.values())
    assert reasons[0].startswith("its owners do not know who speaks")
    assert reasons[1:3] == ["not a emospeech_india file name"] * 2
    assert reasons[3].startswith("unknown emotion code 'None'")


def test_iemocap_takes_labels_from_the_evaluations(tmp_path):
    wav = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_"
    touch(tmp_path, f"{wav}F000.wav", f"{wav}M001.wav", f"{wav}M002.wav", f"{wav}M003.wav")
    evaluation = tmp_path / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    evaluation.parent.mkdir(parents=True)
    evaluation.write_text(
        "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]\n"
        "[9.0000 - 9.5000]\tSes01F_impro01_M001\texc\t[2.5000, 2.5000, 2.5000]\n"
        "[9.6000 - 9.9000]\tSes01F_impro01_M002\txxx\t[2.5000, 2.5000, 2.5000]\n"
    )
    corpus = read_corpus("iemocap", tmp_path)
    assert [(u.speaker_id, u.sex, u.emotion) for u in corpus.utterances] == [
        ("Ses01F", "female", "neutral"),
        ("Ses01M", "male", "excited"),
    ]
    assert sorted(corpus.skipped.values()) == [
        "no label in dialog/EmoEvaluation (give the folder that holds Session1 .. Session5)",
        "the listeners did not agree on an emotion",
    ]


def test_crema_d_votes_and_recordings_without_a_truth(tmp_path):
    touch(
        tmp_path / "AudioWAV",
        "1001_IEO_NEU_XX.wav",
        "1017_IWW_ANG_XX.wav",
        "1017_IWW_FEA_XX.wav",
        "1072_IEO_ANG_MD.wav",
        "1076_MTI_SAD_XX.wav",
        "1002_IEO_HAP_LO.wav",
    )
    (tmp_path / "VideoDemographics.csv").write_text('"ActorID","Age","Sex"\n1001,51,"Male"\n1002,21,"Female"\n')
    folder = tmp_path / "processedResults"
    folder.mkdir()
    (folder / "summaryTable.csv").write_text(
        '"","FileName","VoiceVote"\n"1","1001_IEO_NEU_XX","A"\n"2","1002_IEO_HAP_LO","H:N"\n'
    )
    (folder / "tabulatedVotes.csv").write_text(
        '"","A","D","F","H","N","S","fileName"\n"100001",1,0,0,0,3,0,"1001_IEO_NEU_XX"\n"200001",9,0,0,0,0,0,"1001_IEO_NEU_XX"\n'
    )
    corpus = read_corpus("crema_d", tmp_path / "AudioWAV")
    neutral, happy = corpus.utterances
    assert (neutral.sex, happy.sex) == ("male", "female")
    assert dict(neutral.votes) == {"angry": 0.25, "neutral": 0.75}, "counts of the voice alone, before the majority"
    assert dict(happy.votes) == {"happy": 0.5, "neutral": 0.5}, "a tie of the majority, where there are no counts"
    reasons = {Path(file).stem: why for file, why in corpus.skipped.items()}
    assert reasons == {
        "1017_IWW_ANG_XX": "the same take as 1017_IWW_FEA_XX, under another emotion",
        "1017_IWW_FEA_XX": "the same take as 1017_IWW_ANG_XX, under another emotion",
        "1072_IEO_ANG_MD": "the same take as 1072_IEO_ANG_LO and 1072_IEO_DIS_MD, under another emotion",
        "1076_MTI_SAD_XX": "silent throughout",
    }


DEMOGRAPHICS = "ActorID,Age,Sex\n1001,51,Male\n1002,21,Female\n"
SAVED_AGAIN = {
    "byte-order mark": b"\xef\xbb\xbf" + DEMOGRAPHICS.encode(),
    "semicolons": DEMOGRAPHICS.replace(",", ";").encode(),
    "semicolons and sep line": b"sep=;\r\n" + DEMOGRAPHICS.replace(",", ";").encode(),
    "CRLF and tabs": DEMOGRAPHICS.replace(",", "\t").replace("\n", "\r\n").encode(),
    "Windows-1252": DEMOGRAPHICS.replace("Age", "\u00c4ge").encode("cp1252"),
    "UTF-16": DEMOGRAPHICS.encode("utf-16"),
    "decimals": DEMOGRAPHICS.replace("1001,", "1001.0,").encode(),
    "spaces and quotes": b'"ActorID", "Age", "Sex"\n"1001", "51", "Male"\n"1002", "21", "Female"\n',
}


@pytest.mark.parametrize("form", SAVED_AGAIN)
def test_crema_d_tables_that_a_program_saved_again(tmp_path, form):
    fill(tmp_path / "AudioWAV", "1001_IEO_ANG_HI.wav", "1002_IEO_SAD_HI.wav")
    (tmp_path / "VideoDemographics.csv").write_bytes(SAVED_AGAIN[form])
    assert [u.sex for u in read_corpus("crema_d", tmp_path / "AudioWAV").utterances] == ["male", "female"]


UNREADABLE = {
    "VideoDemographics.csv git-lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid x\n",
        "git-lfs pointer",
    ),
    "VideoDemographics.csv empty": (b"", "no rows"),
    "VideoDemographics.csv another table": (b"a,b\n1,2\n", "actorid, sex.* a, b"),
    "VideoDemographics.csv cut": (b"ActorID,Age,Sex\n1001,51\n", "line 2: Sex.* ''"),
    "VideoDemographics.csv no number": (b"ActorID,Age,Sex\nx,51,Male\n", "line 2: ActorID.* 'x'"),
    "VideoDemographics.csv a page": (b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n", "actorid"),
    "summaryTable.csv git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid x\n", "git-lfs pointer"),
    "tabulatedVotes.csv no number": (
        b'"",A,D,F,H,N,S,fileName\n100001,x,0,0,0,0,0,1001_IEO_ANG_HI\n',
        "line 2: A .*'x'",
    ),
    "tabulatedVotes.csv without row ids": (b"A,D,F,H,N,S,fileName\n0,0,0,0,0,0,1001_IEO_ANG_HI\n", "line 2: row id"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_crema_d_tables_that_cannot_be_read_are_refused_in_one_line(tmp_path, case):
    name, data, message = case.split(" ")[0], *UNREADABLE[case]
    fill(tmp_path / "AudioWAV", "1001_IEO_ANG_HI.wav")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as error:
        read_corpus("crema_d", tmp_path / "AudioWAV")
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_codes_and_foreign_names_are_reported(tmp_path):
    touch(
        tmp_path,
        "03-01-09-01-01-01-01.wav",
        "03-02-01-01-01-01-01.wav",
        "01-01-01-01-01-01-01.wav",
        "song.wav",
        "03-01-01-01-01-01-01.wav",
        "notes.txt",
    )
    corpus = read_corpus("ravdess", tmp_path)
    assert len(corpus.utterances) == 1
    reasons = " / ".join(corpus.skipped.values())
    for part in ("unknown emotion code '09'", "sung", "video", "not a ravdess file name"):
        assert part in reasons
    assert len(corpus.skipped) == 4


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        read_corpus("ravdess", tmp_path / "nowhere")
    with pytest.raises(InputError, match="no usable ravdess"):
        read_corpus("ravdess", touch(tmp_path, "a.wav", "b.wav"))
    with pytest.raises(InputError, match="unknown corpus"):
        read_corpus("radvess", tmp_path)


@pytest.mark.parametrize("corpus", READERS)
@given(stem=st.text(st.characters(codec="utf-8", exclude_characters="/\x00"), min_size=1, max_size=40))
def test_any_file_name_is_parsed_or_refused(corpus, stem):
    parse = READERS[corpus](Path("/nonexistent"))
    try:
        utterance = parse(Path("/nonexistent") / f"{stem}.wav")
    except Skip as reason:
        assert str(reason)
        return
    assert utterance is None or utterance.emotion in labels.EMOTIONS


def test_real_corpora_are_complete(recordings):
    counts = {"ravdess": (1440, 24), "emodb": (535, 10), "emovo": (588, 6), "emotiontts": (300, 15)}
    counts |= {"emospeech_india": (2017, 105)}
    for corpus, (clips, speakers) in counts.items():
        read = read_corpus(corpus, recordings / corpus)
        assert len(read.utterances) == clips
        assert not read.skipped
        assert len({u.speaker_id for u in read.utterances}) == speakers
        if corpus != "emospeech_india":
            assert {u.sex for u in read.utterances} == {"female", "male"}
    crema = read_corpus("crema_d", recordings / "crema_d")
    assert (len(crema.utterances), len(crema.skipped)) == (7428, 14)
    assert all(u.sex for u in crema.utterances)
    assert sum(u.votes is None for u in crema.utterances) <= 1  # one name is misspelt in the release


@pytest.mark.parametrize("corpus", ["emotiontts", "emospeech_india"])
def test_what_names_say_agrees_with_the_list_beside_the_recordings(recordings, corpus):
    with (recordings / corpus / "index.csv").open(encoding="utf-8") as file:
        listed = {
            Path(row["file"]).stem: (row["speaker"], row["sex"], row["emotion"].replace("calm", "neutral"))
            for row in csv.DictReader(file)
        }
    read = read_corpus(corpus, recordings / corpus).utterances
    assert {u.path.stem: (u.speaker_id, (u.sex or "")[:1], u.emotion) for u in read} == listed
