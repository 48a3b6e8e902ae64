"""train.py stopped by a signal, a full disk, or a folder of somebody else."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import SMALL, called, mounted_disk, one_clear_line, processes_of, script, started

import train
from crnn.synthetic import write_corpus
from crnn.training.checkpoint import read_checkpoint


def arguments(voices: Path, cache: Path, out: Path, epochs: int = 500, copies: int = 2) -> list[str]:
    given = [*SMALL, "--data", f"synthetic:{voices}", "--cache", cache, "--out", out, "--optim.epochs", epochs]
    return [*map(str, given), "--augment.copies", str(copies)]


@contextmanager
def training(tmp_path: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen]:
    """train.py, killed at the end with every process it starts."""
    (tmp_path / "said").unlink(missing_ok=True)
    process = started("train.py", *options, errors=tmp_path / "said", env=os.environ | environment)
    try:
        yield process
    finally:
        for pid in processes_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def wait_until(holds, process: subprocess.Popen, tmp_path: Path) -> None:
    for _ in range(2400):
        if holds():
            return
        assert process.poll() is None, (tmp_path / "said").read_text()[-2000:]
        time.sleep(0.05)
    raise AssertionError((tmp_path / "said").read_text()[-2000:])


def last_line(tmp_path: Path) -> str:
    said = (tmp_path / "said").read_text()
    assert "Traceback" not in said, said[-3000:]
    return said.strip().splitlines()[-1]


def reason_of(number: int) -> str:
    return "interrupted" if number == signal.SIGINT else f"ended by {number.name}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_training_with_a_run_that_can_be_resumed(number, voices, cache, tmp_path):
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with training(tmp_path, *arguments(voices, cache, tmp_path / "run")) as process:
        wait_until(last.exists, process, tmp_path)
        process.send_signal(number)
        assert process.wait(timeout=120) == 128 + number
        assert not processes_of(process.pid)
    assert last_line(tmp_path).startswith(reason_of(number)) and "--resume" in last_line(tmp_path)
    assert read_checkpoint(last)["epoch"] >= 0
    assert not list((tmp_path / "run").rglob("*.part"))


@pytest.fixture(scope="module")
def many_voices(tmp_path_factory) -> Path:
    """256 clips: enough for copies to be computed by several processes."""
    folder = tmp_path_factory.mktemp("many") / "voices"
    write_corpus(folder, speakers=16, takes=1, seconds=0.6)
    return folder


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two processors: one computes copies without workers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_training(number, many_voices, tmp_path):
    cache = tmp_path / "cache"  # of its own: who is killed leaves an unfinished file there
    with training(tmp_path, *arguments(many_voices, cache, tmp_path / "run", copies=40)) as process:
        # The tracker of multiprocessing is one more process.
        wait_until(lambda: len(processes_of(process.pid)) >= 4, process, tmp_path)
        process.send_signal(number)
        code = process.wait(timeout=120)
        assert code == (-number if number == signal.SIGKILL else 128 + number)
        for _ in range(200):
            if not processes_of(process.pid):
                break
            time.sleep(0.05)
        assert not processes_of(process.pid)
    if number != signal.SIGKILL:
        assert last_line(tmp_path).startswith(reason_of(number))
        assert last_line(tmp_path).endswith("continue with --resume")
        assert not list(cache.glob(".augmented-*.part"))


def test_a_full_disk_keeps_the_last_checkpoint(voices, cache, tmp_path):
    """$TMPDIR is another file system here, so a move becomes a copy."""
    other = tmp_path / "other"
    with mounted_disk(tmp_path / "disk", "8m") as disk, mounted_disk(other, "8m"):
        checkpoints = disk / "run" / "checkpoints"
        with training(tmp_path, *arguments(voices, cache, disk / "run"), TMPDIR=str(other)) as process:
            wait_until((checkpoints / "last.ckpt").exists, process, tmp_path)
            with pytest.raises(OSError, match="No space left"), (disk / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
            assert process.wait(timeout=120) == 2
        line = last_line(tmp_path)
        assert line.startswith(f"error: {disk / 'run'}")
        assert line.endswith("No space left on device")
        assert not list(disk.rglob("*.part"))
        epochs = {name: read_checkpoint(checkpoints / name)["epoch"] for name in ("last.ckpt", "best.ckpt")}
        assert epochs["last.ckpt"] >= epochs["best.ckpt"] >= 0

        (disk / "filler").unlink()
        with training(tmp_path, *arguments(voices, cache, disk / "run"), "--resume", TMPDIR=str(other)) as process:
            wait_until(
                lambda: read_checkpoint(checkpoints / "last.ckpt")["epoch"] > epochs["last.ckpt"], process, tmp_path
            )


def test_a_full_temporary_folder_does_not_stop_training(voices, cache, tmp_path):
    with mounted_disk(tmp_path / "other", "4k") as full:
        (full / "filler").write_bytes(bytes(4096))
        done = script(
            "train.py", *arguments(voices, cache, tmp_path / "run", 1), env=os.environ | {"TMPDIR": str(full)}
        )
    assert done.returncode == 0, done.stderr[-2000:]


def test_somebody_elses_folder_is_refused_and_left_as_it_is(voices, cache, tmp_path):
    mine = tmp_path / "thesis"
    mine.mkdir()
    files = {"report.html": "my report", "split.json": '{"mine": 1}', "metrics.json": "{}"}
    for name, text in files.items():
        (mine / name).write_text(text)
    for more in ([], ["--resume"]):
        refused = called(train.main, *arguments(voices, cache, mine, 1), *more)
        one_clear_line(refused, str(mine), "empty")
    assert {path.name: path.read_text() for path in mine.iterdir()} == files
    one_clear_line(called(train.main, *arguments(voices, cache, mine / "report.html", 1)), "is a file")
