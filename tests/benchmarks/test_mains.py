"""Every program of benchmarks/ says how it is used, and refuses what is missing in one line that names it."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from helpers import ROOT

from benchmarks.harness import recipes

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted((ROOT / "benchmarks").rglob("*.py"))
}
MAINS = [
    name
    for name, path in SOURCES.items()
    if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in ast.parse(path.read_text()).body)
]
NEED_RECORDINGS = [name for name in MAINS if "SER_DATA=FOLDER" in SOURCES[name].read_text()]
"""Their usage says so"""
OF_RUNS = {
    "benchmarks.accuracy.robustness": "narrow-96-ravdess-luna5-fold0-seed0",
    "benchmarks.adaptation.corrections": "narrow-96-ravdess-luna5-fold0-seed0",
    "benchmarks.adaptation.enrolment": "narrow-96-ravdess-luna5-fold0-seed0",
    "benchmarks.adaptation.label_free": f"{recipes.SHIPS}-leave-one-corpus-out-fold0-seed0",
    "benchmarks.export.compression": "no-run",
}
"""Reads runs that are finished -> the folder that is missing"""
OWN_FOLDERS = {
    "benchmarks.adaptation.enrolment", "benchmarks.adaptation.label_free", "benchmarks.export.compression",
}  # fmt: skip
"""Find the recordings where their runs found them"""
ARGUMENTS = {
    "benchmarks.harness.train_runs": ["--protocols", "cross-single"],
    "benchmarks.export.compression": ["no-run"],
    "benchmarks.accuracy.large": ["no-bundle", "--fold", "1"],
    "benchmarks.adaptation.corrections": ["--settings", str(ROOT / "configs" / "corrections.yaml")],
}
"""Without them there is nothing to do"""
WRONG = {
    "bundle": [
        ("benchmarks.adaptation.people", ["--bundle", "no-bundle"], "no-bundle"),
        ("benchmarks.device.stages", ["no-bundle"], "no-bundle"),
        ("benchmarks.device.streaming", ["no-bundle"], "no-bundle"),
        ("benchmarks.device.soak", ["no-bundle"], "no-bundle"),
        ("benchmarks.device.instructions", ["no-bundle"], "no-bundle"),
        ("benchmarks.device.counted_parts", ["no-bundle", "speech.npy", "--seconds", "1"], "no-bundle"),
        ("benchmarks.device.larger", ["no-bundle"], "no-bundle"),
        ("benchmarks.device.service", ["no-bundle"], "no-bundle"),
        ("benchmarks.accuracy.large", ["no-bundle", "--fold", "1"], "no-bundle"),
        ("benchmarks.device.false_alarms", ["--bundle", "no-bundle"], "no-bundle"),
        ("benchmarks.accuracy.battery", ["--bundles", "no-bundle"], "no-bundle"),
        ("benchmarks.device.answers", ["clip.wav", "no-bundle:onnx"], "no-bundle"),
        ("benchmarks.device.processors", ["--bundles", "no-bundle"], "no-bundle"),
    ],
    "value": [
        ("benchmarks.device.batch", ["--files", "1"], "1"),
        ("benchmarks.device.plain_training", ["--clips", "0", "--out", "plain.json"], "0"),
        ("benchmarks.device.answers", ["clip.wav", "int8"], "BUNDLE:RUNTIME"),
        ("benchmarks.device.processors", ["--arm64", "no-folder"], "no-folder"),
        ("benchmarks.device.processors", ["--only", "no-processor"], "no-processor"),
        ("benchmarks.adaptation.corrections", ["--settings", "no-settings.yaml"], "no-settings.yaml"),
        ("benchmarks.adaptation.label_free", ["--repetitions", "1"], "1"),
        ("benchmarks.adaptation.people", ["--homes", "0"], "0"),
        ("benchmarks.accuracy.within_corpus", ["--protocols", "no-protocol"], "no-protocol"),
        ("benchmarks.accuracy.within_corpus", ["--protocols", "savee-loso"], "savee"),
        ("benchmarks.accuracy.within_corpus", ["--folds", "99"], "99"),
        ("benchmarks.accuracy.baselines", ["--protocol", "cross-single"], "across_corpora"),
        ("benchmarks.accuracy.baselines", ["--protocol", "own-data"], "own"),
    ],
}


@cache
def program(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to work in: what a program writes by a relative path is found there, and harms nothing."""
    for name in MAINS:
        program(name)  # in the repository: benchmarks.tables lists its pages when it is imported
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SER_DATA", str(ROOT / "tests"))
    return tmp_path


