"""Several profiles in the loop: the segment is answered with the one whose voice fits, or as without a profile."""

import csv
import json

import numpy as np
import pytest
import soundfile
from helpers import called, one_clear_line

import edge
import stream_infer
from crnn.synthetic import synthesize
from edge.bundle import PRETRAINED, Bundle
from edge.enroll.__main__ import main as enroll
from edge.stream.people import UNKNOWN

FLOAT32 = PRETRAINED.parent / "float32"
LABELS = tuple(Bundle.open(FLOAT32).manifest.labels)
SPEAKERS = {"anna": 2, "ben": 3}
"""Two SYNTHETIC voices that differ"""


def clip(path, emotion: str, speaker: int, take: int):
    seed = [speaker, take, LABELS.index(emotion)]
    soundfile.write(path, synthesize(emotion, speaker, 1.6, np.random.default_rng(seed)), 16000)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """anna.json and ben.json, and old.json from neutral sentences alone."""
    folder = tmp_path_factory.mktemp("home")
    for name, speaker in SPEAKERS.items():
        files = [
            f"{emotion}="
            + ",".join(str(clip(folder / f"{name}-{emotion}-{k}.wav", emotion, speaker, k)) for k in (0, 1))
            for emotion in LABELS
        ]
        made = called(enroll, FLOAT32, "--vad", "energy", "--json", "--out", folder / f"{name}.json", "--files", *files)
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout)["voice"]
    neutral = f"neutral={folder / 'anna-neutral-0.wav'}"
    made = called(enroll, FLOAT32, "--vad", "energy", "--json", "--out", folder / "old.json", "--files", neutral)
    assert made.returncode == 0 and not json.loads(made.stdout)["voice"]
    return folder


def opened(*profiles):
    return edge.open_model(FLOAT32, vad="energy", profile=list(profiles))


def test_each_answer_is_that_of_the_chosen_profile_or_of_none(home):
    both = opened(home / "anna.json", home / "ben.json")
    alone = {UNKNOWN: opened(), **{name: opened(home / f"{name}.json") for name in SPEAKERS}}
    answers = []
    for name, speaker in SPEAKERS.items():
        for emotion in LABELS:
            path = clip(home / "said.wav", emotion, speaker, 2)
            found = both.recognize(path)
            persons = {segment.person for segment in found.segments}
            answers += [(name, segment.person) for segment in found.segments]
            assert persons <= {*SPEAKERS, UNKNOWN}
            if len(found.segments) == 1 and found.probs:
                expected = alone[found.segments[0].person].recognize(path)
                for label in LABELS:
                    assert found.segments[0].probs[label] == pytest.approx(expected.segments[0].probs[label], abs=1e-5)
                    assert found.probs[label] == pytest.approx(expected.probs[label], abs=1e-5)
    assert sum(person == name for name, person in answers) > len(answers) / 3
    assert sum(person not in (name, UNKNOWN) for name, person in answers) <= 1
    assert all(segment.person is None for segment in alone["anna"].recognize(path).segments)


def test_the_name_stands_in_json_and_in_the_table(home, capfd):
    said = clip(home / "said.wav", "neutral", SPEAKERS["ben"], 0)
    given = ("--vad", "energy", "--profile", home / "anna.json", "--profile", home / "ben.json")
    made = called(stream_infer.main, FLOAT32, said, "--json", *given)
    assert made.returncode == 0, made.stderr
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    persons = [event["person"] for event in events if event["type"] == "segment"]
    assert set(persons) == {"ben"}, "an enrolled sentence"
    table = home / "table.csv"
    assert called(stream_infer.main, FLOAT32, said, "--csv", table, *given).returncode == 0
    with table.open(encoding="utf-8", newline="") as file:
        assert [row["person"] for row in csv.DictReader(file)] == persons
    one_clear_line(called(stream_infer.main, FLOAT32, said, "--csv", table, *given[:4]), "table.csv", "another")


def test_a_profile_without_a_voice_works_alone_and_is_refused_among_several(home):
    assert opened(home / "old.json").people is None
    said = home / "anna-neutral-0.wav"
    among = called(stream_infer.main, FLOAT32, said, "--profile", home / "anna.json", "--profile", home / "old.json")
    one_clear_line(among, "old: ", "holds no voice", "alone")
