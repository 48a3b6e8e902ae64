"""Training a pruned model further: what is minimized, and that the teacher only teaches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crnn.config import ModelConfig
from crnn.model import CRNN
from crnn.run_config import LossConfig, RunConfig
from edge.distill import TEACHER, TEMPERATURE, DistillTask
from edge.shrink import Recipe

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


def test_the_loss_is_labels_and_softened_divergence():
    teacher, student = make(1), make(2)
    with torch.no_grad():  # answers that differ
        for model in (teacher, student):
            model.head.classifier.weight.normal_(0, 3)
    task = DistillTask(CONFIG, student, teacher, None, None, None)
    log_mel, targets = torch.randn(3, 64, 130) - 4, torch.eye(5)[:3]
    with torch.no_grad():
        ours, theirs = student(log_mel).double().numpy(), teacher(log_mel).double().numpy()
        got = float(task.batch_loss(log_mel, targets, OPEN))
    label = -(targets.numpy() * log_softmax(ours)).sum(axis=1).mean()
    p, q = log_softmax(theirs / TEMPERATURE), log_softmax(ours / TEMPERATURE)
    divergence = (np.exp(p) * (p - q)).sum(axis=1).mean()
    assert divergence > 1e-3
    assert got == pytest.approx((1 - TEACHER) * label + TEACHER * TEMPERATURE**2 * divergence, rel=1e-4)


def test_a_teacher_is_neither_trained_nor_saved():
    teacher, student = make(1), make(2)
    task = DistillTask(CONFIG, student, teacher, None, None, None)
    assert {name.split(".")[0] for name in task.state_dict()} == {"model"}
    assert sum(p.numel() for p in task.parameters()) == sum(p.numel() for p in student.parameters())
    task.batch_loss(torch.randn(3, 64, 130), torch.eye(5)[:3], OPEN).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None for p in student.parameters())


@pytest.mark.parametrize(("share", "step"), [(0.5, 0.2), (0.9, 0.3), (0.01, 0.5), (0.5, 1.0), (0.2, 0.2)])
def test_steps_lead_to_the_share_in_equal_parts_of_what_is_left(share, step):
    shares = Recipe(step=step).shares(share)
    assert shares[-1] == share
    left = 1 - np.array([0.0, *shares])
    taken = 1 - left[1:] / left[:-1]
    assert np.allclose(taken, taken[0])
    assert taken[0] <= step + 1e-9
