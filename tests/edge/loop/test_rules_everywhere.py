"""Rules through the command: what they add to lines, log and table, and that they change nothing else."""

import csv
import json
import sys

import numpy as np
import pytest
import soundfile
from helpers import called

import stream_infer
from crnn.errors import InputError
from edge import open_model
from edge.bundle import PRETRAINED
from edge.loop.rules import Rule
from edge.sinks import csv_table as table
from edge.stream.decision import DecisionConfig

RATE = 16000
VOICE = soundfile.read(PRETRAINED.parent / "synthetic_voice.flac", dtype="float32")[0][: 6 * RATE]


def sure_model(*_, **__):
    """The model that ships, made to answer a generated voice, of which it is uncertain."""
    model = open_model(vad="energy")
    stream = model._recognizer  # whose settings every stream of the model takes over
    stream.decision = DecisionConfig(stream.decision.temperature, 0.0)
    return model


@pytest.fixture(scope="module")
def model():
    return sure_model()


@pytest.fixture
def clip(tmp_path):
    """Two utterances."""
    quiet = 1e-4 * np.random.default_rng(0).standard_normal(2 * RATE)
    soundfile.write(tmp_path / "twice.wav", np.concatenate([VOICE, quiet, VOICE, quiet]), RATE)
    return tmp_path / "twice.wav"


def test_rules_add_events_and_change_nothing_else(model, clip, tmp_path, monkeypatch, capfd):
    """A recording knows of no other; on standard input the limits outlive the program."""
    monkeypatch.setattr(stream_infer, "open_model", sure_model)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"rules": [{"name": "any", "emotions": model.labels, "once_per_minutes": 30}]}))
    log = tmp_path / "log.jsonl"

    def lines(*arguments) -> list[dict]:
        capfd.readouterr()
        assert called(stream_infer.main, *arguments, "--json").returncode == 0
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    plain = lines(clip)
    for _ in range(2):
        with_rules = lines(clip, "--rules", rules, "--log", log)
        assert [line for line in with_rules if line["type"] != "rule"] == plain
        first = next(number for number, line in enumerate(plain) if line.get("emotion"))
        (at,) = [number for number, line in enumerate(with_rules) if line["type"] == "rule"]
        assert at == first + 1, "behind the segment that completed its row"
        assert with_rules[at]["rule"] == "any"
        assert with_rules[at]["emotion"] == plain[first]["emotion"]
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["type"] for line in logged] == 2 * [line["type"] for line in with_rules]
    assert not (tmp_path / "state").exists()
    for expected in (1, 0):
        with clip.open("rb") as file:
            monkeypatch.setattr(sys, "stdin", file)
            assert [line["type"] for line in lines("-", "--rules", rules)].count("rule") == expected
    assert list(json.loads((tmp_path / "state" / "ser" / "rules.json").read_text())) == ["any"]


def test_a_table_has_a_column_of_rules_that_begin_anew_with_each_recording(model, clip, tmp_path):
    rules = [Rule("any", model.labels), Rule("two", model.labels, hold_segments=2, once_per_minutes=60)]
    again = clip.with_name("again.wav")
    again.write_bytes(clip.read_bytes())
    found, path = {}, tmp_path / "rules.csv"
    for given, name in (((), "plain.csv"), (rules, "rules.csv")):
        table.write(tmp_path / name, model, [str(clip), str(again)], (), print, given)
        with (tmp_path / name).open(newline="") as file:
            found[name] = list(csv.DictReader(file))
    fired = {}
    for row, plain in zip(found["rules.csv"], found["plain.csv"], strict=True):
        answered = fired.setdefault(row["file"], [])
        answered += [row["segment"]] if row["emotion"] else []
        second = len(answered) == 2 and row["emotion"]
        expected = [name for name, fires in (("any", row["emotion"]), ("two", second)) if fires]
        assert row.pop("rules") == "; ".join(expected)
        assert row.pop("model") != plain.pop("model")
        assert row == plain
    assert all(len(answered) >= 2 for answered in fired.values()) and len(fired) == 2
    with pytest.raises(InputError, match="another model, VAD, runtime, profile or rules"):
        table.write(path, model, [str(clip)], (), print, rules[:1])
