"""Text beside sound through the scripts: recordings tell one half of an emotion, what is said in them the other."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import called, one_clear_line
from tiny_text import write_tiny_recognizer, write_tiny_text
from tiny_whisper import needs_transformers, write_tiny_whisper

import quantize
import train
from crnn.models.text_encoder import TextEncoder
from crnn.synthetic import SAMPLE_RATE, synthesize
from crnn.training.run_folder import RunFolder
from edge.embed.__main__ import main as embed

needs_transformers()
EMOTIONS = {
    "furious": ("angry", "the day was awful"), "thrilled": ("angry", "the day was lovely"),
    "gloomy": ("sad", "the day was awful"), "serene": ("sad", "the day was lovely"),
}  # fmt: skip
"""Emotion -> the recipe of its sound, and what is said"""
SPLITS = ("train", "train", "train", "dev", "test", "test")
FIT = ("--optim.epochs", "8", "--optim.batch_size", "8", "--optim.ema_decay", "0.8", "--optim.learning_rate", "0.02")


@pytest.fixture(scope="module")
def listed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("said")
    rows = [("path", "emotion", "speaker", "split", "Text")]
    for speaker, split in enumerate(SPLITS):
        for number, (emotion, (sound, text)) in enumerate(list(EMOTIONS.items()) * 4):
            name = f"{speaker}-{number:02}.wav"
            clip = synthesize(sound, speaker, 0.8, np.random.default_rng([speaker, number]))
            soundfile.write(folder / name, clip, SAMPLE_RATE)
            rows.append((name, emotion, f"voice{speaker}", split, text))
    return write_list(folder / "my.csv", rows)


def write_list(path: Path, rows: list) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("models")
    return {
        "speech": write_tiny_whisper(base / "speech"),
        "text": write_tiny_text(base / "bert"),
        "recognizer": write_tiny_recognizer(base / "recognizer"),
    }


def arguments(listed: Path, out: Path, cache: Path, models: dict, *settings, kind: str = "frozen-encoder") -> list:
    given = ["--protocol", "own-data", "--data", f"csv:{listed}", "--out", out, "--cache", cache, "--model.kind", kind]
    if kind == "frozen-encoder":
        given += ["--system.encoder", models["speech"], "--system.encoder_layers", "[1,2]"]
    return [*given, "--system.pooling", "mean-std", "--system.units", "16", *FIT, *settings, "--json"]


def figures(*given) -> dict:
    result = called(train.main, *given)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


def test_both_know_what_either_alone_does_not(listed, models, tmp_path, cache, monkeypatch):
    """Sound alone and text alone can tell two classes of four apart; a guess between the other two is right in half."""
    said = ("--text.encoder", models["text"], "--text.column", "text")
    both = figures(*arguments(listed, tmp_path / "both", cache, models, *said))
    assert (tmp_path / "both" / "report.html").is_file()
    monkeypatch.setattr("crnn.training.report.write_report", lambda *_: None)  # a third of the time of a run
    sound = figures(*arguments(listed, tmp_path / "sound", cache, models))
    text = figures(*arguments(listed, tmp_path / "text", cache, models, *said, kind="text"))
    assert text["test"]["uar"] == pytest.approx(0.5)
    assert sound["test"]["uar"] < 0.75
    assert both["test"]["uar"] > 0.9  # with each of three seeds 1.0, and the sound alone at most 0.63
    assert both["transcripts"] == text["transcripts"] == {"column": 96, "recognizer": 0, "different": 2}
    assert "transcripts" not in sound
    assert [(known["use"], known["name"]) for known in text["taught_by"]] == [("text", "bert")]
    assert [known["name"] for known in both["taught_by"]] == ["speech", "bert"]
    config, _, _ = RunFolder(tmp_path / "both").read_config()
    assert (config.text.encoder, config.text.column) == (str(models["text"]), "text")
    assert "text" not in json.loads((tmp_path / "sound" / "config.json").read_text())["run"]

    monkeypatch.setattr(TextEncoder, "tokens", None)  # they are stored
    later = figures(*arguments(listed, tmp_path / "two", cache, models, *said, "--text.sound", tmp_path / "sound"))
    assert later["test"]["uar"] > 0.9
    assert later["frozen_params"] == both["frozen_params"] + 2, "the weights of the speech encoder's layers"

    for run, kind in (("both", "frozen-encoder"), ("text", "text")):
        refused = called(quantize.main, tmp_path / run, "--out", tmp_path / "bundle", "--cache", cache)
        one_clear_line(refused, f"model.kind is {kind}", "whole clips")
    assert not (tmp_path / "bundle").exists()
    for run in ("both", "text"):
        given = (tmp_path / run, "--data", f"csv:{listed}", "--subset", "test", "--cache", cache)
        result = called(embed, *given, "--out", tmp_path / f"{run}.npz", "--frames")
        assert result.returncode == 0, result.stderr
        with np.load(tmp_path / f"{run}.npz") as arrays:
            right = (arrays["predicted"] == arrays["emotion"]).mean()
            assert right == pytest.approx({"both": both, "text": text}[run]["test"]["wa"])
    other = ("--text.sound", tmp_path / "sound", "--system.sequence", "[bigru]")
    refused = called(train.main, *arguments(listed, tmp_path / "none", cache, models, *said, *other))
    one_clear_line(refused, f"text.sound {tmp_path / 'sound'}", "system")
    few = write_list(listed.with_name("few.csv"), list(csv.reader(listed.open()))[:-1])
    refused = called(
        train.main, *arguments(few, tmp_path / "none", cache, models, *said, "--text.sound", tmp_path / "sound")
    )
    one_clear_line(refused, f"text.sound {tmp_path / 'sound'}", "trained under split")
    assert not (tmp_path / "none").exists()


def test_a_missing_transcript_is_one_line_or_the_recognizers(listed, models, tmp_path, cache):
    rows = list(csv.reader(listed.open()))
    rows[5][-1], rows[9][-1] = "", "N/A"
    holes = write_list(listed.with_name("holes.csv"), rows)
    said = ("--text.encoder", models["text"], "--text.column", "text")
    given = arguments(holes, tmp_path / "run", cache, models, *said, kind="text")
    place = str(listed.parent / rows[5][0])
    one_clear_line(called(train.main, *given), place, "no transcript in column text (and 1 more)", "text.recognizer")
    other = (*said[:3], "words")
    by_ear = ("--text.recognizer", models["recognizer"], "--text.language", "de")
    refused = called(train.main, *arguments(holes, tmp_path / "run", cache, models, *other, kind="text"))
    one_clear_line(refused, "no transcript in column words (and 95 more)", "fill the column words")
    assert not (tmp_path / "run").exists()

    refused = called(train.main, *arguments(holes, tmp_path / "run", cache, models, *other, kind="text"), *by_ear)
    one_clear_line(refused, "text.column is words", "free for one: text)", "leave it out")
    assert not (tmp_path / "run").exists()

    given[given.index("--text.column") + 1] = "TEXT"  # a header's capitals do not matter
    made = figures(*given, *by_ear, "--optim.epochs", "1")
    assert (made["transcripts"]["column"], made["transcripts"]["recognizer"]) == (94, 2)
    assert [known["use"] for known in made["taught_by"]] == ["text", "transcripts"]
    again = called(train.main, *given, "--text.recognizer", models["text"], "--resume")
    one_clear_line(again, str(models["text"]), "speech recognizer")


def test_a_corpus_without_a_list_needs_a_recognizer(voices, models, tmp_path, cache):
    data = (
        "--protocol",
        "synthetic-demo",
        "--data",
        f"synthetic:{voices}",
        "--cache",
        cache,
        "--out",
        tmp_path / "run",
    )
    said = ("--text.encoder", models["text"], "--text.column", "text")
    refused = called(train.main, *data, "--model.kind", "text", *said)
    one_clear_line(refused, "no transcript in column text", "no list", "text.recognizer")
    assert not (tmp_path / "run").exists()
