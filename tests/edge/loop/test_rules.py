"""Files of rules: what is read, and what is refused by name."""

import json
import sys
from datetime import time
from pathlib import Path

import pytest
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn.errors import InputError
from edge.loop.rules import LONGEST_NAME, MOST_RULES, Rule, read_rules

LABELS = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
PLAIN = {"name": "shouting", "emotions": ["angry"]}


def written(folder: Path, *rules: dict, name: str = "rules.json", **more) -> Path:
    path = folder / name
    path.write_text(json.dumps({"rules": rules} | more))
    return path


@pytest.mark.parametrize("name", ["rules.json", "rules.yaml", "rules"])
def test_json_and_yaml_give_the_same_rules(tmp_path, name):
    whole = PLAIN | {
        "hold_seconds": 10, "pause_seconds": 5, "confidence": {"angry": 0.5}, "once_per_minutes": 30,
        "most_per_hour": 2, "quiet_hours": "22:00-07:00",
    }  # fmt: skip
    assert read_rules(written(tmp_path, PLAIN | {"name": "a"}, whole, name=name), LABELS) == (
        Rule("a", ("angry",)),
        Rule("shouting", ("angry",), 10.0, None, 5.0, {"angry": 0.5}, 30.0, 2, "22:00-07:00"),
    )


def test_the_file_that_is_there_to_be_copied_is_read_and_shown():
    path = ROOT / "deploy" / "rules.yaml"
    rules = read_rules(path, LABELS)
    assert [rule.name for rule in rules] == ["shouting", "low mood"]
    assert rules[1].quiet_at(time(23)) and not rules[1].quiet_at(time(12))
    assert f"```yaml\n{path.read_text()}```" in (ROOT / "docs" / "home.md").read_text()


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"emotoin": "angry"}, ["rule 1.emotoin", "emotions"]),
        ({"emotions": "angry"}, ["rule 1.emotions", "list"]),
        ({"emotions": []}, ["'shouting'", "emotions"]),
        ({"emotions": ["furious"]}, ["'shouting'", "'furious'", "fearful"]),
        ({"name": 3}, ["rule 1.name", "3"]),
        ({"name": ""}, ["''"]),
        ({"name": "x" * (LONGEST_NAME + 1)}, [str(LONGEST_NAME)]),
        ({"name": "a; b"}, ["'a; b'", "semicolon"]),
        ({"name": "a\u202eb"}, ["name"]),
        ({"hold_seconds": 0}, ["hold_seconds", "0"]),
        ({"hold_seconds": "10"}, ["hold_seconds", "'10'"]),
        ({"hold_segments": 0}, ["hold_segments", "0"]),
        ({"hold_segments": 1.5}, ["hold_segments", "1.5"]),
        ({"hold_seconds": 1, "hold_segments": 1}, ["hold_seconds", "hold_segments"]),
        ({"pause_seconds": -1}, ["pause_seconds", "-1"]),
        ({"confidence": {"sad": 0.5}}, ["'sad'"]),
        ({"confidence": {"angry": 70}}, ["angry", "70"]),
        ({"confidence": {"angry": True}}, ["angry", "True"]),
        ({"once_per_minutes": -1}, ["once_per_minutes", "-1"]),
        ({"most_per_hour": 0}, ["most_per_hour", "0"]),
        ({"quiet_hours": "22-7"}, ["quiet_hours", "'22-7'", "HH:MM-HH:MM"]),
        ({"quiet_hours": "24:00-07:00"}, ["24:00-07:00"]),
        ({"quiet_hours": "07:00-07:00"}, ["07:00-07:00"]),
    ],
)
def test_what_a_rule_cannot_say_is_named(tmp_path, changes, parts):
    path = written(tmp_path, PLAIN | changes)
    with pytest.raises(InputError) as error:
        read_rules(path, LABELS)
    for part in (str(path), *parts):
        assert part in str(error.value)
    assert str(error.value).count(str(path)) == 1


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{}", "rules"),
        ('{"rules": []}', "0 rules"),
        ('{"rules": {}}', "rules"),
        ('{"rules": [3]}', "rules"),
        ('{"rules": [], "rule": []}', "rule"),
        (json.dumps({"rules": [PLAIN, PLAIN]}), "'shouting' occurs twice"),
        (json.dumps({"rules": [PLAIN | {"name": str(n)} for n in range(MOST_RULES + 1)]}), str(MOST_RULES)),
        ("rules: &a [*a]", "line 1.*anchors"),
        ("rules: [{name: a, name: b}]", "name"),
    ],
)
def test_what_is_no_file_of_rules_is_named(tmp_path, content, part):
    path = tmp_path / "rules.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=part) as error:
        read_rules(path, LABELS)
    assert str(path) in str(error.value)


def test_without_pyyaml_json_is_read_and_yaml_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "crnn.files.settings_file", raising=False)
    assert len(read_rules(written(tmp_path, PLAIN), LABELS)) == 1
    with pytest.raises(InputError, match=r"rules\.yaml.*\[rules\]"):
        read_rules(written(tmp_path, PLAIN, name="rules.yaml"), LABELS)


times = st.times().map(lambda t: t.replace(second=0, microsecond=0))


@settings(deadline=None)
@given(times, times, times)
def test_quiet_hours_and_the_hours_between_them_share_the_day(begin, end, now):
    if begin == end:
        return
    hours = f"{begin:%H:%M}-{end:%H:%M}", f"{end:%H:%M}-{begin:%H:%M}"
    quiet, other = (Rule("a", ("angry",), quiet_hours=span).quiet_at(now) for span in hours)
    assert quiet != other
    assert Rule("a", ("angry",), quiet_hours=hours[0]).quiet_at(begin)
    assert not Rule("a", ("angry",), quiet_hours=hours[0]).quiet_at(end)
