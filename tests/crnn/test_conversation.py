"""The next turn's emotion: found where a rule makes it, on other people; at chance where there is no rule."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from crnn.conversation import main
from crnn.data.dialogues import Turns, read_turns
from crnn.errors import InputError
from crnn.training.conversation import next_turns

EMOTIONS = ("angry", "happy", "neutral", "sad")
WIDTH = 8


def spoken(rule, dialogues: int = 40, length: int = 10, seed: int = 0, pairs: int = 10) -> Turns:
    """Dialogues of `pairs` pairs of people; `rule(emotions before, generator)` gives the emotion of the next turn, and
    each embedding is a noisy sign of its turn's emotion."""
    rng = np.random.default_rng(seed)
    signs = rng.standard_normal((len(EMOTIONS), WIDTH))
    emotions, speakers, names = [], [], []
    for dialogue in range(dialogues):
        said: list[int] = []
        for turn in range(length):
            said.append(rule(said, rng))
            speakers.append(f"p{dialogue % pairs}-{turn % 2}")
            names.append(f"d{dialogue:03}")
        emotions += said
    vectors = signs[emotions] + 0.2 * rng.standard_normal((len(emotions), WIDTH))
    return Turns(vectors.astype(np.float32), tuple(EMOTIONS[e] for e in emotions), tuple(speakers), tuple(names))


def three_turns_ago(said, rng):
    return (said[-3] + 1) % 4 if len(said) >= 3 else int(rng.integers(4))


def any_emotion(said, rng):
    return int(rng.integers(4))


def test_a_rule_over_several_turns_is_found_on_other_people():
    found = next_turns(spoken(three_turns_ago))
    assert found["model"]["uar"] > 0.6, "chance is 0.25, and 2 of 9 turns are drawn freely"
    assert found["repeated"]["uar"] < 0.4
    assert found["n_turns"] == 40 * 9
    assert found["n_folds"] == 5
    assert found["model"]["n_speakers"] == 20
    low, high = found["model"]["uar_ci95"]
    assert low < found["model"]["uar"] < high


def test_where_there_is_no_rule_nothing_is_found():
    found = next_turns(spoken(any_emotion, dialogues=20))
    assert 0.1 < found["model"]["uar"] < 0.4


def test_the_emotion_that_stays_is_the_answer_beside_the_model():
    found = next_turns(spoken(lambda said, rng: said[-1] if said else int(rng.integers(4)), dialogues=2))
    assert found["repeated"]["uar"] == 1


def test_the_same_seed_gives_the_same_figures():
    turns = spoken(any_emotion, dialogues=2, length=4)
    assert next_turns(turns, seed=3) == next_turns(turns, seed=3)


def test_people_who_talk_with_each_other_are_on_one_side():
    turns = spoken(any_emotion, dialogues=6, length=4, pairs=3)
    groups = dict(zip(turns.speakers, turns.groups(), strict=True))
    assert len(set(groups.values())) == 3
    assert all(groups[f"p{k}-0"] == groups[f"p{k}-1"] for k in range(3))
    with pytest.raises(InputError, match="nobody is left"):
        next_turns(spoken(any_emotion, dialogues=4, length=4, pairs=1))


def test_the_turns_before_are_those_of_the_same_dialogue():
    turns = spoken(any_emotion, dialogues=2, length=9)
    spans = turns.predicted(6)
    assert spans[:3] == [(0, 1), (0, 2), (0, 3)]
    assert (2, 8) in spans
    assert (9, 10) in spans
    assert not any(end == 9 for _, end in spans), "nothing comes before the first turn"


