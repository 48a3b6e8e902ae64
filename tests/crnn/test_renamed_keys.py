"""Renamed and removed settings: read in run folders, bundles, settings files and options, or refused by name."""

import dataclasses
import json
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from augment.config import AugmentConfig
from crnn.config import ModelConfig, StreamGeometry, WindowConfig, from_dict
from crnn.errors import InputError
from crnn.renamed_keys import REMOVED, RENAMED, with_new_keys, with_schema_4_keys
from crnn.run_config import RunConfig
from crnn.training.run_folder import RunFolder
from edge.bundle import MANIFEST, PRETRAINED, Bundle
from edge.bundle.manifest import STREAM
from train import parse

SECTIONS = get_type_hints(RunConfig) | {"augment": AugmentConfig, "geometry": StreamGeometry}
OF_TRAINING = {old: new for old, new in RENAMED.items() if not old.startswith("geometry.")}


def field(name: str) -> dataclasses.Field | None:
    section, key = name.split(".")
    return {item.name: item for item in dataclasses.fields(SECTIONS[section])}.get(key)


def settings() -> dict:
    """Every setting of a run."""
    run = dataclasses.asdict(RunConfig()) | {"augment": dataclasses.asdict(AugmentConfig())}
    return json.loads(json.dumps(run))


def nested(name: str, value: object) -> dict:
    section, key = name.split(".")
    return {section: {key: value}}


def value_of(values: dict, name: str) -> object:
    section, key = name.split(".")
    return values[section][key]


@pytest.mark.parametrize("old, new", RENAMED.items())
def test_a_new_name_is_a_setting_and_an_old_one_is_not(old, new):
    assert field(new) and not field(old)
    assert old.split(".")[0] == new.split(".")[0]


def test_there_and_back():
    values = {"geometry": dataclasses.asdict(Bundle.open(PRETRAINED).manifest.geometry), **settings()}
    old = with_schema_4_keys(values)
    assert all(value_of(old, name) == value_of(values, new) for name, new in RENAMED.items())
    assert with_new_keys(old) == values


def test_a_run_folder_as_the_version_before_wrote_it(tmp_path):
    """Its config.json, every setting at its default, was written by that version's own code."""
    written = Path(__file__).parent / "training" / "config_of_0.1.json"
    (tmp_path / "config.json").write_bytes(written.read_bytes())
    config, data, augment = RunFolder(tmp_path).read_config()
    assert config == RunConfig()
    assert data == {"synthetic": "/recordings"}
    assert from_dict(AugmentConfig, augment) == AugmentConfig()
    usual = dataclasses.asdict(AugmentConfig())
    RunFolder(tmp_path).check_same(RunConfig(), usual, usual)  # so it resumes, as it began
    with pytest.raises(InputError, match="augment.reverberation was False, now True"):
        RunFolder(tmp_path).check_same(RunConfig(), usual | {"reverberation": True}, usual)
    values = json.loads(written.read_text())
    old = values["run"] | {"augment": values["augment"]}
    assert all(value_of(old, name) == default for name, default in REMOVED.items())


@pytest.mark.parametrize("name", REMOVED)
def test_a_removed_setting_with_another_value_is_refused_by_name(tmp_path, name):
    written = json.loads((Path(__file__).parent / "training" / "config_of_0.1.json").read_text())
    section, key = name.split(".")
    other = "pool" if isinstance(REMOVED[name], str) else -1 if REMOVED[name] is not True else False
    (written if section == "augment" else written["run"])[section][key] = other
    (tmp_path / "config.json").write_text(json.dumps(written))
    with pytest.raises(InputError, match=rf"config\.json: {name} is {other}"):
        RunFolder(tmp_path).read_config()
    assert not field(name)


def test_subsets_of_an_older_run(tmp_path):
    figures = {"dev": {"uar": 0.5}, "probe": {"uar": 0.4}, "counts": {"probe": {"clips": 3}}}
    (tmp_path / "metrics.json").write_text(json.dumps(figures))
    read = RunFolder(tmp_path).read("metrics")
    assert read == {"dev": {"uar": 0.5}, "dev_unseen": {"uar": 0.4}, "counts": {"dev_unseen": {"clips": 3}}}


