"""Starting from another run: weights by name, classes by emotion, and no run that has heard the wrong people."""

import json
import shutil

import pytest
import torch
from helpers import SMALL, one_clear_line, script

from crnn.config import InputError
from crnn.fit import model_weights
from crnn.model import CRNN
from crnn.protocols import LeakError, Split
from crnn.run import RunFolder
from crnn.transfer import start_from


@pytest.fixture
def run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def model_like(run) -> CRNN:
    config, _, _ = RunFolder(run).read_config()
    torch.manual_seed(7)
    return CRNN(config.features, config.model, 3)


def test_weights_are_copied_and_classes_matched_by_name(run):
    split = Split("other", 0, ("angry", "bored", "neutral"), (), (), ())
    model, untouched = model_like(run), model_like(run)
    heard = start_from(model, run, split)
    assert "synthetic:05" in heard
    weights, labels = model_weights(run / "checkpoints" / "best.ckpt"), RunFolder(run).read("split")["labels"]
    assert torch.equal(model.encoder.blocks[0][0].weight, weights["encoder.blocks.0.0.weight"])
    rows, theirs = model.head.classifier.weight, weights["head.classifier.weight"]
    assert torch.equal(rows[0], theirs[labels.index("angry")])
    assert torch.equal(rows[2], theirs[labels.index("neutral")])
    assert torch.equal(rows[1], untouched.head.classifier.weight[1]), "no namesake: as it was"


def test_a_run_that_has_heard_a_judge_is_refused(run, voices, cache, tmp_path):
    again = script(
        *("train.py", *SMALL, "--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "out"),
        *("--optim.epochs", "1", "--init", run),
    )
    one_clear_line(again, str(run), "it has heard synthetic:", "who are dev here")
    assert not (tmp_path / "out").exists()


def test_a_run_that_has_not_is_where_training_starts(run, voices, cache, tmp_path):
    split = json.loads((run / "split.json").read_text())
    split["heard"] = {"train": ["synthetic:elsewhere"], "dev": [], "before": []}
    (run / "split.json").write_text(json.dumps(split))
    result = script(
        *("train.py", *SMALL, "--data", f"synthetic:{voices}", "--cache", cache, "--out", tmp_path / "out", "--json"),
        *("--optim.epochs", "1", "--init", run),
    )
    assert result.returncode == 0, result.stderr[-2000:]
    before = json.loads((run / "metrics.json").read_text())["history"]
    after = json.loads(result.stdout)["history"]
    assert after[0]["train_loss"] < before[0]["train_loss"]
    remembered = json.loads((tmp_path / "out" / "split.json").read_text())["heard"]["before"]
    assert remembered == ["synthetic:elsewhere"], "a third run must know of it too"


def test_what_cannot_be_started_from_is_named(run, tmp_path):
    config, _, _ = RunFolder(run).read_config()
    split = Split("other", 0, ("angry", "neutral"), (), (), ())
    with pytest.raises(InputError, match="no such file"):
        start_from(model_like(run), tmp_path, split)
    with pytest.raises(InputError, match="another shape"):
        start_from(CRNN(config.features, type(config.model)(), 2), run, split)
    assert issubclass(LeakError, InputError)