def written() -> dict[Path, tuple[int, int]]:
    """Time and size of every file that a benchmark could write in the repository."""
    places = [ROOT / "README.md"]
    for folder in ("benchmarks", "docs", "edge/pretrained", "runs"):
        places += [place for place in (ROOT / folder).rglob("*") if "__pycache__" not in place.parts]
    return {place: (place.stat().st_mtime_ns, place.stat().st_size) for place in places if place.is_file()}


def ended(name: str, *arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        program(name).main([*arguments])
    return end.value.code


def refused(name: str, arguments: list[str], named: str, capsys) -> None:
    assert program(name).main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and named in lines[0], lines


def test_the_programs_are_found():
    assert {"benchmarks.fuzz.__main__", "benchmarks.tables.__main__", "benchmarks.device.soak"} <= {*MAINS}
    assert {"benchmarks.accuracy.within_corpus", *OF_RUNS} <= {*NEED_RECORDINGS}


def test_help_is_printed_and_nothing_is_written(elsewhere, capsys):
    before = written()
    for name in MAINS:
        assert ended(name, "--help") == 0, name
        assert capsys.readouterr().out.startswith("usage: "), name
    assert written() == before
    assert not [*elsewhere.iterdir()]


@pytest.mark.parametrize("name", MAINS)
def test_an_unknown_option_is_refused(name, elsewhere, capsys):
    assert ended(name, "--no-such-option") == 2
    assert "usage: " in capsys.readouterr().err
    assert not [*elsewhere.iterdir()]


@pytest.mark.parametrize("given", [None, "no-recordings"])
@pytest.mark.parametrize("name", [name for name in NEED_RECORDINGS if name not in OWN_FOLDERS])
def test_missing_recordings_are_refused(name, given, elsewhere, monkeypatch, capsys):
    if given is None:
        monkeypatch.delenv("SER_DATA")
    else:
        monkeypatch.setenv("SER_DATA", given)
    refused(name, ARGUMENTS.get(name, []), given or "SER_DATA", capsys)
    assert not [*elsewhere.iterdir()]


@pytest.mark.parametrize("name", OF_RUNS)
def test_a_missing_run_is_refused(name, elsewhere, monkeypatch, capsys):
    for folder in ("noise", "rir"):
        (elsewhere / "recordings" / folder).mkdir(parents=True)
    monkeypatch.setenv("SER_DATA", "recordings")
    monkeypatch.setattr("benchmarks.harness.jobs.RUNS", elsewhere)  # not $SER_RUNS, where there may be one
    refused(name, ARGUMENTS.get(name, []), OF_RUNS[name], capsys)


def test_every_program_that_takes_a_bundle_is_tried_without_it():
    take = {name for name in MAINS if re.search(r'add_argument\("(--)?bundles?"', SOURCES[name].read_text())}
    take.remove("benchmarks.device.stream_systems")  # reports it to its parent process as a system that is skipped
    assert take <= {name for name, _, _ in WRONG["bundle"]}


@pytest.mark.parametrize(("name", "arguments", "named"), WRONG["bundle"] + WRONG["value"])
def test_a_missing_bundle_or_a_wrong_value_is_refused(name, arguments, named, elsewhere, capsys):
    refused(name, arguments, named, capsys)
    assert not [*elsewhere.iterdir()]
