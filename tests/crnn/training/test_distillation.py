"""Teachers: the loss, no training of the teachers, and no teacher trained on test speakers."""

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import SMALL, called, one_clear_line, script

import train
from crnn.config import ModelConfig
from crnn.models.crnn import CRNN
from crnn.run_config import LossConfig, RunConfig
from crnn.training.distillation import TEMPERATURE, DistillTask
from crnn.training.run_folder import RunFolder
from edge.prune.gradual import Recipe

OPEN = torch.ones(3, 5, dtype=torch.bool)
CONFIG = replace(
    RunConfig(),
    model=ModelConfig(channels=(4, 4, 4, 4), lstm_units=6, attention_units=4, dropout=0.0),
    loss=LossConfig(gamma=0.0),
)


def make(seed: int) -> CRNN:
    torch.manual_seed(seed)
    return CRNN(CONFIG.features, CONFIG.model, 5).eval()


def log_softmax(x: np.ndarray) -> np.ndarray:
    return (
        x - x.max(axis=1, keepdims=True) - np.log(np.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True))
    )


def answering(seed: int) -> CRNN:
    """A model whose answers differ from those of similar models."""
    model = make(seed)
    with torch.no_grad():
        model.head.classifier.weight.normal_(0, 3)
    return model


def test_the_loss_is_labels_and_softened_divergence():
    config = replace(CONFIG, loss=replace(CONFIG.loss, teacher_share=0.3))
    teachers, student = [answering(1), answering(3)], answering(2)
    task = DistillTask(config, student, teachers)
    log_mel, targets = torch.randn(3, 64, 130) - 4, torch.eye(5)[:3]
    with torch.no_grad():
        ours, *theirs = (model(log_mel).double().numpy() for model in (student, *teachers))
        got = float(task.batch_loss(log_mel, targets, OPEN))
    label = -(targets.numpy() * log_softmax(ours)).sum(axis=1).mean()
    p = np.log(np.mean([np.exp(log_softmax(logits / TEMPERATURE)) for logits in theirs], axis=0))
    divergence = (np.exp(p) * (p - log_softmax(ours / TEMPERATURE))).sum(axis=1).mean()
    assert divergence > 1e-3
    assert got == pytest.approx(0.7 * label + 0.3 * TEMPERATURE**2 * divergence, rel=1e-4)


def test_a_clip_is_distilled_over_the_emotions_of_its_corpus_alone():
    """Logits of emotions that the clip cannot have do not change the loss."""
    log_mel, targets = torch.randn(3, 64, 130) - 4, torch.eye(5)[:3]
    mask = OPEN.clone()
    mask[:, 4] = False
    teacher, student = answering(1), answering(2)
    task = DistillTask(CONFIG, student, [teacher])
    loss = task.batch_loss(log_mel, targets, mask)
    loss.backward()
    assert not student.head.classifier.bias.grad[4]
    assert student.head.classifier.bias.grad[:4].all()
    with torch.no_grad():
        for model in (teacher, student):
            model.head.classifier.bias[4] += 7
        assert float(task.batch_loss(log_mel, targets, mask)) == pytest.approx(float(loss), rel=1e-6)


def test_teacher_and_student_get_the_same_input():
    """The spectral floor is for evaluation alone: the same weights on both sides must give the same answers."""
    config = replace(
        CONFIG, model=replace(CONFIG.model, spectral_floor_db=-25.0), loss=replace(CONFIG.loss, teacher_share=1.0)
    )
    torch.manual_seed(0)
    pupil = CRNN(config.features, config.model, 5).eval()
    with torch.no_grad():
        pupil.head.classifier.weight.normal_(0, 3)
    teacher = copy.deepcopy(pupil)
    log_mel = 3 * torch.randn(3, 64, 130) - 4
    with torch.no_grad():
        unlike = pupil.training_logits(log_mel)
        assert not torch.allclose(teacher(log_mel), unlike, atol=0.1), "the spectral floor makes a difference here"
        assert float(DistillTask(config, pupil, [teacher]).batch_loss(log_mel, torch.eye(5)[:3], OPEN)) < 1e-5


def test_a_teacher_is_neither_trained_nor_saved():
    teacher, student = make(1), make(2)
    task = DistillTask(CONFIG, student, [teacher])
    assert {name.split(".")[0] for name in task.state_dict()} == {"model"}
    assert sum(p.numel() for p in task.parameters()) == sum(p.numel() for p in student.parameters())
    task.batch_loss(torch.randn(3, 64, 130), torch.eye(5)[:3], OPEN).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None for p in student.parameters())


def test_train_py_learns_from_teachers_of_the_same_split(small_run, voices, cache, tmp_path):
    """The student may be another model, as long as it takes the same windows."""
    out = tmp_path / "taught"
    done = script(
        *("train.py", *SMALL, "--data", f"synthetic:{voices}", "--cache", cache, "--out", out),
        *("--model.channels", "[4,4,4,8]", "--optim.epochs", "1", "--loss.teacher_share", "0.9"),
        *("--loss.teachers", f"[{small_run},{small_run}]"),
    )
    assert done.returncode == 0, done.stderr
    assert RunFolder(out).read_config()[0].loss.teachers == (str(small_run), str(small_run))
    assert RunFolder(out).read("split")["heard"]["before"] == RunFolder(small_run).trained_on()


@pytest.mark.parametrize(
    ("split_hash", "options", "says"),
    [
        ("0123456789ab", (), "0123456789ab"),
        (None, ("--features.n_mels", "32"), "features"),
        (None, ("--window.window_seconds", "2"), "window"),
    ],
)
def test_a_teacher_of_other_speakers_or_other_features_is_refused(
    small_run, voices, cache, tmp_path, split_hash, options, says
):
    teacher, out = shutil.copytree(small_run, tmp_path / "teacher"), tmp_path / "taught"
    if split_hash:
        split = json.loads((teacher / "split.json").read_text())
        (teacher / "split.json").write_text(json.dumps(split | {"original_split_hash": split_hash}))
    refused = called(
        *(train.main, *SMALL, "--data", f"synthetic:{voices}", "--cache", cache, "--out", out),
        *("--loss.teachers", f"[{teacher}]", *options),
    )
    one_clear_line(refused, str(teacher), says)
    assert not out.exists()


@pytest.mark.parametrize(("share", "step"), [(0.5, 0.2), (0.9, 0.3), (0.01, 0.5), (0.5, 1.0), (0.2, 0.2)])
def test_steps_lead_to_the_share_in_equal_parts_of_what_is_left(share, step):
    shares = Recipe(step=step).shares(share)
    assert shares[-1] == share
    left = 1 - np.array([0.0, *shares])
    taken = 1 - left[1:] / left[:-1]
    assert np.allclose(taken, taken[0])
    assert taken[0] <= step + 1e-9
