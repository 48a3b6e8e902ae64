"""The command: generated voices and a shipped bundle."""

import json

import numpy as np
import pytest
import soundfile
from helpers import called, one_clear_line
from test_imports import run_without

from crnn.errors import InputError
from crnn.synthetic import write_corpus
from edge.battery.__main__ import main
from edge.battery.one_corpus import chosen, speakers_pitch
from edge.bundle import PRETRAINED, Bundle
from edge.evaluate.playback import by_corpus, unseen_clips

N = 6
"""Clips that are played: one of each emotion"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """SYNTHETIC voices, a woman's and a man's, noises with a cough among them, a room."""
    folder = tmp_path_factory.mktemp("battery")
    write_corpus(folder / "voices", speakers=2, takes=1, seconds=0.5)
    rng = np.random.default_rng(0)
    for name in ("noise/rain", "noise/cough", "rooms/room", "music"):
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.standard_normal(4000), 16000)
    return folder


def options(folder) -> list[str]:
    places = [f"--{name}={folder / place}" for name, place in (("noise", "noise"), ("rooms", "rooms"))]
    return ["--data", f"synthetic:{folder / 'voices'}", f"--cache={folder / 'cache'}", *places]


@pytest.fixture(scope="module")
def made(folder) -> dict:
    """Where torch cannot be imported."""
    arguments = [str(PRETRAINED), *options(folder), "--quick", str(N), "--json"]
    code = f"from edge.battery.__main__ import main; sys.exit(main({arguments!r}))"
    result = run_without(("torch", "lightning", "torchmetrics"), code)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "synthetic, 2 of " in result.stderr, "it says how far it is"
    return json.loads(result.stdout)


def test_every_kind_of_row_is_there_and_the_counts_agree(made):
    assert made["corpora"] == {"synthetic": {"clips": N, "speakers": 2}}
    rows = {row["test"]: row for row in made["rows"]}
    assert {row["group"] for row in made["rows"]} == {"correctness", "fairness", "robustness"}
    labels = Bundle.open(PRETRAINED).manifest.labels
    assert {f"recall, {label}" for label in labels} <= set(rows)
    assert {"sex female: UAR", "sex male: UAR", "room: unchanged", "babble 20 dB: UAR lost"} <= set(rows)
    assert "music" in rows["music 20 dB: unchanged"]["reason"]
    assert rows["cough or sneeze 10 dB: unchanged"]["value"] is not None
    judged = [row for row in made["rows"] if row["passed"] is not None]
    assert made["n_rows"] == len(judged)
    assert made["n_passed"] == sum(row["passed"] for row in judged)
    assert made["share_random"] == pytest.approx(np.mean([row["random"] for row in judged]))
    for row in judged:
        assert row["passed"] == (
            (row["value"] <= row["threshold"]) if row["at_most"] else row["value"] >= row["threshold"]
        )
    assert rows["gain 1 to 2 dB: unchanged"]["random"] == 0, "a random model's answers change with the clip"


def test_the_seed_decides_and_the_table_has_the_same_figures(made, folder):
    result = called(main, PRETRAINED, *options(folder), "--quick", N, "--music", folder / "music.wav")
    assert result.returncode == 0, result.stderr[-2000:]
    again = [row for row in made["rows"] if row["group"] == "robustness" and row["value"] is not None]
    for row in again:
        (line,) = [line for line in result.stdout.splitlines() if f"robustness: {row['test']}  " in line]
        assert f"{row['value']:.3f}" in line
        assert ("passed" if row["passed"] else "failed") in line
    (line,) = [line for line in result.stdout.splitlines() if "music 20 dB: unchanged" in line]
    assert "skipped" not in line


def test_few_clips_are_of_every_emotion_and_speaker(folder):
    manifest = Bundle.open(PRETRAINED).manifest
    clips = unseen_clips(manifest, None, 0, {"synthetic": str(folder / "voices")}, folder / "cache")
    few = chosen(clips, 12, 0)
    assert {u.emotion for u in few.utterances} == set(manifest.labels)
    for emotion in manifest.labels:
        assert len({u.speaker for u in few.utterances if u.emotion == emotion}) == 2
    assert few == chosen(clips, 12, 0)
    assert few != chosen(clips, 12, 1)
    assert chosen(clips, 1000, 0) == clips
    assert list(by_corpus(clips)) == ["synthetic"]
    assert speakers_pitch(clips, 16000) == {"synthetic:01": "low", "synthetic:02": "high"}


def test_speakers_of_the_training_are_refused_unless_they_are_allowed(folder):
    data, manifest = {"synthetic": str(folder / "voices")}, Bundle.open(PRETRAINED).manifest
    manifest.provenance["corpora_heard"] = ["emodb", "synthetic"]
    with pytest.raises(InputError, match="trained on speakers of it"):
        unseen_clips(manifest, None, 0, data, folder / "cache")
    allowed = unseen_clips(manifest, None, 0, data, folder / "cache", trained_too=True)
    assert len({u.speaker for u in allowed.utterances}) == 2
    assert len(allowed.utterances) == 24


def test_bad_input_gives_one_line(folder, tmp_path):
    given = options(folder)
    cases = [
        ((PRETRAINED,), "--data"),
        ((tmp_path, *given), "not a bundle"),
        ((PRETRAINED, *given, "--quick", "0"), "--quick 0"),
        ((PRETRAINED, *given, "--seed", "-1"), "--seed -1"),
        ((PRETRAINED, *given, "--music", tmp_path / "nowhere"), "nowhere"),
        ((PRETRAINED, *given, "--rooms", tmp_path), "no recording"),
        ((PRETRAINED, *given, "--runtime", "none"), "none"),
        ((PRETRAINED, "--data", f"emodb:{folder}"), "trained on speakers of it"),
        ((PRETRAINED, "--data", f"synthetic:{tmp_path / 'nowhere'}"), "no such folder"),
    ]
    for arguments, part in cases:
        one_clear_line(called(main, *arguments), part)
