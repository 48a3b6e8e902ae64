"""Evaluation plays clips of speakers that the bundle was not trained on, as a device would record them."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import warm_scripts
from helpers import ROOT, called, edit_json, one_clear_line

from crnn.data.corpora import Utterance
from crnn.errors import InputError
from crnn.synthetic import write_corpus, write_own
from edge.audio.speech_evidence import Voice
from edge.audio.vad import make_vad
from edge.bundle import MANIFEST, PRETRAINED, Bundle
from edge.evaluate.__main__ import as_text, doubts, main
from edge.evaluate.playback import Played, judge, play, unseen_clips
from edge.loop.utterances import UtteranceRecognizer, UtteranceSettings
from edge.stream.results import Verdict

OWN = ("--protocol", "synthetic-demo", "--fold", "0")


@pytest.fixture(scope="module")
def clips(bundle_path, voices, cache):
    """One clip in four, of every speaker and emotion."""
    manifest = Bundle.open(bundle_path).manifest
    found = unseen_clips(manifest, "synthetic-demo", 0, {"synthetic": str(voices)}, cache)
    by_emotion = sorted(found.utterances, key=lambda u: (u.emotion, u.speaker_id))
    return replace(found, utterances=tuple(by_emotion[::4]))


def loop_of(bundle_path, **changes) -> UtteranceRecognizer:
    recognizer = Bundle.open(bundle_path).recognizer("onnx")
    return UtteranceRecognizer(recognizer, make_vad("energy", 16000), UtteranceSettings(**changes))


def test_the_figures_are_those_of_the_test_speakers(bundle_path, voices, cache, small_run, tmp_path):
    options = ("--data", f"synthetic:{voices}", "--cache", cache, "--json", "--plot", tmp_path / "curve.svg")
    program = ROOT / "edge" / "evaluate" / "__main__.py"
    command = [*warm_scripts.command(), *map(str, (program, bundle_path, *OWN, *options))]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    made = json.loads(result.stdout)
    assert made["split_hash"] == json.loads((small_run / "split.json").read_text())["split_hash"]
    assert made["n_clips"] == len(json.loads((small_run / "split.json").read_text())["clips"]["test"])
    shares = [made["answered"]["share"], *made["abstained"].values()]
    assert sum(shares) == pytest.approx(1)
    assert set(made["abstained"]) == {verdict.value for verdict in Verdict}
    for mode in ("whole", "stream"):
        assert 0 <= made[mode]["uar"] <= 1
        assert made[mode]["chance"] == 1 / 8
        assert bool(made[mode]["at_chance"]) == (made[mode]["uar_ci95"][0] <= 1 / 8)
        assert (f"WARNING: {made[mode]['at_chance']}" in result.stderr) == bool(made[mode]["at_chance"])
        assert made[mode]["curve"][0] == [1.0, pytest.approx(made[mode]["wa"])]
    drawn = (tmp_path / "curve.svg").read_text()
    assert drawn.startswith("<?xml")
    assert "</svg>" in drawn
    assert [path.name for path in tmp_path.iterdir()] == ["curve.svg"], "nothing half-written is left"
    assert re.search(f"synthetic-demo fold 0.* {made['split_hash']}.* 64 clips", as_text(made))
    assert f"WF1 {made['whole']['wf1']:.1%}" in as_text(made)


def test_text_names_what_was_played(bundle_path, cache, tmp_path):
    """Without a protocol: all clips of a corpus that the bundle was not trained on."""
    write_own(tmp_path / "mine", speakers=1, seconds=1.0)
    result = called(main, bundle_path, "--data", f"folder:{tmp_path / 'mine'}", "--cache", cache)
    assert result.returncode == 0, result.stderr[-2000:]
    for part in ("own, all speakers: ", "whole clips", "streaming", "abstained", "VAD "):
        assert part in result.stdout


def test_with_a_vad_that_is_always_open_the_stream_is_the_whole_clip(bundle_path, clips, monkeypatch):
    """There is no pre-roll to fill, so an utterance is the clip."""
    loop = loop_of(bundle_path)
    monkeypatch.setattr(loop._vad, "update", lambda frames: [Voice.SURE] * len(frames))
    played = play(loop, clips)
    assert np.abs(played.whole - played.stream).max() < 1e-4
    assert (played.n_segments == 1).all()


def test_a_clip_without_a_detected_voice_counts_as_wrong(bundle_path, clips, monkeypatch):
    loop = loop_of(bundle_path)
    monkeypatch.setattr(loop._vad, "update", lambda frames: [Voice.NO] * len(frames))
    made = judge(play(loop, clips), clips.utterances, loop.recognizer.labels)
    assert made["stream"]["uar"] == made["stream"]["wa"] == 0
    assert made["abstained"]["no speech"] == 1
    assert made["answered"] == {"share": 0.0}
    assert made["whole"]["wa"] > 0
    assert made["segments_per_clip"] == 0


def test_abstentions_are_counted_by_reason(bundle_path, clips):
    loop = loop_of(bundle_path, min_voice_seconds=100.0)
    made = judge(play(loop, clips), clips.utterances, loop.recognizer.labels)
    assert made["abstained"]["too short"] == 1


def test_speakers_that_the_bundle_was_trained_on_are_refused(bundle_path, voices, cache, tmp_path):
    manifest = Bundle.open(bundle_path).manifest
    data = {"synthetic": str(voices)}
    with pytest.raises(InputError, match="--protocol synthetic-demo"):
        unseen_clips(manifest, None, 0, data, cache)
    other = tmp_path / "fewer"
    write_corpus(other, speakers=8, takes=2, seconds=0.4)
    with pytest.raises(InputError, match="split .* of synthetic"):
        unseen_clips(manifest, "synthetic-demo", 0, {"synthetic": str(other)}, cache)
    manifest.provenance.pop("corpora_heard")
    with pytest.raises(InputError, match="corpora"):
        unseen_clips(manifest, "synthetic-demo", 0, data, cache)


def test_a_corpus_that_the_bundle_was_not_trained_on_may_be_played(bundle_path, voices, cache):
    manifest = Bundle.open(bundle_path).manifest
    manifest.provenance["corpora_heard"] = ["emodb"]
    clips = unseen_clips(manifest, None, 0, {"synthetic": str(voices)}, cache)
    assert len(clips.utterances) == 128
    assert clips.split_hash is None


def test_bad_input_gives_one_line(bundle_path, voices, cache, tmp_path):
    data = ("--data", f"synthetic:{voices}", "--cache", cache)
    cases = [
        ((tmp_path, *data), "not a bundle"),
        ((bundle_path, *data), "trained on speakers"),
        ((bundle_path, "--protocol", "no-such", *data), "no-such"),
        ((bundle_path, "--protocol", "synthetic-demo", "--fold", "9", *data), "folds 0 to"),
        ((bundle_path, *OWN, "--plot", tmp_path / "curve.gif", *data), ".png or .svg"),
        ((bundle_path, *OWN, "--plot", tmp_path / "no" / "curve.png", *data), "no such folder"),
        ((bundle_path, *OWN, "--plot", "/proc/curve.png", *data), "/proc/curve.png: "),
        ((bundle_path, *OWN, "--data", f"synthetic:{tmp_path / 'nowhere'}"), "no such folder"),
        ((bundle_path, *OWN, "--data", "synthetic"), "CORPUS:FOLDER"),
        ((bundle_path,), "--data"),
    ]
    for arguments, part in cases:
        one_clear_line(called(main, *arguments), part)


def test_an_edited_fold_does_not_open_training_speakers(bundle_path, voices, cache, tmp_path):
    import shutil

    folder = shutil.copytree(bundle_path, tmp_path / "b")
    edit_json(folder / MANIFEST, lambda values: values["provenance"].update(fold=1))
    refused = called(main, folder, *OWN, "--data", f"synthetic:{voices}", "--cache", cache)
    one_clear_line(refused, "trained on speakers")


SHIPPED_ASKED = [
    ("--data", "emodb:nowhere"),
    ("--protocol", "all-six-corpora"),
    ("--protocol", "all-six-corpora", "--fold", "0", "--data", "ravdess:nowhere"),
    ("--protocol", "leave-one-corpus-out", "--fold", "1"),
    ("--protocol", "emodb-loso", "--data", "emodb:nowhere"),
]


@pytest.mark.parametrize("name", ["int8", "float32", "large"])
def test_what_is_advised_for_the_bundles_that_ship_can_be_played(name, cache, tmp_path, monkeypatch):
    """They were trained on every speaker of six corpora; their own protocol has no test speakers."""
    monkeypatch.delenv("SER_DATA", raising=False)
    shipped = PRETRAINED.with_name(name)
    for asked in SHIPPED_ASKED:
        refused = called(main, shipped, *asked)
        one_clear_line(refused, "--data CORPUS:FOLDER of savee, tess, iemocap, or your own recordings: folder:PATH")
        assert "--fold" not in refused.stderr.partition(";")[2], "no advice that fails"
    write_own(tmp_path / "mine", speakers=1, seconds=0.5)
    manifest = Bundle.open(shipped).manifest
    clips = unseen_clips(manifest, None, 0, {"own": f"folder:{tmp_path / 'mine'}"}, cache)
    assert {u.corpus for u in clips.utterances} == {"own"}
    one_clear_line(called(main, shipped, "--protocol", "savee-loso"), "--data savee:FOLDER")


def test_a_protocol_without_test_speakers_leads_to_the_bundles_own_fold(bundle_path):
    asked = ("--protocol", "all-six-corpora", "--data", "emodb:nowhere")
    one_clear_line(called(main, bundle_path, *asked), "no test speakers", "--protocol synthetic-demo --fold 0")


def test_a_model_at_chance_is_reported():
    """Random answers to two labels."""
    rng = np.random.default_rng(0)
    people = [Utterance(Path(f"{n}.wav"), "own", f"voice{n % 4}", None, "ab"[n % 2]) for n in range(80)]
    truth = np.arange(80) % 2
    guesses = rng.dirichlet([1, 1], size=80).astype(np.float32)
    made = judge(Played(truth, guesses, guesses, (None,) * 80, np.ones(80)), tuple(people), ("a", "b"))
    made |= {"corpora": ["own"], "protocol": None, "gate": "energy", "model_at_chance": "as the bundle says"}
    lines = doubts(made)
    assert lines[0] == "as the bundle says"
    assert all(re.search("chance.* 50.0%", line) for line in lines[1:])
    assert len(lines) == 3
    assert "chance       UAR 50.0%" in as_text(made)
    sure = np.eye(2, dtype=np.float32)[truth]
    right = judge(Played(truth, sure, sure, (None,) * 80, np.ones(80)), tuple(people), ("a", "b"))
    assert doubts(right | {"model_at_chance": ""}) == []
