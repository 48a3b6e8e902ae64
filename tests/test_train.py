"""train.py as a user runs it: to the end, after kill -9, on two processes, and on bad input."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import soundfile
import torch
import warm_scripts
from helpers import ROOT, SMALL, broken_files, called, mounted_disk, one_clear_line, script, started
from processes import eventually

import train
from crnn.training.checkpoint import model_weights


def test_help_is_grouped_with_units_and_defaults():
    shown = called(train.main, "--help").stdout
    for part in (
        "--features.sample_rate",
        "Hz, mono (type: int, default: 16000)",
        "--augment.min_snr_db",
        "SpecAugment",
    ):
        assert part in shown


def test_run_folder_holds_everything(small_run):
    assert {p.name for p in small_run.iterdir()} == {
        "config.json",
        "split.json",
        "metrics.json",
        "report.html",
        "checkpoints",
    }
    metrics = json.loads((small_run / "metrics.json").read_text())
    split = json.loads((small_run / "split.json").read_text())
    assert metrics["split_hash"] == split["split_hash"]
    assert set(split["speakers"]["test"]) == {"01", "02", "03", "04"}
    assert metrics["test"]["n_clips"] == 64
    assert metrics["test"]["uar_ci95"][0] <= metrics["test"]["uar"] <= metrics["test"]["uar_ci95"][1]
    assert metrics["training"]["utterances_per_second"] > 0
    assert 0 <= metrics["training"]["data_wait_share"] < 1
    assert [row["epoch"] for row in metrics["history"]] == [0, 1]
    logs = {p.suffix for p in (small_run / "checkpoints" / "logs").rglob("*.*")}
    assert ".csv" in logs
    assert any("tfevents" in p.name for p in small_run.rglob("*"))
    report = (small_run / "report.html").read_text()
    assert report.count("data:image/png;base64,") == 1 + 2, "curves, and the calibration of two sets"
    assert "SYNTHETIC" in report
    for part in ("--optim.epochs 2", "UAR by chance", "12.5%", "<td>Training</td>", "<th>Date</th>"):
        assert part in report
    assert "<script" not in report


def arguments(voices, cache, out, epochs=2):
    return [*SMALL, "--data", f"synthetic:{voices}", "--cache", cache, "--out", out, "--optim.epochs", epochs]


def test_killed_and_resumed_ends_with_the_same_weights(small_run, voices, cache, tmp_path):
    killed = tmp_path / "killed"
    process = started("train.py", *arguments(voices, cache, killed), errors=tmp_path / "said")
    eventually((killed / "checkpoints" / "last.ckpt").exists, "a checkpoint", process)
    time.sleep(0.05)  # into the next epoch
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "metrics.json").exists()

    refused = called(train.main, *arguments(voices, cache, killed))
    one_clear_line(refused, str(killed), "--resume")
    resumed = script("train.py", *arguments(voices, cache, killed), "--resume")
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    ours, theirs = (model_weights(run / "checkpoints" / "last.ckpt") for run in (killed, small_run))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    histories = [json.loads((run / "metrics.json").read_text())["history"] for run in (killed, small_run)]
    assert histories[0] == histories[1]

    again = called(train.main, *arguments(voices, cache, killed), "--resume", "--json")
    assert json.loads(again.stdout)["history"] == histories[0], "a finished run is reported, not trained again"

    (killed / "metrics.json").unlink()  # as if killed a third time, after the last epoch
    late = json.loads(called(train.main, *arguments(voices, cache, killed), "--resume", "--json").stdout)
    assert late["history"] == histories[0]
    assert late["training"]["seconds_per_epoch"] == 0, "this process trained no epoch"


def test_resume_under_other_settings_is_refused_by_key(small_run, voices, cache):
    changed = called(
        train.main,
        *arguments(voices, cache, small_run),
        "--resume",
        "--optim.learning_rate",
        "0.5",
        "--augment.gain",
        "false",
    )
    one_clear_line(changed, "optim.learning_rate was 0.002", "0.5", "augment.gain was True", "False")


def test_resume_with_another_number_of_processes_is_refused(small_run, voices, cache):
    """It would be another batch and another order."""
    changed = called(train.main, *arguments(voices, cache, small_run), "--resume", "--loop.devices", "2")
    one_clear_line(changed, "loop.processes was 1", "2")


def test_a_finished_run_does_not_pass_for_a_tested_one(small_run, voices, cache, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run")
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics["test"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    again = [*arguments(voices, cache, run), "--resume"]
    one_clear_line(called(train.main, *again), "--test false", "unread")
    del metrics["dev"]["wf1"]  # as the version before wrote it
    (run / "metrics.json").write_text(json.dumps(metrics))
    finished = called(train.main, *again, "--test", "false")
    assert finished.returncode == 0
    assert "WF1" not in finished.stdout


def test_resume_on_other_recordings_is_refused(small_run, voices, cache, tmp_path):
    run, folder = shutil.copytree(small_run, tmp_path / "run"), shutil.copytree(voices, tmp_path / "voices")
    (run / "metrics.json").unlink()
    next((folder / "Actor_08").iterdir()).unlink()
    result = called(train.main, *arguments(folder, cache, run), "--resume")
    one_clear_line(result, "belongs to split", "files")


FORKED = {
    "torchrun.py": "from torch.distributed.run import main; main()",
    "ranked.py": f"""import runpy, sys
