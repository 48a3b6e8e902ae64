"""Training with arousal: its loss beside each of the three others, clips without it, mixes, initial weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from augment.mix import Mixup
from crnn.config import ModelConfig
from crnn.data.corpora import Utterance
from crnn.data.splits import Split
from crnn.models.crnn import CRNN
from crnn.models.head import OpenHead
from crnn.outputs import split_outputs
from crnn.run_config import LossConfig, RunConfig, TeacherConfig
from crnn.training.distillation import DistillTask
from crnn.training.initial_weights import Start, start_from
from crnn.training.task import EmotionTask
from crnn.training.taught_task import TaughtTask

OPEN = torch.ones(4, 5, dtype=torch.bool)
TARGETS = torch.eye(5)[:4]
AROUSAL = torch.tensor([[0.1], [0.9], [float("nan")], [0.4]])
PLAIN = replace(
    RunConfig(),
    model=ModelConfig(channels=(4, 4, 4, 4), lstm_units=6, attention_units=4, dropout=0.0),
    teacher=TeacherConfig("anywhere", components=7),
)
CONFIG = replace(PLAIN, model=replace(PLAIN.model, arousal=True), loss=LossConfig(continuous_weight=3.0))
KINDS = {
    "labels": EmotionTask,
    "teachers": lambda config, model: DistillTask(config, model, [made(PLAIN, 1)]),
    "encoder": TaughtTask,
}


def made(config: RunConfig, seed: int = 0) -> CRNN:
    torch.manual_seed(seed)
    return CRNN(config.features, config.model, 5)


def task_of(kind: str, config: RunConfig = CONFIG) -> EmotionTask:
    model = made(config)
    torch.manual_seed(5)
    return KINDS[kind](config, model).eval()


def a_batch(kind: str) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Features, and what stands behind the arousal."""
    generator = torch.Generator().manual_seed(1)
    log_mel = torch.randn(4, 64, 130, generator=generator) - 4
    return log_mel, (torch.rand(4, 12, generator=generator),) if kind == "encoder" else ()


def estimates(model: CRNN, log_mel: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return model.head.arousal(model.training_pooled(log_mel))[:, 0].numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_grows_by_the_weighted_squared_error_of_the_clips_with_a_target(kind):
    log_mel, taught = a_batch(kind)
    task, without = task_of(kind), task_of(kind, PLAIN)
    with torch.no_grad():
        got = float(task.batch_loss(log_mel, TARGETS, OPEN, AROUSAL, *taught))
        others = float(without.batch_loss(log_mel, TARGETS, OPEN, *taught))
        nobody = float(task.batch_loss(log_mel, TARGETS, OPEN, torch.full_like(AROUSAL, float("nan")), *taught))
    known = [0, 1, 3]
    error = np.mean((estimates(task.model, log_mel)[known] - AROUSAL[known, 0].numpy()) ** 2)
    assert error > 1e-3
    assert got == pytest.approx(others + 3 * error, rel=1e-5)
    assert nobody == pytest.approx(others, rel=1e-6)


def test_a_clip_without_a_target_moves_no_weight_of_the_estimate():
    log_mel, _ = a_batch("labels")
    task = task_of("labels")
    task.batch_loss(log_mel, TARGETS, OPEN, torch.full_like(AROUSAL, float("nan"))).backward()
    assert all(not p.grad.any() for p in task.model.head.arousal.parameters())
    assert all(p.grad.isfinite().all() for p in task.model.parameters())
    task.batch_loss(log_mel, TARGETS, OPEN, AROUSAL).backward()
    assert all(p.grad.any() for p in task.model.head.arousal.parameters())


def test_a_mix_with_a_clip_without_a_target_has_none():
    log_mel, _ = a_batch("labels")
    _, mixed = Mixup(1.0, 1.0)(log_mel, torch.cat([TARGETS, AROUSAL], dim=1), torch.Generator().manual_seed(3))
    partly = (mixed[:, 2] > 0) & (mixed[:, 2] < 1)  # the third clip, which alone has the third label, is in it
    assert partly.any()
    assert mixed[mixed[:, 2] > 0, 5].isnan().all()
    assert mixed[mixed[:, 2] == 0, 5].isfinite().all()


def test_a_step_gives_each_clip_its_own_arousal_through_the_augmentation():
    given = {}

    class Watching(EmotionTask):
        global_rank, current_epoch = 0, 0

        def batch_loss(self, log_mel, targets, mask, *others):
            given.update(targets=targets, arousal=others[0])
            return super().batch_loss(log_mel, targets, mask, *others)

        def log(self, *_, **__):
            """Outside a trainer."""

    task = Watching(CONFIG, made(CONFIG), None, lambda x, y, seed: (x.flip(0), y.flip(0)))
    task.training_step((a_batch("labels")[0], TARGETS, OPEN, AROUSAL), 0)
    assert torch.equal(given["targets"], TARGETS.flip(0))
    assert torch.equal(given["arousal"].nan_to_num(-1), AROUSAL.flip(0).nan_to_num(-1))


def test_a_few_steps_learn_it():
    """Arousal that follows the loudness of the clip."""
    level = torch.linspace(0, 1, 16)[:, None]
    log_mel = torch.randn(16, 64, 130, generator=torch.Generator().manual_seed(3)) * (0.5 + 2 * level[..., None]) - 4
    config = replace(CONFIG, model=replace(CONFIG.model, inputs=("level",)))
    task = EmotionTask(config, made(config))
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    targets = torch.zeros(16, 5)  # no labels: the arousal alone teaches
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(task.batch_loss(log_mel, targets, targets == 0, level))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.2 * losses[0]


def test_the_estimate_is_one_column_between_logits_and_pooled_vector_and_within_0_and_1():
    model, steps = made(CONFIG).eval(), 30 * torch.randn(3, 55, 16)
    with torch.no_grad():
        row = OpenHead(model.head)(steps)
        outputs = split_outputs(row, 5, arousal=True)
        pooled = model.head.pool(steps)
        assert torch.equal(outputs.logits, model.head(steps))
        assert torch.equal(outputs.arousal, model.head.arousal(pooled)[:, 0])
        assert torch.equal(outputs.pooled, pooled)
        assert ((outputs.arousal >= 0) & (outputs.arousal <= 1)).all()
        assert OpenHead(made(PLAIN).head)(steps).shape[1] == row.shape[1] - 1
    assert split_outputs(row, 5, arousal=False).arousal is None


def test_without_it_a_model_has_the_weights_of_before():
    plain, both = made(PLAIN).state_dict(), made(CONFIG).state_dict()
    assert both.keys() - plain.keys() == {"head.arousal.0.weight", "head.arousal.0.bias"}
    assert all(torch.equal(value, both[name]) for name, value in plain.items())


@pytest.mark.parametrize(("theirs", "ours"), [(PLAIN, CONFIG), (CONFIG, PLAIN), (CONFIG, CONFIG)])
def test_initial_weights_may_have_it_or_not(theirs, ours):
    labels = ("neutral", "happy", "sad", "angry", "disgust")
    start = Start(
        "x", labels, theirs.features, theirs.model, theirs.window, made(theirs, 1).state_dict(), ("emodb:03",)
    )
    clips = [Utterance(Path(f"{i}.wav"), "ravdess", f"{i}", None, "sad") for i in range(3)]
    split = Split.of("x", 0, labels, {"train": clips[:1], "dev": clips[1:2], "test": clips[2:]})
    model = made(ours, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    start_from(model, ours, start, split)
    for name, value in model.state_dict().items():
        assert torch.equal(value, start.weights[name] if name in start.weights else before[name]), name