def written(folder: Path, turns: Turns, rows=None) -> tuple[Path, Path]:
    """The file of embeddings in a shuffled order, and the list, as users have them."""
    count = len(turns.emotions)
    paths = [str(folder / "sounds" / f"{k}.wav") for k in range(count)]
    order = np.random.default_rng(1).permutation(count)
    np.savez(
        folder / "turns.npz",
        embeddings=turns.vectors[order],
        path=np.array(paths)[order],
        corpus=np.array(["own"] * count),
        speaker=np.array(turns.speakers)[order],
        emotion=np.array(turns.emotions)[order],
    )
    if rows is None:
        first = {name: k for k, name in reversed(list(enumerate(turns.dialogues)))}
        rows = [(f"sounds/{k}.wav", turns.dialogues[k], str(k - first[turns.dialogues[k]])) for k in range(count)]
    with (folder / "turns.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "dialogue", "turn"), *rows])
    return folder / "turns.npz", folder / "turns.csv"


def test_the_command_reads_what_was_written(tmp_path, capsys):
    turns = spoken(three_turns_ago, dialogues=4, length=5)
    embeddings, listed = written(tmp_path, turns)
    read = read_turns(embeddings, listed, [])
    assert read.emotions == turns.emotions
    assert read.dialogues == turns.dialogues
    assert np.array_equal(read.vectors, turns.vectors)
    assert main([str(embeddings), "--list", str(listed), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["n_dialogues"], result["n_turns"], result["unused_rows"]) == (4, 16, 0)
    same = [turns.emotions[k] == turns.emotions[k - 1] for k in range(20) if k % 5]
    assert result["repeated"]["wa"] == pytest.approx(np.mean(same))
    assert main([str(embeddings), "--list", str(listed)]) == 0
    assert "16 turns of 4 dialogues" in capsys.readouterr().out


def test_rows_that_cannot_be_used_are_named_and_counted(tmp_path, capsys, caplog):
    turns = spoken(any_emotion, dialogues=4, length=5, pairs=4)
    rows = [(f"sounds/{k}.wav", turns.dialogues[k], str(k % 5)) for k in range(20)]
    rows += [("sounds/0.wav", "d000", "0"), ("sounds/99.wav", "d000", "7"), ("sounds/1.wav", "d000", "last")]
    rows += [("sounds/1.wav", "", "3"), ("sounds/1.wav", "d001", "9")]
    embeddings, listed = written(tmp_path, turns, rows)
    assert main([str(embeddings), "--list", str(listed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unused_rows"] == 5
    for named in (
        "line 22: turn 0",
        "line 23",
        "line 24: turn is 'last'",
        "line 25: has no dialogue",
        "line 26",
        "line 3 already",
    ):
        assert named in caplog.text


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([("sounds/0.wav", "a", "0")], "no dialogue has two turns"),
        ([("elsewhere.wav", "a", "0"), ("elsewhere.wav", "a", "1")], "elsewhere.wav"),
    ],
)
def test_a_list_without_dialogues_is_refused(tmp_path, capsys, rows, named):
    embeddings, listed = written(tmp_path, spoken(any_emotion, dialogues=2, length=3), rows)
    assert main([str(embeddings), "--list", str(listed)]) == 2
    assert named in capsys.readouterr().err


def test_files_that_are_none_are_refused(tmp_path, capsys):
    embeddings, listed = written(tmp_path, spoken(any_emotion, dialogues=2, length=3))
    for given in ([str(tmp_path / "no.npz"), "--list", str(listed)], [str(embeddings), "--list", str(tmp_path / "no")]):
        assert main(given) == 2
        assert "no" in capsys.readouterr().err
    np.savez(tmp_path / "other.npz", embeddings=np.zeros((2, 3)))
    assert main([str(tmp_path / "other.npz"), "--list", str(listed)]) == 2
    assert "lacks path, corpus, speaker, emotion" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": np.zeros((6, 0), np.float32)},
        {"embeddings": np.zeros((6, 3), np.float64)},
        {"embeddings": np.zeros(6, np.float32)},
        {"embeddings": np.full((6, 3), np.nan, np.float32)},
        {"emotion": np.arange(6)},
        {"speaker": np.array(["a"] * 5)},
    ],
)
def test_arrays_that_edge_embed_does_not_write_are_refused(tmp_path, change):
    embeddings, listed = written(tmp_path, spoken(any_emotion, dialogues=2, length=3, pairs=1))
    arrays = dict(np.load(embeddings))
    assert len(arrays["path"]) == 6
    np.savez(embeddings, **arrays | change)
    with pytest.raises(InputError, match=r"turns\.npz: .*write it again by python -m edge\.embed"):
        read_turns(embeddings, listed, [])


def test_embeddings_are_not_limited_as_files_of_a_bundle_are(tmp_path):
    embeddings, listed = written(tmp_path, spoken(any_emotion, dialogues=2, length=3, pairs=1))
    wide = np.ones((6, 2**20), np.float32)
    np.savez(embeddings, **dict(np.load(embeddings)) | {"embeddings": wide})
    assert read_turns(embeddings, listed, []).vectors.shape == wide.shape
