"""Work in batches is measured in processes of its own: rates, ratios and memory, or what failed."""

import json

import pytest

from benchmarks.device import batch, plain_training
from benchmarks.harness.results import rows_of
from crnn.errors import InputError


def test_two_processes_recognize_half_of_the_recordings_each(tmp_path, monkeypatch):
    started, run_all = [], batch.run_all
    monkeypatch.setattr(batch, "run_all", lambda commands: started.extend(commands) or run_all(commands))
    out = tmp_path / "batch.json"
    assert batch.main(["--work", "csv", "--rounds", "1", "--files", "2", "--out", str(out)]) == 0
    (row,) = rows_of(out, work="csv")
    assert row["files"] == 2 and row["hours_per_minute"] > 0 and row["hours_per_cpu_minute"] > 0
    assert 20 < row["rss_mb"] < 500
    assert [[str(part).endswith(".flac") for part in command].count(True) for command in started] == [1, 1]


def test_training_is_compared_with_plain_pytorch_in_the_same_turn(tmp_path, monkeypatch):
    def finished(commands):
        ((program, *arguments),) = commands
        if program == "train.py":
            folder = arguments[-1]
            folder.mkdir()
            training = {"utterances_per_second": 30.0, "data_wait_share": 0.1}
            (folder / "metrics.json").write_text(json.dumps({"training": training}))
            return batch.Ran(1.0, 1.0, 700.0)
        arguments[-1].write_text(json.dumps({"clips_per_second": 40.0}))
        return batch.Ran(1.0, 1.0, 500.0)

    monkeypatch.setattr(batch, "run_all", finished)
    made = batch.train_turn(64, tmp_path / "corpus", tmp_path)
    assert (made["clips_per_second"], made["plain_clips_per_second"], made["of_plain"]) == (30.0, 40.0, 0.75)
    assert (made["rss_mb"], made["plain_rss_mb"]) == (700.0, 500.0)


def test_plain_training_counts_the_clips_of_whole_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_training, "BATCH_SIZE", 2)
    clock = iter([10.0, 14.0])
    monkeypatch.setattr(plain_training.time, "perf_counter", lambda: next(clock))
    assert plain_training.clips_per_second(3) == 1.0, "two batches of two in 4 s"


def test_a_process_that_fails_is_named_with_what_it_printed(tmp_path):
    with pytest.raises(InputError, match="no-file.wav"):
        batch.run_all([["stream_infer.py", "no-file.wav", "--csv", tmp_path / "table.csv"]])
