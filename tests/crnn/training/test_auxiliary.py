"""Several heads at once: what each loss adds, beside whichever class loss, and that all of them learn."""

from dataclasses import replace

import pytest
import torch
from tiny_fit import PLAIN, clips, model_of, tiny_fit

from crnn.config import ModelConfig
from crnn.models.crnn import CRNN
from crnn.outputs import split_outputs
from crnn.run_config import LossConfig, RunConfig, TeacherConfig
from crnn.training.auxiliary import AuxiliaryLosses
from crnn.training.contrast import supervised_contrast
from crnn.training.distillation import DistillTask
from crnn.training.regression import ccc_loss
from crnn.training.task import EmotionTask
from crnn.training.taught_task import TaughtTask

NAN = float("nan")
LOSS = LossConfig(
    gamma=0.0, continuous="ccc", continuous_weight=3.0, adversary_weight=1.0, contrast_weight=0.5,
    contrast_components=8,
)  # fmt: skip
MODEL = ModelConfig(
    channels=(4, 4, 4, 4), lstm_units=6, attention_units=4, dropout=0.0, arousal=True, continuous=("valence:1:5", "x"),
)  # fmt: skip
CONFIG = RunConfig(model=MODEL, loss=LOSS, teacher=TeacherConfig("anywhere", components=7))
ALONE = replace(CONFIG, model=replace(MODEL, arousal=False, continuous=()), loss=LossConfig(gamma=0.0))
ESTIMATES = torch.tensor([[0.1, 0.9, 0.3], [0.5, NAN, 0.4], [0.7, 0.2, NAN], [NAN, 0.4, 0.8]])
SPEAKERS = torch.eye(3)[[0, 1, 2, 0]]
TARGETS = torch.eye(5)[[0, 1, 0, 2]]
OPEN = torch.ones(4, 5, dtype=torch.bool)


def crnn(config: RunConfig, seed: int = 0) -> CRNN:
    torch.manual_seed(seed)
    return CRNN(config.features, config.model, 5)


KINDS = {
    "labels": lambda config: EmotionTask(config, crnn(config), n_speakers=3),
    "teachers": lambda config: DistillTask(config, crnn(config), [crnn(ALONE, 1)], None, None, None, None, 3),
    "encoder": lambda config: TaughtTask(config, crnn(config), None, None, None, None, 3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_add_up_beside_each_class_loss(kind):
    generator = torch.Generator().manual_seed(1)
    log_mel = torch.randn(4, 64, 130, generator=generator) - 4
    taught = (torch.rand(4, 12, generator=generator),) if kind == "encoder" else ()
    every = KINDS[kind](CONFIG).eval()
    classes = KINDS[kind](ALONE).eval()
    shared = classes.model.state_dict().keys()
    classes.model.load_state_dict({name: v for name, v in every.model.state_dict().items() if name in shared})
    if kind == "encoder":
        classes.projection.load_state_dict(every.projection.state_dict())
    with torch.no_grad():
        got = every.batch_loss(log_mel, TARGETS, OPEN, ESTIMATES, SPEAKERS, *taught)
        without = classes.batch_loss(log_mel, TARGETS, OPEN, *taught)
        pooled = every.model.training_pooled(log_mel)
        head, auxiliary = every.model.head, every.auxiliary
        made = torch.cat([head.arousal(pooled), head.continuous(pooled)], dim=1)
        regression = ccc_loss(made, ESTIMATES).sum()
        speakers = torch.nn.functional.cross_entropy(auxiliary.adversary.classifier(pooled), SPEAKERS)
        contrast = supervised_contrast(auxiliary.contrast.projection(pooled), TARGETS, LOSS.contrast_temperature)
    assert min(map(float, (regression, speakers, contrast))) > 0.01
    assert float(got - without) == pytest.approx(float(3 * regression + speakers + 0.5 * contrast), rel=1e-4)


def test_clips_without_a_class_have_no_contrast():
    auxiliary = AuxiliaryLosses(LossConfig(contrast_weight=1.0), 6, 0)
    head, pooled = model_of(PLAIN).head, torch.randn(4, 6)
    targets = torch.eye(3)[[0, 0, 1, 1]]
    targets[1] = 0
    with torch.no_grad():
        found = auxiliary(head, pooled, targets, ())
        expected = supervised_contrast(auxiliary.contrast.projection(pooled[[0, 2, 3]]), targets[[0, 2, 3]], 0.1)
    assert float(found) == pytest.approx(float(expected))


def test_a_fit_with_every_head_learns_them_all_and_stores_the_model_alone(tmp_path):
    """Valence, from 1 to 5, is told by the first value of the steps, which also tells the emotion."""
    config = replace(
        PLAIN,
        model=replace(PLAIN.model, continuous=("valence:1:5",)),
        loss=replace(LOSS, continuous_weight=1.0, class_weights=False, adversary_epochs=1.0),
        optim=replace(PLAIN.optim, epochs=8, learning_rate=0.02),
    )
    train = clips(32, columns=lambda i: (("valence", str(1 + 2 * (i % 3))),))
    task = tiny_fit(config, tmp_path, train)
    assert task.history[-1]["train_loss"] < 0.6 * task.history[0]["train_loss"]
    steps = torch.randn(6, 5, 6, generator=torch.Generator().manual_seed(0))
    steps[:, :, 0] = torch.tensor([0.0, 1, 2, 0, 1, 2])[:, None]
    with torch.no_grad():
        made = split_outputs(task.model.eval().clip_outputs(steps, None, None), 3, arousal=False, n_continuous=1)
    assert made.pooled.shape == (6, 6)
    assert ((made.continuous >= 0) & (made.continuous <= 1)).all()
    assert torch.corrcoef(torch.stack([made.continuous[:, 0], steps[:, 0, 0]]))[0, 1] > 0.8
    assert torch.equal(made.logits, task.model(steps))