def test_a_removed_setting_in_a_settings_file(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("model:\n  stem: stride\naugment:\n  reverb: false\n")
    assert parse(["--config", str(path)])[1].model == RunConfig().model
    path.write_text("augment:\n  reverb: true\n")
    with pytest.raises(InputError, match=r"settings\.yaml: augment\.reverb is True"):
        parse([f"--config={path}"])


def test_a_run_folder_under_old_names(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_config(RunConfig(), {}, dataclasses.asdict(AugmentConfig()))
    expected = folder.read_config()
    old = with_schema_4_keys(settings())
    augment = old.pop("augment")
    folder.write("config", {"schema": 2, "run": old, "data": {}, "augment": augment})
    assert folder.read_config() == expected
    usual = dataclasses.asdict(AugmentConfig())
    folder.check_same(RunConfig(), usual, usual)


@pytest.mark.parametrize("form", ["a file", "words", "equations", "sections", "equal sections", "files of sections"])
def test_options_and_settings_files(tmp_path, form):
    """Every old name at once: a parser that reads all settings takes a while to build."""
    values = {old: value_of(settings(), new) for old, new in OF_TRAINING.items()}
    sections: dict[str, dict] = {}
    for name, value in values.items():
        section, key = name.split(".")
        sections.setdefault(section, {})[key] = value
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(sections))
    for section, given in sections.items():
        (tmp_path / f"{section}.yaml").write_text(yaml.safe_dump(given))
    argv = {
        "a file": [["--config", str(path)]],
        "words": [[f"--{name}", json.dumps(value)] for name, value in values.items()],
        "equations": [[f"--{name}={json.dumps(value)}"] for name, value in values.items()],
        "sections": [[f"--{section}", json.dumps(given)] for section, given in sections.items()],
        "equal sections": [[f"--{section}={json.dumps(given)}"] for section, given in sections.items()],
        "files of sections": [[f"--{section}", str(tmp_path / f"{section}.yaml")] for section in sections],
    }[form]
    _, config, augment, _ = parse([word for words in argv for word in words])
    made = json.loads(json.dumps(dataclasses.asdict(config) | {"augment": dataclasses.asdict(augment)}))
    assert {old: value_of(made, new) for old, new in OF_TRAINING.items()} == values


def test_another_value_than_the_default_arrives(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("window:\n  hop_seconds: 0.5\n")
    assert parse(["--config", str(path)])[1].window.interval_seconds == 0.5
    assert parse(["--window.hop_seconds", "0.5"])[1].window.interval_seconds == 0.5
    assert parse(["--window", '{"hop_seconds": 0.5, "window_seconds": 2}'])[1].window == WindowConfig(2.0, 0.5)
    assert parse(["--window=hop_seconds: 0.5"])[1].window.interval_seconds == 0.5


def test_both_names_are_refused(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("window:\n  hop_seconds: 0.5\n  interval_seconds: 0.25\n")
    text = '{"hop_seconds": 0.5, "interval_seconds": 0.25}'
    for argv in (["--config", str(path)], ["--window", text], [f"--window={text}"]):
        with pytest.raises(InputError, match="hop_seconds|interval_seconds"):
            parse(argv)


@pytest.mark.parametrize(
    "given, named",
    [
        ('{"stem": "conv"}', r"--model: model\.stem is conv"),
        ('{"lstm_units": 8, "lstm_units": 9}', "--model, line 1: 'lstm_units' occurs twice"),
        ('{"dropout": .nan}', "--model, line 1: nan"),
        ("[" * 3000, "--model, line 1: nested"),
        ('{"dropout": &a 0.1}', "--model, line 1: anchors"),
        ('{"planes": ["level"]', "--model: not valid YAML"),
        ("3", "model"),
        ("", "model"),
    ],
)
def test_a_section_as_text_is_read_as_strictly_as_a_file(given, named):
    with pytest.raises(InputError, match=named) as refused:
        parse(["--model", given])
    assert len(str(refused.value)) < 300


def test_a_removed_setting_in_a_section(tmp_path):
    assert parse(["--model", '{"stem": "stride", "lstm_units": 8}'])[1].model == ModelConfig(lstm_units=8)


def test_a_bundle_is_written_as_the_version_before_reads_it():
    written = json.loads((PRETRAINED / MANIFEST).read_text())
    values = json.loads(json.dumps(dataclasses.asdict(Bundle.open(PRETRAINED).manifest)))
    arousal = values.pop("arousal")
    assert written.pop("arousal", False) is arousal and written["schema"] == (5 if arousal else 4)
    assert values.pop("kind") == STREAM and "kind" not in written, "only schema 6 has it"
    assert values.pop("beside") is None and "beside" not in written, "only schema 7 has it"
    assert with_schema_4_keys(values) == written
