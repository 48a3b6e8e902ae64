"""Own recordings through the scripts, from a list to a stream."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from helpers import SMALL, called, one_clear_line, own_voices, script

import quantize
import train


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    return own_voices(tmp_path_factory.mktemp("own") / "mine")


def arguments(data: str, out: Path, cache: Path, protocol: str = "own-data") -> list:
    given = ("--protocol", protocol, "--data", data, "--out", out, "--cache", cache, "--optim.epochs", "2")
    return [*SMALL, "--model.arousal", "false", *given]


def test_from_a_list_to_a_stream(own, tmp_path, cache):
    """train.py, interrupted and resumed settings, quantize.py and stream_infer.py, with words that are not ours."""
    words = {"angry": "Zornig", "calm": "very calm", "sad": "traurig müde"}
    rows = [(p.relative_to(own.parent), words[p.parent.name], p.stem.split("_")[0]) for p in sorted(own.rglob("*.wav"))]
    with (own.parent / "my.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "emotion", "speaker"), *rows])
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    refused = called(train.main, *arguments(f"csv:{own.parent / 'my.csv'}", run, cache), "--model.arousal", "true")
    one_clear_line(refused, "model.arousal", "surprised")
    done = script("train.py", *arguments(f"csv:{own.parent / 'my.csv'}", run, cache), "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    metrics = json.loads(done.stdout)
    labels = ["traurig müde", "very calm", "zornig"]
    assert metrics["test"]["labels"] == labels
    assert metrics["corpus"] == "own"
    assert "arousal" not in metrics["test"]
    assert not metrics["speaker_dependent"]
    again = called(train.main, *arguments(f"csv:{own.parent / 'my.csv'}", run, cache), "--resume")
    assert again.returncode == 0, again.stderr[-2000:]

    moved = shutil.copytree(own.parent, tmp_path / "moved")
    made = called(
        *(quantize.main, run, "--out", bundle, "--cache", cache, "--formats", "onnx"),
        *("--max-uar-drop", "1", "--data", f"csv:{moved / 'my.csv'}"),
    )
    assert made.returncode == 0, made.stderr[-2000:]
    manifest = (bundle / "bundle.json").read_text()
    assert json.loads(manifest)["labels"] == labels
    assert json.loads(manifest)["schema"] == 4, "without arousal as before"
    assert json.loads(manifest)["provenance"]["corpora_heard"] == ["own"]
    assert "voice1" not in manifest, "nobody's name leaves with a bundle"
    recognized = script("stream_infer.py", bundle, moved / rows[0][0], "--json")
    assert recognized.returncode == 0, recognized.stderr
    (segment,) = [e for e in map(json.loads, recognized.stdout.splitlines()) if e["type"] == "segment"]
    assert set(segment["probs"]) == set(labels)
    assert "arousal" not in segment


def test_speaker_dependent_figures_say_so_everywhere(own, tmp_path, cache):
    alone = tmp_path / "alone"
    for path in own.rglob("voice1_*.wav"):
        (alone / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, alone / path.parent.name)
    for path in list(alone.rglob("*.wav")):  # a recorder that was not stopped: 12 further pieces, each another sound
        data = path.read_bytes()
        path.with_stem(path.stem + "b").write_bytes(data[:-2000] + bytes(reversed(data[-2000:])))
    refused = called(train.main, *arguments(f"folder:{alone}", tmp_path / "no", cache))
    one_clear_line(refused, "1 (voice1)", "own-data-speaker-dependent")
    run = tmp_path / "run"
    done = script("train.py", *arguments(f"folder:{alone}", run, cache, "own-data-speaker-dependent"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "SPEAKER-DEPENDENT" in done.stdout
    assert "one speaker" in done.stdout
    assert "SPEAKER-DEPENDENT" in (run / "report.html").read_text()
    bundle = tmp_path / "bundle"
    made = called(
        *(quantize.main, run, "--out", bundle, "--cache", cache, "--prune", "0", "--formats", "onnx"),
        *("--max-uar-drop", "1", "--max-flip-rate", "1", "--max-abs-diff-int8", "1", "--max-ece-rise", "1"),
    )
    assert made.returncode == 0, made.stderr[-2000:]
    assert json.loads((bundle / "bundle.json").read_text())["provenance"]["speaker_dependent"] is True


def test_the_same_audio_on_two_sides_is_refused(own, tmp_path, cache):
    folder = shutil.copytree(own, tmp_path / "mine")
    for speaker in range(2, 7):  # whoever tests, training or development gets this
        shutil.copy(folder / "angry/voice1_00.wav", folder / f"angry/voice{speaker}_99.wav")
    result = called(train.main, *arguments(f"folder:{folder}", tmp_path / "run", cache))
    one_clear_line(result, "voice1_00.wav", "same audio")
