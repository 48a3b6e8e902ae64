"""The report states date, command and speakers of a run, UAR by chance, and the reason for a missing interval."""

import html
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crnn.data.corpora import Utterance
from crnn.data.protocols import Split
from crnn.metrics import summarize
from crnn.training.origin import origin
from crnn.training.report import counts, write_report

LABELS = ("angry", "calm", "sad")


def people(speakers: int, clips: int) -> tuple[Utterance, ...]:
    return tuple(
        Utterance(Path(f"/x/{s}-{n}.wav"), "own", f"voice{s}", None, LABELS[n % 3])
        for s in range(speakers)
        for n in range(clips)
    )


def metrics_of(dev: tuple[Utterance, ...], probs: np.ndarray) -> dict:
    split = Split("own-data", 0, LABELS, people(4, 6), dev=dev, test=())
    truth = np.array([LABELS.index(u.emotion) for u in dev])
    row = {"epoch": 0, "learning_rate": 0.1, "train_loss": 1.0, "dev_loss": 1.0, "dev_uar": 0.3}
    return {
        "protocol": "own-data", "split_hash": "abc", "corpus": "own", "fold": 0, "seed": 0, "n_params": 1,
        "macs_per_window": 1, "history": [row], "skipped": {}, "counts": counts(split),
        "training": {
            "best_epoch": 0, "seconds_per_epoch": 1.0, "utterances_per_second": 1.0, "data_wait_share": 0.0,
        },
        "made": origin("train", ["--data", "csv:my list.csv"]),
        "dev": summarize(probs, truth, dev, LABELS),
    }  # fmt: skip


def text_of(path: Path, metrics: dict) -> str:
    write_report(path, metrics)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", path.read_text())).split())


def test_one_speaker_has_no_interval_and_the_report_says_why(tmp_path):
    dev = people(1, 9)
    right = np.eye(3)[[n % 3 for n in range(9)]]
    said = text_of(tmp_path / "report.html", metrics_of(dev, right))
    assert re.search(r"\bUAR 100\.0% one speaker", said)
    assert "WA 100.0% one speaker" in said
    assert "Macro-F1 100.0% not computed" in said
    assert "WF1 100.0%" in said
    assert "UAR by chance 33.3%" in said
    assert re.search(r"WARNING: .*one speaker.*33\.3%", said)


def test_uar_at_chance_is_marked(tmp_path):
    dev = people(4, 30)
    guesses = np.random.default_rng(0).dirichlet([1, 1, 1], size=len(dev))
    said = text_of(tmp_path / "report.html", metrics_of(dev, guesses))
    assert re.search(r"WARNING: UAR [\d.]+% \(95 % interval .* chance.*33\.3%", said)
    right = np.eye(3)[[n % 3 for n in range(30)] * 4]
    assert "WARNING" not in text_of(tmp_path / "report.html", metrics_of(dev, right))


def test_it_states_date_command_and_speakers(tmp_path):
    said = text_of(tmp_path / "report.html", metrics_of(people(2, 9), np.full((18, 3), 1 / 3)))
    assert re.search(r"Date 20\d\d-\d\d-\d\dT[\d:]+\+00:00", said)
    assert "--data 'csv:my list.csv'" in said
    assert re.search(r"Version \S+", said)
    assert "Subset Clips Speakers angry calm sad" in said
    assert "Training 24 4 8 (4) 8 (4) 8 (4)" in said
    assert "Development 18 2 6 (2) 6 (2) 6 (2)" in said


def test_confusion_and_groups_are_tables(tmp_path):
    """The third of the clips that is calm, half of it decided as sad."""
    dev = tuple(replace(u, sex="female" if u.speaker_id == "voice0" else "male") for u in people(2, 12))
    decided = [{1: 1 + n // 3 % 2}.get(n % 3, n % 3) for n in range(12)] * 2
    said = text_of(tmp_path / "report.html", metrics_of(dev, np.eye(3)[decided]))
    assert "(column) angry calm sad angry 100 0 0 calm 0 50 50 sad 0 0 100" in said
    assert "UAR per speaker and sex voice0 83.3% voice1 83.3% female 83.3% male 83.3%" in said


def test_an_older_run_without_these_can_still_be_reported(tmp_path):
    metrics = metrics_of(people(2, 9), np.full((18, 3), 1 / 3))
    del metrics["made"], metrics["counts"], metrics["dev"]["wf1"]
    said = text_of(tmp_path / "report.html", metrics)
    assert "Recordings" not in said
    assert "WF1" not in said


def test_the_origin_names_the_commit_of_a_checkout():
    made = origin("train", ["--seed", "1"])
    assert made["command"].endswith("train.py --seed 1")
    git = ["git", "-C", str(Path(__file__).parents[3]), "rev-parse", "--short", "HEAD"]
    head = subprocess.run(git, capture_output=True, text=True, check=False)
    if head.returncode:
        pytest.skip("needs a git checkout")
    assert made["commit"].removesuffix("+") == head.stdout.strip()


def test_a_file_name_that_is_not_utf8_does_not_stop_the_report(tmp_path):
    metrics = metrics_of(people(2, 9), np.full((18, 3), 1 / 3))
    metrics["skipped"] = {"/x/caf\udce9.wav": "the file is empty"}
    assert "caf" in text_of(tmp_path / "report.html", metrics)
