"""python -m crnn.crossval: folds and seeds as runs of train.py that fail, end and continue."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, called, needs, one_clear_line, own_desk, processes_of, started

from crnn import crossval
from crnn.training.cross_validation import LOCK, RESULT
from crnn.training.jobs import TrainingJob
from crnn.training.run_folder import RunFolder

needs("jsonargparse", "lightning", reason="needs the train extra")


class Warm:
    """train.py in processes that are forked from one with PyTorch."""

    def __init__(self, *_, **__):
        self.names: list[str] = []

    def start(self, job: TrainingJob):
        self.names.append(job.folder.name)
        return started("train.py", *job.command()[2:], errors=job.log)

    def exit_code(self, process) -> int | None:
        return process.poll()

    def end(self, processes) -> None:
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait()


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    return own_desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture
def place(monkeypatch) -> Warm:
    made = Warm()
    monkeypatch.setattr(crossval, "Processes", lambda *_, **__: made)
    return made


def arguments(desk: Path, out: Path, *more) -> list:
    data = ("--data", f"folder:{desk / 'own'}", "--cache", desk / "cache", "--out", out)
    return [desk / "small.yaml", "--protocol", "own-data", *data, *more]


def test_a_fold_that_fails_is_named_and_the_same_command_trains_what_is_missing(desk, tmp_path, place):
    out = tmp_path / "out"
    options = arguments(desk, out, "--folds", "0", "1", "--processes", "2", "--json")
    out.mkdir()
    with pytest.MonkeyPatch.context() as patch:  # a fold whose folder is somebody's file
        patch.setattr(Warm, "start", _blocked(Warm.start, "own-data-fold1-seed0"))
        failed = called(crossval.main, *options)
    made = json.loads(failed.stdout)
    assert failed.returncode == 2
    assert [(each["fold"], each["seed"]) for each in made["failed"]] == [(1, 0)]
    assert "own-data-fold1-seed0: is a file" in made["failed"][0]["problem"]
    assert [run["fold"] for run in made["runs"]] == [0]
    assert made["pooled"] is None and made == json.loads((out / RESULT).read_text())
    assert "FAILED: fold 1 seed 0" in crossval.text(made)

    (out / "own-data-fold1-seed0").unlink()
    place.names.clear()
    finished = called(crossval.main, *options)
    assert finished.returncode == 0, finished.stderr
    assert place.names == ["own-data-fold1-seed0"]
    made = json.loads(finished.stdout)
    runs = [RunFolder(out / run["folder"]).read("metrics") for run in made["runs"]]
    assert [run["fold"] for run in runs] == [0, 1]
    speakers = [set(run["test"]["per_speaker_uar"]) for run in runs]
    assert not speakers[0] & speakers[1] and made["pooled"]["n_speakers"] == len(speakers[0] | speakers[1])
    confusion = np.sum([run["test"]["confusion"] for run in runs], axis=0)
    assert made["pooled"]["uar"] == pytest.approx(np.mean(np.diag(confusion) / confusion.sum(axis=1)))
    assert made["pooled"]["n_clips"] == confusion.sum()
    table = crossval.text(made)
    assert f"{100 * made['pooled']['uar']:.1f}" in table and f"{100 * made['pooled']['wf1']:.1f}" in table

    place.names.clear()
    assert called(crossval.main, *options[:-1]).stdout.startswith("own-data, 2 of 5 folds, 1 seed\n")
    assert not place.names, "everything is finished"
    other = called(crossval.main, *options, "--set", "optim.epochs=2")
    one_clear_line(other, str(out), "optim.epochs was 1, now 2")
    assert called(crossval.main, *options, "--set", "optim.epochs=1").returncode == 0
    metrics = out / "own-data-fold1-seed0" / "metrics.json"
    shutil.copytree(out / "own-data-fold1-seed0", out / "own-data-fold1-seed1")
    shutil.copytree(out / "own-data-fold0-seed0", out / "own-data-fold0-seed1")
    metrics.write_text(metrics.read_text().replace(made["runs"][1]["split_hash"], "0123456789ab"))
    one_clear_line(called(crossval.main, *options, "--seeds", "2"), "fold 1", "0123456789ab")


def _blocked(start, name: str):
    def blocked(self, job):
        if job.folder.name == name:
            job.folder.write_text("mine")
        return start(self, job)

    return blocked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_runs_too(number, desk, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "crnn.crossval", *map(str, arguments(desk, out, "--processes", "2"))]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True, env=os.environ
    )
    for _ in range(1200):
        if len(processes_of(process.pid)) == 3:
            break
        time.sleep(0.05)
    assert len(processes_of(process.pid)) == 3, "itself and two runs"
    one_clear_line(called(crossval.main, *arguments(desk, out)), str(out), "going on")
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors and "the same command continues" in errors.splitlines()[-1]
    assert not processes_of(process.pid)
    assert json.loads((out / RESULT).read_text())["runs"] == []


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--protocol", "no-protocol"], ["no-protocol"]),
        (["--seeds", "0"], ["--seeds is 0"]),
        (["--seeds", "-1"], ["--seeds is -1"]),
        (["--processes", "0"], ["--processes is 0"]),
        (["--folds", "0", "7"], ["own-data has folds 0 to 4", "7"]),
        (["--set", "optim.epochs"], ["optim.epochs", "NAME=VALUE"]),
        (["--set", "seed=3"], ["seed"]),
        (["--data", "folder:nowhere"], ["nowhere"]),
    ],
)
def test_a_wrong_value_is_one_line_and_nothing_is_written(options, parts, desk, tmp_path):
    one_clear_line(called(crossval.main, *arguments(desk, tmp_path / "out", *options)), *parts)
    assert not (tmp_path / "out").exists()


def test_a_fold_without_a_speaker_is_refused_before_anything_is_trained(voices, desk, tmp_path):
    """EmoDB's last speaker is not there."""
    few = tmp_path / "emodb"
    few.mkdir()
    for name in ("03a01Fa.wav", "08a01Wa.wav", "09a01Na.wav", "10a01Fa.wav", "11a01Wa.wav"):
        shutil.copy(next(voices.rglob("*.wav")), few / name)
    given = [desk / "small.yaml", "--out", tmp_path / "out"]
    missing = called(crossval.main, *given, "--protocol", "emodb-loso", "--data", f"emodb:{few}", "--folds", "0", "9")
    one_clear_line(missing, "emodb-loso fold 9", "no test recordings")
    assert not (tmp_path / "out").exists()