from lightning.fabric.utilities import rank_zero
rank_zero.rank_zero_only.rank = rank_zero._get_rank()  # as when Lightning is imported now, not before the fork
sys.argv[0] = {str(ROOT / "train.py")!r}
runpy.run_path(sys.argv[0], run_name="__main__")
""",
}
"""torchrun, and train.py as it starts it, in processes of `warm_scripts`"""


def test_two_processes_train_together(small_run, voices, cache, tmp_path):
    """DDP over gloo under torchrun, as on two machines."""
    out = tmp_path / "ddp"
    for name, code in FORKED.items():
        (tmp_path / name).write_text(code)
    python = warm_scripts.command()
    command = [*python, tmp_path / "torchrun.py", "--nproc_per_node", "2", "--master_port", "29511", "--no-python"]
    command += [*python, tmp_path / "ranked.py", *arguments(voices, cache, out), "--loop.devices", "2", "--json"]
    result = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    metrics = json.loads(result.stdout)  # one process reports, and nothing else is on standard output
    assert len(metrics["history"]) == 2
    assert (out / "report.html").exists()
    steps = [torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"] for run in (out, small_run)]
    assert 2 * steps[0] == steps[1] > 0, "each has half of the clips"


BAD = {
    "unknown protocol": (["--protocol", "random-split"], ["random-split", "ravdess-luna5"]),
    "fold out of range": (["--fold", "9"], ["folds 0 to 0"]),
    "another corpus": (["--data", "emodb:/x"], ["synthetic-demo", "synthetic", "emodb"]),
    "no colon": (["--data", "/x"], ["CORPUS:FOLDER"]),
    "missing folder": (["--data", "synthetic:/nowhere/at/all"], ["/nowhere/at/all", "no such folder"]),
    "bad value": (["--optim.learning_rate", "-1"], ["optim.learning_rate", "-1"]),
    "no votes": (["--loss.targets", "votes"], ["votes", "--loss.targets intended"]),
    "bad seed": (["--seed", "-1"], ["seed", "-1"]),
    "no process": (["--loop.devices", "0"], ["loop.devices", " 0"]),
    "bad mixup": (["--augment.mixup_alpha", "0"], ["mixup", "alpha", " 0"]),
    "bad speeds": (["--augment.speed_factors", "[3.0]"], ["0.5", " 2"]),
    "no noise folder": (
        ["--augment.noise", "true", "--augment.noise_dir", "/nowhere"],
        ["/nowhere", "--augment.noise false"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_one_clear_line_and_nothing_written(case, voices, cache, tmp_path, monkeypatch):
    extra, parts = BAD[case]
    out = tmp_path / "out"
    monkeypatch.delenv("SER_DATA", raising=False)
    result = called(train.main, *arguments(voices, cache, out), *extra)
    one_clear_line(result, *parts)
    assert not out.exists()


def test_unknown_key_is_refused(tmp_path):
    for source in (["--optim.epoch", "3"], ["--config", tmp_path / "c.yaml"]):
        (tmp_path / "c.yaml").write_text("optim:\n  epoch: 3\n")
        result = called(train.main, *source)
        assert result.returncode == 2
        one_clear_line(result, "optim", "epoch")


def test_no_recordings_given_says_what_to_do(monkeypatch):
    monkeypatch.delenv("SER_DATA", raising=False)
    one_clear_line(called(train.main), "--data ravdess:FOLDER", "SER_DATA")


def test_folder_without_known_names(tmp_path, cache):
    soundfile.write(tmp_path / "song.wav", [0.1] * 16000, 16000)
    result = called(train.main, *arguments(tmp_path, cache, tmp_path / "out"))
    one_clear_line(result, str(tmp_path), "synthetic recording")


def test_a_leaking_corpus_is_refused(voices, cache, tmp_path):
    """A test speaker's recording under a training speaker's name."""
    folder = shutil.copytree(voices, tmp_path / "voices")
    shutil.copy(folder / "Actor_01/03-01-05-01-01-01-01.wav", folder / "Actor_08/03-01-05-01-01-01-08.wav")
    result = called(train.main, *arguments(folder, cache, tmp_path / "out"))
    one_clear_line(result, "03-01-05-01-01-01-01", "03-01-05-01-01-01-08", "same audio")
    assert not (tmp_path / "out").exists()


def test_a_bad_file_is_reported_and_counted_also_where_a_full_disk_stopped_the_first_attempt(voices, tmp_path, cache):
    """With room for split.json alone, the first attempt leaves that."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "split.json").write_text(json.dumps({"split_hash": "of the first attempt"}))
    folder = shutil.copytree(voices, tmp_path / "voices")
    made = tmp_path / "broken"
    names = sorted(broken_files(made))
    clips = sorted((folder / "Actor_08").iterdir())
    for name, clip in zip(names, clips, strict=False):
        clip.unlink()
        shutil.copy(made / name, clip.with_suffix(Path(name).suffix))
    result = script("train.py", *arguments(folder, cache, tmp_path / "out", 1))
    assert result.returncode == 0, result.stderr[-2000:]
    skipped = json.loads((tmp_path / "out" / "metrics.json").read_text())["skipped"]
    assert len(skipped) == len(names)
    assert f"{len(names)} files" in result.stderr
    assert all(Path(file).name in result.stderr for file in skipped)


def test_full_and_read_only_disks(voices, cache, tmp_path):
    with mounted_disk(tmp_path / "disk", "96k") as disk:
        full = script("train.py", *arguments(voices, cache, disk / "run", 1))
        one_clear_line(full, "No space left")
        assert not list(disk.rglob("*.part"))
        assert not (disk / "run" / "metrics.json").exists()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        one_clear_line(called(train.main, *arguments(voices, cache, disk / "other", 1)), "Read-only file system")