def test_a_protocol_that_tests_nobody_is_refused(desk, tmp_path):
    given = [desk / "small.yaml", "--out", tmp_path / "out", "--protocol", "all-corpora"]
    one_clear_line(called(crossval.main, *given), "all-corpora fold 0", "no test speaker")


def test_a_cluster_without_ray_is_refused_with_the_extra(desk, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    one_clear_line(called(crossval.main, *arguments(desk, tmp_path / "out", "--on", "ray")), "--on ray", "[ray]")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_is(desk, tmp_path):
    foreign = tmp_path / "runs"
    (foreign / "mine").mkdir(parents=True)
    (foreign / "mine" / "metrics.json").write_text("{}")
    before = sorted(path.relative_to(foreign) for path in foreign.rglob("*"))
    one_clear_line(called(crossval.main, *arguments(desk, foreign)), str(foreign), "empty")
    assert sorted(path.relative_to(foreign) for path in foreign.rglob("*")) == before
    (tmp_path / "file").write_text("mine")
    one_clear_line(called(crossval.main, *arguments(desk, tmp_path / "file")), "is a file")
    old = tmp_path / "old"
    old.mkdir()
    (old / RESULT).write_text('{"schema": 99}')
    one_clear_line(called(crossval.main, *arguments(desk, old)), RESULT, "version")
    (old / RESULT).write_text('{"schema": 1, "protocol": "emodb-loso", "settings": {}}')
    one_clear_line(called(crossval.main, *arguments(desk, old)), "protocol was emodb-loso, now own-data")
    assert {path.name for path in old.iterdir()} == {RESULT}
    assert LOCK not in {path.name for path in tmp_path.iterdir()}
